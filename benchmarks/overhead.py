"""`python -m benchmarks.overhead`: what modulation costs beside ControlNet, a T2I-Adapter and fine-tuning.

On a full-size Stable Diffusion 1.5 U-Net with random weights (time and memory do not depend on their values)
and 64 x 64 latents. A denoising step is measured under guidance (batch of 2); the methods take turns, so
that a drift of the machine's speed meets all alike. A training step (batch of 1, AdamW, bfloat16 autocast,
gradients through whatever the method needs) runs in a process of its own, so that peak memory is the method's
alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from torch import Tensor, nn

from mcm_core.devices import choose_device
from mcm_core.landscapes.easel import CLASSES
from mcm_core.modulation import modulate
from mcm_core.modulator import Modulator

SIDE = 64  # of the latents
ALPHA = 0.5  # of x_t, about that of its timestep 500
STATUS = Path("/proc/self/status")
TRAININGS = ("nothing", "modulator", "controlnet", "fine-tuning")


def base_unet(dtype: torch.dtype, device: str) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's U-Net: 859.5M parameters."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # made in its dtype, so that the cast does not count as peak memory
    try:
        with torch.device(device):
            unet = UNet2DConditionModel(sample_size=SIDE, cross_attention_dim=768, attention_head_dim=8)
    finally:
        torch.set_default_dtype(usual)
    return unet.eval().requires_grad_(False)


def paper_modulator(device: str) -> Modulator:
    """The paper's size, for a label map of 12 classes and a sketch."""
    modalities = [{"name": "labels", "kind": "labels"}, {"name": "sketch", "kind": "image"}]
    classes = [{"name": label.name, "color": label.color} for label in CLASSES]
    return Modulator.preset("paper", modalities=modalities, classes=classes).to(device)


def drawing(device: str, batch: int = 1) -> dict[str, Tensor]:
    """A label map and a sketch of 512 x 512."""
    size = (batch, 8 * SIDE, 8 * SIDE)
    labels = torch.randint(0, len(CLASSES) + 1, size, device=device, dtype=torch.uint8)
    return {"labels": labels, "sketch": (torch.rand(size, device=device) < 0.05).to(torch.uint8) * 255}


