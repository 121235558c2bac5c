"""One training, of any network: what a step changes, the loop, its schedule, the average, saving, going on.

What a step sees depends on its number alone, so that a run that was stopped goes on bit for bit by the same
command, with no state but the weights, the optimiser's and a few counts.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from mcm_core.training import TrainingError
from mcm_core.training.checkpoints import checkpoint_step, latest_checkpoint, save_checkpoint
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.precision import AUTO, choose_precision, first_loss_scale
from mcm_core.training.stopping import Stop

MOST_SKIPPED = 10
"""So many steps in a row without a finite gradient end a training."""
SMOOTHING = 0.99

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")
Losses = Mapping[str, Tensor]
"""Scalars by name. The first is minimised, the others are told beside it."""


@dataclass
class Progress:
    """What is counted along the way. `losses` are running averages by name."""

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    loss_scale: float = 1.0
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """Of the learning rate: up over `warmup` steps, flat, a cosine to 0 over the last `cooldown` share.

    It ends after `steps`, or with `seconds` after so much time, whichever comes first. A run by the clock
    does not repeat bit for bit.
    """

    steps: int
    warmup: int = 100
    cooldown: float = 0.4
    seconds: float | None = None

    def scale(self, progress: Progress) -> float:
        """In [0, 1], for the step that comes after `progress`."""
        if progress.step < self.warmup:
            return (progress.step + 1) / (self.warmup + 1)
        fall = min(self.cooldown, 1 - self.warmup / self.steps)
        left = 1 - self.share(progress)
        return 0.5 * (1 - math.cos(math.pi * min(1.0, max(0.0, left / max(1 / self.steps, fall)))))

    def share(self, progress: Progress) -> float:
        """How much of it is over, 1 at the end."""
        by_clock = 0.0 if self.seconds is None else progress.seconds / self.seconds
        return max(progress.step / self.steps, by_clock)


@dataclass
class Training(Generic[Network]):
    """Everything that a training step changes, and the numbers that shape the step.

    `average` is the exponential average of the network, of decay `ema`, in evaluation mode: the result.
    `target` is a second one, of decay `target_ema` from the first step on, for losses that
    aim at it, as consistency models do; None without a `target_ema`.
    """

    network: Network
    optimiser: Optimiser
    schedule: Schedule
    ema: float = 0.999
    clip: float = 1.0
    progress: Progress = field(default_factory=Progress)
    target_ema: float | None = None
    average: Network = field(init=False)
    target: Network | None = field(init=False)

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.target = None if self.target_ema is None else copy.deepcopy(self.average)
        self.network.train()

    def save(self, folder: Path) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        if self.target is not None:
            state["target"] = self.target.state_dict()
        torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """The inverse of `save`; what follows is bitwise what would have followed."""
        state = _read(folder)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        scale, self.progress = self.progress.loss_scale, Progress(**state["progress"])
        if self.progress.loss_scale == 1:  # it may come from a device whose numbers need none
            self.progress.loss_scale = scale
        if self.target is not None:
            self.target.load_state_dict(state["target"])


@dataclass(frozen=True)
class Saving:
    """Where checkpoints go and when: each so many steps or seconds. `extra` writes more beside the state."""

    folder: Path
    every_steps: int | None = None
    every_seconds: float = 180.0
    keep: int = 2
    extra: Callable[[Path], object] = lambda folder: None
    writes: bool = True
    """False in all processes but one."""

    def due(self, step: int, seconds: float) -> bool:
        return seconds >= self.every_seconds if self.every_steps is None else step % self.every_steps == 0

    def save(self, training: Training[Any]) -> None:
        def write(folder: Path) -> None:
            training.save(folder)
            self.extra(folder)

        if self.writes:
            save_checkpoint(self.folder, training.progress.step, write, self.keep)


def go_on(training: Training[Any], folder: Path) -> bool:
    """Load the newest whole checkpoint; False where there is none."""
    newest = latest_checkpoint(folder)
    if newest is not None:
        training.load(newest)
    return newest is not None


def fit(
    training: Training[Any],
    batches: Callable[[range], Iterable[Sequence[Batch]]],
    losses: Callable[[Batch], Losses],
    saving: Saving,
    stop: Stop,
    *,
    log_every: int = 50,
    say: Callable[[str], object] = print,
    after: Callable[[int], object] = lambda step: None,
) -> None:
    """Train to the schedule's end, or until `stop` is asked for; then save.

    Args:
        batches: for the steps that are left, what each sees: one batch, or several to be accumulated.
        after: called after each step with the number of steps done.

    Raises:
        TrainingError: `MOST_SKIPPED` steps in a row were not finite.
    """
    progress = training.progress
    steps = range(progress.step, training.schedule.steps)
    begun = saved = time.monotonic()
    before = progress.seconds
    for batch in batches(steps):
        take_step(training, batch, losses)
        now = time.monotonic()
        progress.seconds = before + now - begun
        if progress.step % log_every == 0:
            say(progress_line(training, (progress.step - steps.start) / (now - begun)))
        if saving.due(progress.step, now - saved):
            saving.save(training)
            saved = time.monotonic()
        after(progress.step)
        if stop.asked() or training.schedule.share(progress) >= 1:
            break
    saving.save(training)


def take_step(training: Training[Any], batch: Sequence[Batch], losses: Callable[[Batch], Losses]) -> None:
    """One update of the network and its average, or, where the gradient is not finite, none.

    All processes of a data-parallel training decide alike, since the gradient is the mean over them.
    """
    progress, parameters = training.progress, list(training.network.parameters())
    told = [_with_gradient(losses(part), progress.loss_scale / len(batch)) for part in batch]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, 1 / progress.loss_scale)
    if torch.isfinite(nn.utils.clip_grad_norm_(parameters, training.clip)):
        training.optimiser.step(training.schedule.scale(progress))
        _blend(training)
        progress.skipped_in_a_row = 0
        for name in told[0]:
            _smooth(progress.losses, name, sum(part[name].item() for part in told) / len(told))
    else:
        training.network.zero_grad(set_to_none=True)
        _count_skip(progress)
    progress.step += 1


def _with_gradient(told: Losses, weight: float) -> Losses:
    """Adds the first one's gradient, so that of several parts no two are in memory together."""
    (next(iter(told.values())) * weight).backward()
    return {name: value.detach() for name, value in told.items()}


