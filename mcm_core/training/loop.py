"""The loop in which the parts of the embedded base are trained: schedule, average, checkpoints, exact resume.

A step's batch and noise come from a generator seeded by (seed, step) alone, so that a stopped run goes on
bit for bit by the same command, with no state but the weights and the optimisers'.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .checkpoints import checkpoint_step, latest_checkpoint, save_checkpoint
from .optimiser import Optimiser

Loss = Callable[[torch.Generator], Tensor]
Module = TypeVar("Module", bound=nn.Module)


def learning_rate_scale(step: int, steps: int, warmup: int = 100, cooldown: float = 0.4) -> float:
    """Up over `warmup` steps, flat, then down to nearly 0 over the last `cooldown` share of the steps."""
    left = (steps - step) / max(1.0, steps * cooldown)
    return min(1.0, (step + 1) / warmup, left)


def fit(
    module: Module,
    loss: Loss,
    *,
    steps: int,
    out: Path,
    lr: float,
    matrices: bool,
    ema_decay: float = 0.999,
    seed: int = 0,
    save_seconds: float = 180,
    log_every: int = 50,
    weight_decay: float = 0.0,
) -> Module:
    """Minimise `loss(generator)`; -> the exponential average of the module, in eval mode.

    Checkpoints go to `out`; the same call goes on from the newest. A loss that is not finite skips its step,
    and 20 in a row end the run with RuntimeError (the last checkpoint is intact).
    """
    average = copy.deepcopy(module).requires_grad_(False).eval()
    optimiser = Optimiser(module, lr, matrices=matrices, weight_decay=weight_decay)
    start, before = _resume(out, module, average, optimiser)
    module.train()
    saved = begun = time.monotonic()
    bad, total = 0, 0.0
    for step in range(start, steps):
        value = loss(torch.Generator().manual_seed(seed * 1_000_003 + step))
        if not torch.isfinite(value):
            bad += 1
            if bad == 20:
                raise RuntimeError(
                    f"the loss was not finite 20 times in a row, at step {step}; try a lower --lr"
                )
            continue
        bad = 0
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step(learning_rate_scale(step, steps))
        _blend(average, module, min(ema_decay, (step + 1) / (step + 10)))
        total += value.item()
        if (step + 1) % log_every == 0:
            rate = (step + 1 - start) / (time.monotonic() - begun)
            print(f"step {step + 1}/{steps} loss {total / log_every:.5f} {rate:.2f} steps/s", flush=True)
            total = 0.0
        if time.monotonic() - saved > save_seconds or step + 1 == steps:
            saved = time.monotonic()
            _save(out, step + 1, before + saved - begun, module, average, optimiser)
    return average


def spent(out: Path) -> tuple[int, float]:
    """Steps and seconds of the newest checkpoint that `fit` wrote there; zeros where there is none."""
    newest = latest_checkpoint(out)
    return (0, 0.0) if newest is None else (checkpoint_step(newest), _state(newest)["seconds"])


def _blend(average: nn.Module, module: nn.Module, decay: float) -> None:
    with torch.no_grad():
        pairs = [*zip(average.parameters(), module.parameters(), strict=True)]
        torch._foreach_lerp_([a for a, _ in pairs], [m for _, m in pairs], 1 - decay)
        for a, m in zip(average.buffers(), module.buffers(), strict=True):
            a.copy_(m)


def _save(
    out: Path, step: int, seconds: float, module: nn.Module, average: nn.Module, optimiser: Optimiser
) -> None:
    state = {
        "seconds": seconds,
        "module": module.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    save_checkpoint(out, step, lambda folder: torch.save(state, folder / "state.pt"))


def _resume(out: Path, module: nn.Module, average: nn.Module, optimiser: Optimiser) -> tuple[int, float]:
    """Load the newest checkpoint, if any; -> the step to go on from, and the seconds spent before it."""
    newest = latest_checkpoint(out)
    if newest is None:
        return 0, 0.0
    state = _state(newest)
    module.load_state_dict(state["module"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return checkpoint_step(newest), state["seconds"]


def _state(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint / "state.pt", weights_only=True)