def inputs(batch: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, t and text embeddings."""
    sample = torch.randn(batch, 4, SIDE, SIDE, device=device, dtype=dtype)
    return sample, torch.tensor(500, device=device), torch.randn(batch, 77, 768, device=device, dtype=dtype)


def parameters(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


# -- a denoising step --------------------------------------------------------------------------------------


def step_methods(dtype: torch.dtype, device: str) -> tuple[dict[str, Callable[[], Tensor]], dict[str, int]]:
    """One denoising step of each method, ready to be called, and each method's own parameters."""
    unet = base_unet(dtype, device)
    modulator = paper_modulator(device).to(dtype).eval()
    control = ControlNetModel.from_unet(unet).to(device, dtype).eval()
    adapter = T2IAdapter(in_channels=1, adapter_type="full_adapter").to(device, dtype).eval()
    x, t, text = inputs(2, dtype, device)
    edges = torch.rand(2, 1, 8 * SIDE, 8 * SIDE, device=device, dtype=dtype)
    features = modulator.encode(drawing(device), size=(SIDE, SIDE)).expand(2, -1, -1, -1)
    adapted = adapter(edges)  # once per picture, as the modulator's features

    def plain(**extra: Any) -> Tensor:
        return unet(x, t, text, return_dict=False, **extra)[0]

    def modulated() -> Tensor:
        eps = plain()
        change = modulator(x, eps, t, ALPHA, features)
        return modulate(eps, change.gamma, change.nu)

    def controlled() -> Tensor:
        down, middle = control(x, t, text, edges.expand(-1, 3, -1, -1), return_dict=False)
        return plain(down_block_additional_residuals=down, mid_block_additional_residual=middle)

    def with_adapter() -> Tensor:
        return plain(down_intrablock_additional_residuals=[residual.clone() for residual in adapted])

    methods = {"plain": plain, "modulated": modulated, "ControlNet": controlled, "T2I-Adapter": with_adapter}
    own = (0, parameters(modulator), parameters(control), parameters(adapter))
    return methods, dict(zip(methods, own, strict=True))


@torch.no_grad()
def measure_steps(rounds: int, dtype: torch.dtype, device: str) -> list[dict[str, Any]]:
    """Median seconds of each method over `rounds` turns, and of its ratio to plain in the same turn."""
    methods, own = step_methods(dtype, device)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(rounds + 1):
        for name, step in methods.items():
            begun = _now(device)
            step()
            if turn:  # the first turn warms up
                seconds[name].append(_now(device) - begun)
    return [
        {
            "method": name,
            "parameters": own[name],
            "seconds": statistics.median(times),
            "ratio": statistics.median(a / b for a, b in zip(times, seconds["plain"], strict=True)),
        }
        for name, times in seconds.items()
    ]


# -- a training step ---------------------------------------------------------------------------------------


def training(method: str, device: str) -> tuple[nn.Module | None, Callable[[], Tensor]]:
    """What is trained, and a function that gives a step's loss; "nothing" is the frozen base alone."""
    unet = base_unet(torch.float32 if method == "fine-tuning" else torch.bfloat16, device)
    x, t, text = inputs(1, torch.bfloat16, device)
    noise = torch.randn_like(x, dtype=torch.float32)
    if method == "fine-tuning":
        unet.requires_grad_(True).train()
        return unet, lambda: _error(unet(x, t, text, return_dict=False)[0], noise)
    if method == "controlnet":
        control = ControlNetModel.from_unet(unet).float().requires_grad_(True).train()
        edges = torch.rand(1, 3, 8 * SIDE, 8 * SIDE, device=device)

        def controlled() -> Tensor:
            down, middle = control(x, t, text, edges, return_dict=False)
            extra = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
            return _error(unet(x, t, text, return_dict=False, **extra)[0], noise)

        return control, controlled

    modulator, drawn = paper_modulator(device).train(), drawing(device)

    def modulated() -> Tensor:
        with torch.no_grad():
            eps = unet(x, t, text, return_dict=False)[0].float()
        if method == "nothing":
            return _error(eps, noise)
        change = modulator(x, eps, t, ALPHA, modulator.encode(drawn, size=(SIDE, SIDE)))
        return _error(modulate(eps, change.gamma, change.nu), noise)

    return (None if method == "nothing" else modulator), modulated


def _error(prediction: Tensor, noise: Tensor) -> Tensor:
    return nn.functional.mse_loss(prediction.float(), noise)


def measure_training(method: str, rounds: int, device: str) -> dict[str, Any]:
    """Median seconds of a training step and the process's peak memory in MiB."""
    trained, loss = training(method, device)
    optimiser = torch.optim.AdamW(trained.parameters(), 1e-5) if trained is not None else None
    times = []
    for _ in range(rounds + 1):
        begun = _now(device)
        with torch.autocast(device, torch.bfloat16):
            value = loss()
        if optimiser is not None:
            value.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        times.append(_now(device) - begun)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else peak_resident()
    count = parameters(trained) if trained is not None else 0
    return {
        "method": method,
        "parameters": count,
        "seconds": statistics.median(times[1:]),
        "peak_mib": peak / 2**20,
    }


def measure_trainings(rounds: int, device: str) -> list[dict[str, Any]]:
    """Each method in a process of its own; `extra_mib` is its peak beyond that of the frozen base alone."""
    rows = []
    for method in TRAININGS:
        command = [sys.executable, "-m", "benchmarks.overhead", "--training", method]
        command += ["--rounds", str(rounds), "--device", device]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout))
    for row in rows:
        row["extra_mib"] = row["peak_mib"] - rows[0]["peak_mib"]
    return rows


def peak_resident() -> int:
    """Bytes that this process has held at most. Linux counts to `ru_maxrss` what its parent held before."""
    if STATUS.is_file():
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


# -- the table ---------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    """Markdown: `columns` maps a key of the rows to its format."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += [
        "| " + " | ".join(format(row[key], form) for key, form in columns.items()) + " |" for row in rows
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default=choose_device(None).type)
    parser.add_argument(
        "--json", type=Path, default=Path("overhead.json"), help="where the figures are written"
    )
    parser.add_argument(
        "--training", choices=TRAININGS, help="measure this one training step in this process"
    )
    options = parser.parse_args(argv)
    if options.training:
        print(json.dumps(measure_training(options.training, options.rounds, options.device)))
        return 0
    trainings = measure_trainings(options.rounds, options.device)
    steps = measure_steps(options.rounds, torch.bfloat16, options.device)
    print(f"A denoising step, guidance batch of 2, bfloat16, {options.device}:\n")
    print(table(steps, {"method": "", "parameters": ",", "seconds": ".3f", "ratio": ".3f"}))
    print("\nA training step, batch of 1, AdamW, bfloat16 autocast:\n")
    columns = {"method": "", "parameters": ",", "seconds": ".2f", "peak_mib": ",.0f", "extra_mib": ",.0f"}
    print(table(trainings, columns))
    machine = {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    facts = {"torch": torch.__version__, "device": options.device, "rounds": options.rounds, **machine}
    options.json.write_text(json.dumps({"facts": facts, "steps": steps, "trainings": trainings}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
