"""What a training tells on its way: held-out losses, sheets of samples, and how far these follow."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import torch

from mcm_core.control import NotFiniteError
from mcm_core.drawing.conditions import LABELS, SKETCH, InputError
from mcm_core.modulator import Modulator
from mcm_core.pipeline import MCMPipeline
from mcm_core.training.batches import EXACT, Batch, Batches, Plan
from mcm_core.training.conditioned import Objective, held_out_losses
from mcm_core.training.data import Pair
from mcm_core.training.fit import Training
from mcm_core.training.following import (
    Score,
    drawn_with,
    labels_followed,
    painted,
    strokes_followed,
)
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job
from mcm_core.training.options import Options
from mcm_core.training.sheet import sample_sheet

EARLY = 100
"""The step of the first sheet, which shows whether the drawings are followed at all."""
HELD_OUT_SAMPLES = 256  # noise draws behind a held-out loss


def samples_are_due(step: int, options: Options) -> bool:
    """At an early step, then regularly, and in the end; never where sheets are switched off."""
    every = options.sample_every
    return bool(every) and (step % every == 0 or step in (min(EARLY, every), options.steps))


def show(job: Job, training: Training[Modulator], frozen: Frozen, objective: Objective) -> None:
    """A sheet, its scores and the held-out loss, by the main process; the others go on and wait at the next
    step."""
    if not job.accelerator.is_main_process:
        return
    step = training.progress.step
    told: dict[str, float] = {}
    if job.held_out:
        told = held_out(job, training, frozen, objective)
        means = "  ".join(f"{name} {value:.5f}" for name, value in told.items())
        print(f"step {step}  held-out {means}", flush=True)
    pairs = [job.read(index) for index in _shown(job)]
    if pairs:
        told |= _sheet_if_possible(job, training, pairs)
    track(job, {f"held-out {name}": value for name, value in told.items()}, step)


def held_out(
    job: Job, training: Training[Modulator], frozen: Frozen, objective: Objective
) -> dict[str, float]:
    """The losses of the objective on pairs that are not trained on."""
    return held_out_losses(training.average, frozen, _held_out_batches(job), job.precision, objective)


def track(job: Job, values: Mapping[str, float], step: int) -> None:
    """To --report-to, if anything."""
    if job.options.report_to:
        job.accelerator.log({name.replace(" ", "_"): value for name, value in values.items()}, step)


def begin_tracking(job: Job) -> None:
    """Before the first step; options that are no numbers or words stay out."""
    if job.options.report_to:
        plain = {k: v for k, v in job.options.public().items() if isinstance(v, int | float | str)}
        job.accelerator.init_trackers("mcm", plain)


def end_tracking(job: Job) -> None:
    """After the last step; `Accelerator.end_training` would end the group of processes, too."""
    for tracker in job.accelerator.trackers:
        tracker.finish()


def require_tracker(options: Options) -> None:
    """Raises InputError: the package that --report-to names is not there."""
    if options.report_to and find_spec(options.report_to) is None:
        raise InputError(
            f"--report-to {options.report_to} needs its package: pip install {options.report_to}"
        )


def _sheet_if_possible(job: Job, training: Training[Modulator], pairs: Sequence[Pair]) -> dict[str, float]:
    """The training goes on without one: there may be no memory to decode beside it, or no picture yet."""
    try:
        return _sheet(job, training, pairs)
    except (NotFiniteError, torch.OutOfMemoryError) as error:
        reason = "not enough memory" if isinstance(error, torch.OutOfMemoryError) else str(error)
        print(f"step {training.progress.step}  no sheet of samples: {reason}", flush=True)
        return {}


def _sheet(job: Job, training: Training[Modulator], pairs: Sequence[Pair]) -> dict[str, float]:
    """Saved; -> how far its pictures follow their drawings, which is said, too."""
    modulator, step = training.average, training.progress.step
    samples = painted(MCMPipeline(job.base, modulator), pairs, job.options.seed)
    path = job.out / "samples" / f"step-{step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    sample_sheet(samples, modulator).save(path)
    scores: dict[str, Score] = {}
    if sketched := drawn_with(samples, SKETCH):
        scores["strokes"] = strokes_followed(sketched)
    if job.reader is not None and (mapped := drawn_with(samples, LABELS)):
        scores["labels"] = labels_followed(mapped, job.reader, len(job.layout.classes))
    for name, score in scores.items():
        print(f"step {step}  {name} are followed to {score}", flush=True)
    return {f"{name} followed": score.drawn for name, score in scores.items()}


def _shown(job: Job) -> tuple[int, ...]:
    """The pairs of a sample sheet: held-out ones first."""
    return (job.held_out + job.trained)[: job.options.samples]


def _held_out_batches(job: Job) -> list[Batch]:
    """The same pairs, noise and noise levels whenever this is asked."""
    size = min(job.options.batch_size, HELD_OUT_SAMPLES)
    plan = Plan(job.held_out, size, job.layout.modalities, job.layout.size, rates=EXACT, sizes=job.sizes)
    batches = Batches(job.pairs, plan)
    return [batches[step] for step in range(-(-HELD_OUT_SAMPLES // size))]