def train(
    network: Network,
    loss: Callable[[torch.Generator], Tensor],
    *,
    steps: int,
    out: Path,
    lr: float,
    matrices: bool,
    ema: float = 0.999,
    seed: int = 0,
    seconds: float | None = None,
    save_seconds: float = 180,
    log_every: int = 50,
) -> Network:
    """Minimise `loss(generator)` on this machine alone; -> the average. Goes on from the newest checkpoint.

    It ends after `steps`, or after so many `seconds` of training, whichever comes first.

    Raises:
        KeyboardInterrupt: it was asked to stop, and has saved.
    """
    optimiser = Optimiser(network, lr, matrices=matrices)
    precision = choose_precision(AUTO, next(network.parameters()).device)
    progress = Progress(loss_scale=first_loss_scale(precision))
    training = Training(network, optimiser, Schedule(steps, seconds=seconds), ema, progress=progress)
    go_on(training, out)

    def batches(numbers: range) -> Iterable[list[torch.Generator]]:
        return ([torch.Generator().manual_seed(seed * 1_000_003 + number)] for number in numbers)

    with Stop() as stop:
        fit(
            training,
            batches,
            lambda generator: {"loss": loss(generator)},
            Saving(out, every_seconds=save_seconds),
            stop,
            log_every=log_every,
        )
        if stop.signal:
            raise KeyboardInterrupt
    return training.average


def spent(out: Path) -> tuple[int, float]:
    """Steps and seconds of the newest checkpoint in a folder; zeros where there is none."""
    newest = latest_checkpoint(out)
    return (0, 0.0) if newest is None else (checkpoint_step(newest), _read(newest)["progress"]["seconds"])


def progress_line(training: Training[Any], steps_per_second: float) -> str:
    progress, schedule = training.progress, training.schedule
    seconds = (schedule.steps - progress.step) / max(steps_per_second, 1e-9)
    if schedule.seconds is not None:
        seconds = min(seconds, max(0.0, schedule.seconds - progress.seconds))
    left = timedelta(seconds=round(seconds))
    averages = "  ".join(f"{name} {value:.5f}" for name, value in progress.losses.items())
    skipped = f"  skipped {progress.skipped}" if progress.skipped else ""
    steps = f"step {progress.step}/{schedule.steps}"
    return f"{steps}  {averages}  {steps_per_second:.2f} steps/s  {left} left{skipped}"


def _blend(training: Training[Any]) -> None:
    """The average follows quickly at first: its decay is n / (n + 9) after n updates, at most `ema`."""
    updates = training.progress.step - training.progress.skipped + 1
    _lerp(training.average, training.network, 1 - min(training.ema, updates / (updates + 9)))
    if training.target is not None and training.target_ema is not None:
        _lerp(training.target, training.network, 1 - training.target_ema)


@torch.no_grad()
def _lerp(average: nn.Module, network: nn.Module, weight: float) -> None:
    torch._foreach_lerp_([*average.parameters()], [*network.parameters()], weight)
    for mean, value in zip(average.buffers(), network.buffers(), strict=True):
        mean.copy_(value)


def _smooth(averages: dict[str, float], name: str, value: float) -> None:
    averages[name] = SMOOTHING * averages[name] + (1 - SMOOTHING) * value if name in averages else value


def _count_skip(progress: Progress) -> None:
    progress.skipped += 1
    progress.skipped_in_a_row += 1
    progress.loss_scale = max(1.0, progress.loss_scale / 2)
    if progress.skipped_in_a_row >= MOST_SKIPPED:
        raise TrainingError(
            f"The gradient was not finite {MOST_SKIPPED} steps in a row, up to step {progress.step + 1}. "
            "The last checkpoint is intact. Try a lower --lr, --precision fp32 or another --weighting."
        )


def _read(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint / "state.pt", map_location="cpu", weights_only=True)
