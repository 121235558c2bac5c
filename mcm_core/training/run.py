"""One training run: the trained module, its optimiser and average, one step, saving and going on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from mcm_core.modulation import modulate
from mcm_core.modulator import Modulator
from mcm_core.training.batches import Batch
from mcm_core.training.frozen import Frozen, Noised
from mcm_core.training.objective import errors
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.options import Options

MOST_SKIPPED = 10
SMOOTHING = 0.99
FP16_LOSS_SCALE = 2.0**12
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to do. The last checkpoint is intact."""


@dataclass
class Progress:
    """What is counted along the way; part of each checkpoint.

    `loss` and `plain` are running averages of the loss with and without the modulator, on the same noise.
    """

    step: int = 0
    loss: float = math.nan
    plain: float = math.nan
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    loss_scale: float = 1.0


class Conditioned(nn.Module):
    """The modulator as one forward call, which is what data-parallel training wraps."""

    def __init__(self, modulator: Modulator) -> None:
        super().__init__()
        self.modulator = modulator

    def forward(
        self, noised: Noised, maps: dict[str, Tensor], presence: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """gamma and nu for uint8 maps: ids (B, H, W) or planes (B, C, H, W)."""
        size = noised.sample.shape[-2:]
        features = self.modulator.encode(maps, presence, size=(size[0], size[1]), batch=len(noised.sample))
        output = self.modulator(noised.sample, noised.eps, noised.timesteps, noised.alpha, features)
        return output.gamma, output.nu


@dataclass
class Run:
    """Everything that a training step changes."""

    options: Options
    accelerator: Accelerator
    modulator: Modulator
    module: nn.Module
    optimiser: Optimiser
    average: EMAModel
    progress: Progress = field(default_factory=Progress)


def new_run(options: Options, accelerator: Accelerator, modulator: Modulator) -> Run:
    """A run at step 0."""
    modulator.to(accelerator.device, memory_format=torch.channels_last).train()
    module = accelerator.prepare_model(Conditioned(modulator))
    scale = FP16_LOSS_SCALE if options.precision == "fp16" else 1.0
    average = EMAModel(modulator.parameters(), decay=options.ema, foreach=True)
    matrices = options.optimiser == "muon"
    optimiser = Optimiser(modulator, options.lr, matrices=matrices, weight_decay=options.weight_decay)
    return Run(options, accelerator, modulator, module, optimiser, average, Progress(loss_scale=scale))


def losses(module: nn.Module, frozen: Frozen, batch: Batch, precision: str) -> tuple[Tensor, Tensor]:
    """The loss with the modulator and without it, on the same noise; means over the batch."""
    device = frozen.base.device
    noised = frozen.noised(batch)
    maps = {name: one.to(device) for name, one in batch.maps.items()}
    presence = {name: one.to(device) for name, one in batch.presence.items()}
    with torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32"):
        gamma, nu = module(noised, maps, presence)
    modulated = modulate(noised.eps, gamma.float(), nu.float())
    loss = (noised.weights * errors(modulated, noised.noise)).mean()
    plain = (noised.weights * errors(noised.eps, noised.noise)).mean()
    return loss, plain


def train_step(run: Run, frozen: Frozen, batch: Batch) -> float:
    """One update of the modulator and its average, or, where the gradient is not finite, none; -> the loss.

    All processes decide alike, since the gradient is the mean over them.

    Raises:
        TrainingError: `MOST_SKIPPED` steps in a row were not finite.
    """
    progress, parameters = run.progress, list(run.modulator.parameters())
    loss, plain = losses(run.module, frozen, batch, run.options.precision)
    (loss * progress.loss_scale).backward()
    gradients = [one.grad for one in parameters if one.grad is not None]
    torch._foreach_mul_(gradients, 1 / progress.loss_scale)
    norm = nn.utils.clip_grad_norm_(parameters, run.options.clip)
    if torch.isfinite(norm):
        run.optimiser.step(learning_rate_scale(progress.step, run.options))
        run.average.step(parameters)
        progress.skipped_in_a_row = 0
        progress.loss = _smoothed(progress.loss, loss.item())
        progress.plain = _smoothed(progress.plain, plain.item())
    else:
        run.module.zero_grad(set_to_none=True)
        _count_skip(progress)
    progress.step += 1
    return loss.item()


def learning_rate_scale(step: int, options: Options) -> float:
    """Linear warm-up, then a cosine to 0 at the last step; in (0, 1]."""
    if step < options.warmup:
        return (step + 1) / (options.warmup + 1)
    share = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


@torch.no_grad()
def held_out_losses(run: Run, frozen: Frozen, batches: Sequence[Batch]) -> tuple[float, float]:
    """Losses of the averaged modulator and of the base alone, means over `batches`."""
    module = Conditioned(averaged(run))
    each = [torch.stack(losses(module, frozen, one, run.options.precision)) for one in batches]
    loss, plain = torch.stack(each).mean(dim=0).tolist()
    return loss, plain


def averaged(run: Run) -> Modulator:
    """A copy of the modulator with the averaged weights, in evaluation mode."""
    modulator = Modulator.from_config(run.modulator.config)
    modulator.to(run.accelerator.device, memory_format=torch.channels_last)
    run.average.copy_to(modulator.parameters())
    return modulator.eval()


def write_state(run: Run, folder: Path) -> None:
    """All that `read_state` needs; `modulator/` in it is the averaged modulator, usable as it is."""
    averaged(run).save_pretrained(folder / "modulator")
    state = {
        "weights": run.modulator.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "average_steps": run.average.optimization_step,
        "progress": asdict(run.progress),
    }
    torch.save(state, folder / "state.pt")


def read_state(run: Run, folder: Path) -> None:
    """The inverse of `write_state`, in place; what follows is bitwise what would have followed."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    run.modulator.load_state_dict(state["weights"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.average.optimization_step = state["average_steps"]
    saved = Modulator.from_pretrained(folder / "modulator")
    for shadow, parameter in zip(run.average.shadow_params, saved.parameters(), strict=True):
        shadow.copy_(parameter.detach())
    run.progress = Progress(**state["progress"])


def _smoothed(average: float, value: float) -> float:
    return value if math.isnan(average) else SMOOTHING * average + (1 - SMOOTHING) * value


def _count_skip(progress: Progress) -> None:
    progress.skipped += 1
    progress.skipped_in_a_row += 1
    progress.loss_scale = max(1.0, progress.loss_scale / 2)
    if progress.skipped_in_a_row >= MOST_SKIPPED:
        raise TrainingError(
            f"The gradient was not finite {MOST_SKIPPED} steps in a row, up to step {progress.step + 1}. "
            "The last checkpoint is intact. Try a lower --lr, --precision fp32 or another --weighting."
        )
