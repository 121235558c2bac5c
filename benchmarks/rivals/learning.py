"""Every method's training: the same pairs, drop-outs and minutes, and the same small search before it.

The search tries `CANDIDATES` for a twelfth of the minutes each, ours as any other; the lowest held-out loss
wins. All of it goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from mcm_core.training import TrainingError
from mcm_core.training.batches import EXACT, Batch, Batches, Plan, loaded
from mcm_core.training.fit import Progress, Saving, Schedule, Training, fit, go_on
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.precision import autocast, first_loss_scale
from mcm_core.training.stopping import Stop

from .methods import Method

ENDLESS = 10**9
"""Steps: the clock ends a training."""
SEARCH_SHARE = 1 / 12
MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the minutes after which what was learned is kept."""
HELD_OUT_BATCHES = 4
EMA = 0.997


@dataclass(frozen=True)
class Candidate:
    """An optimiser and its rate."""

    matrices: bool
    lr: float

    @property
    def name(self) -> str:
        return f"{'muon' if self.matrices else 'adamw'} {self.lr:g}"


CANDIDATES = (
    Candidate(False, 1e-4),
    Candidate(False, 5e-4),
    Candidate(False, 2e-3),
    Candidate(True, 5e-4),
    Candidate(True, 2e-3),
)


@dataclass(frozen=True)
class Course:
    """A method's training on the first `pairs` of the job's pairs, for `seconds`."""

    method: Method
    job: Job
    frozen: Frozen
    folder: Path
    seconds: float
    pairs: int | None = None

    @property
    def trained(self) -> tuple[int, ...]:
        return self.job.trained[: self.pairs]


def new_network(course: Course) -> nn.Module:
    """Before its first step, the same in each run; what is trained is in float32."""
    assert course.method.build is not None
    torch.manual_seed(course.job.options.seed)
    network = course.method.build(course.job)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    move = torch.nn.Module.to
    move(network, device=course.job.base.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def searched(course: Course, stop: Stop) -> Candidate:
    """The candidate whose short training ends with the lowest held-out loss."""
    short = replace(course, seconds=course.seconds * SEARCH_SHARE)
    file = course.folder / "search.json"
    losses: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
    for candidate in CANDIDATES:
        if candidate.name in losses:
            continue
        folder = course.folder / f"search-{candidate.name.replace(' ', '-')}"
        try:
            loss = held_out_loss(course, learned(short, candidate, folder, stop))
        except TrainingError:  # it ran away
            loss = math.inf
        if stop.asked():
            raise KeyboardInterrupt
        losses[candidate.name] = loss if math.isfinite(loss) else math.inf
        file.write_text(json.dumps(losses, indent=1))
    return min(CANDIDATES, key=lambda candidate: losses[candidate.name])


def learned(
    course: Course, candidate: Candidate, folder: Path, stop: Stop, marks: tuple[float, ...] = ()
) -> nn.Module:
    """The averaged network after the course's seconds, kept in `folder` at each mark as well."""
    folder.mkdir(parents=True, exist_ok=True)
    options = course.job.options
    network = new_network(course)
    optimiser = Optimiser(
        network, candidate.lr, matrices=candidate.matrices, weight_decay=options.weight_decay
    )
    schedule = Schedule(ENDLESS, options.warmup, seconds=course.seconds)
    progress = Progress(loss_scale=first_loss_scale(course.job.precision))
    training = Training(network, optimiser, schedule, EMA, options.clip, progress)
    go_on(training, folder)

    def losses(batch: Batch) -> dict[str, torch.Tensor]:
        with autocast(course.job.base.device, course.job.precision):
            return {"loss": course.method.loss(network, course.frozen, batch)}

    def after(step: int) -> None:
        for mark in marks:
            if schedule.share(training.progress) >= mark and not mark_file(folder, mark).is_file():
                keep(training, folder, mark)

    if schedule.share(training.progress) < 1:
        saving = Saving(folder, every_seconds=120, keep=1)
        fit(training, lambda steps: batches(course, steps), losses, saving, stop, log_every=100, after=after)
    return training.average


def mark_file(folder: Path, mark: float) -> Path:
    return folder / f"{round(1000 * mark):04d}.pt"


def keep(training: Training[nn.Module], folder: Path, mark: float) -> None:
    """What was learned by then, and after how many seconds and pairs."""
    progress = training.progress
    state = {"average": training.average.state_dict(), "seconds": progress.seconds, "steps": progress.step}
    partial = folder / "mark.part"
    torch.save(state, partial)
    partial.replace(mark_file(folder, mark))


def at_mark(course: Course, folder: Path, mark: float) -> tuple[nn.Module, float, int]:
    """The network as it was kept, its seconds and its steps."""
    state = torch.load(mark_file(folder, mark), map_location="cpu", weights_only=True)
    network = new_network(course).eval().requires_grad_(False)
    network.load_state_dict(state["average"])
    return network, state["seconds"], state["steps"]


@torch.no_grad()
def held_out_loss(course: Course, network: nn.Module) -> float:
    """The method's own loss on pairs that no training sees, with all drawings, as they are."""
    job, options = course.job, course.job.options
    size = min(options.batch_size, len(job.held_out))
    plan = Plan(job.held_out, size, job.layout.modalities, job.layout.size, options.seed, rates=EXACT)
    batches, total = Batches(job.pairs, plan), 0.0
    for number in range(HELD_OUT_BATCHES):
        with autocast(job.base.device, job.precision):
            total += course.method.loss(network, course.frozen, batches[number]).item()
    return total / HELD_OUT_BATCHES


def batches(course: Course, steps: range) -> Iterator[list[Batch]]:
    job, options = course.job, course.job.options
    layout, size = job.layout, options.batch_size
    plan = Plan(course.trained, size, layout.modalities, layout.size, options.seed, rates=options.rates)
    return loaded(Batches(job.pairs, plan), steps, options.workers)
