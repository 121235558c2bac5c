"""`python -m mcm_core distil`: from a trained modulator one that needs few unguided steps.

The result, what lies beside it and going on are as in `training.modulator`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import torch

from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError
from mcm_core.live import Live
from mcm_core.modulator import Modulator
from mcm_core.schedule import SMALLEST_ALPHA
from mcm_core.training.consistency import Distillation, grid_timesteps
from mcm_core.training.fit import Training
from mcm_core.training.job import Job, check_layout, make_modulator, summary
from mcm_core.training.modulator import RECORD, begin, run, start, told
from mcm_core.training.options import (
    FREE_ON_RESUME,
    Options,
    add_data,
    add_model,
    add_rates,
    add_running,
    check,
    require,
    set_defaults,
    values_of,
)


@dataclass(frozen=True)
class DistilOptions(Options):
    """One distillation; `init` is the teacher. See `parser` for what each field means."""

    init: str | None = None
    student: str | None = None
    guidance_scale: float | None = None
    live_steps: tuple[int, ...] = (1, 2, 4)
    grid: int = 32
    target_ema: float = 0.95
    steps: int = 4000
    batch_size: int = 16
    lr: float = 1e-3
    optimiser: str = "adamw"
    warmup: int = 50
    ema: float = 0.995
    keep_all: float = 0.4
    drop_all: float = 0.05
    text_dropout: float = 0.0

    free_on_resume: ClassVar[tuple[str, ...]] = (
        "live_steps",
        *(name for name in FREE_ON_RESUME if name != "init"),
    )

    def live(self, base: Base) -> Live:
        """How the result is sampled. Its teacher is guided as the base is, unless an option differs."""
        scale = max(1.0, base.default_guidance_scale)
        return Live(self.live_steps, scale if self.guidance_scale is None else self.guidance_scale, self.grid)


def main(argv: Sequence[str]) -> int:
    """Run the command; -> 0 done, 1 training failed, 2 bad input, 128 + N stopped by signal N."""
    return told(lambda: distil(parse(argv)))


def distil(options: DistilOptions) -> int:
    """Prepare, go on from the newest checkpoint, distil, publish; -> an exit code as in `main`."""
    teacher = open_teacher(str(options.init))
    if options.student:
        check_layout(
            options.student, Modulator.from_pretrained(options.student), teacher.modalities, teacher.classes
        )
    job = begin(options)
    options = guided(options, job)
    job = replace(job, options=options)
    teacher.to(job.accelerator.device, memory_format=torch.channels_last)
    student = make_student(job, options.student or str(options.init), options.live(job.base))
    job.say(summary(job, student))
    if options.dry_run:
        return 0
    training = start(job, student, options.target_ema)
    return run(job, training, distillation(training, teacher))


def guided(options: DistilOptions, job: Job) -> DistilOptions:
    """With the teacher's guidance as a number: as asked, as a run in the folder has it, or the base's own."""
    if options.guidance_scale is not None:
        return options
    record = job.out / RECORD
    begun = json.loads(record.read_text(encoding="utf-8"))["options"] if record.is_file() else {}
    scale = begun.get("guidance_scale") or options.live(job.base).guidance_scale
    return replace(options, guidance_scale=scale)


def open_teacher(folder: str) -> Modulator:
    """The modulator of a folder, frozen.

    Raises:
        InputError: it is distilled already, or acts in a part of the trajectory only.
    """
    teacher = Modulator.from_pretrained(folder).requires_grad_(False)
    if teacher.config.live:
        raise InputError(f"{folder} is distilled already: take the modulator that it was made from.")
    if teacher.config.training_window:
        raise InputError(f"{folder} knows only a part of the noise levels: train one on all of them.")
    return teacher


def make_student(job: Job, folder: str, live: Live) -> Modulator:
    """The modulator of `folder`, whose config says from now on how it is to be sampled.

    Raises:
        InputError: `live` cannot be met with this base, or `folder` does not fit it.
    """
    base = job.base
    if base.is_of_few_steps:
        raise InputError(f"{base.id} is made for few steps, so that its modulator needs no distillation.")
    live = Live.of(asdict(live), base.num_train_timesteps)
    if live.guidance_scale != 1 and not base.accepts_text:
        raise InputError(f"The base {base.id} takes no text to be guided by: say --guidance-scale 1.")
    highest = int(grid_timesteps(base.num_train_timesteps, live.grid)[-1])
    if base.moment(highest).alpha < SMALLEST_ALPHA:
        raise InputError(f"The base {base.id} starts in pure noise, of which a modulator can make nothing.")
    student = make_modulator(job, folder)
    student.register_to_config(live=asdict(live) | {"steps": list(live.steps)})
    return student


def distillation(training: Training[Modulator], teacher: Modulator) -> Distillation:
    """The objective of a training that was started with a `target_ema`, of a student from `make_student`."""
    live, target = training.network.live, training.target
    if live is None or target is None:
        raise ValueError("a distillation needs a student from make_student and a target_ema")
    return Distillation(teacher.eval(), target, live.guidance_scale, live.grid)


def parse(argv: Sequence[str]) -> DistilOptions:
    """Options from a command line, checked. Raises as `options.parse`."""
    options = DistilOptions(**values_of(parser(), argv))
    check(options)
    require(0 <= options.target_ema < 1, "target_ema", "from 0 to below 1")
    scale = options.guidance_scale
    require(scale is None or 0 <= scale < float("inf"), "guidance_scale", "at least 0")
    require(options.grid >= 1, "grid", "at least 1")
    require(all(1 <= s <= options.grid for s in options.live_steps), "live_steps", "from 1 to --grid")
    return options


def parser() -> argparse.ArgumentParser:
    """The command line; defaults are those of `DistilOptions`."""
    command = argparse.ArgumentParser(
        prog="python -m mcm_core distil",
        description="Distil a trained modulator to few unguided steps; the base stays as it is. The same "
        "command goes on where a run was stopped. On N devices: torchrun --nproc_per_node N -m mcm_core "
        "distil ...",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_data(command)
    model = add_model(command)
    model.add_argument(
        "--modulator", dest="init", required=True, help="the teacher, where the student starts"
    )
    model.add_argument(
        "--student", help="start from this modulator instead: a distilled one, or one of another size"
    )
    group = command.add_argument_group("objective")
    group.add_argument(
        "--guidance-scale",
        type=float,
        help="of the teacher, None for the base's own; folded in, so that the result is not guided",
    )
    group.add_argument(
        "--live-steps", nargs="+", type=int, metavar="N", help="numbers of steps that the result offers"
    )
    group.add_argument("--grid", type=int, help="timesteps that the student knows")
    group.add_argument("--target-ema", type=float, help="decay of the averaged student that is aimed at")
    add_rates(group)
    add_running(command)
    set_defaults(command, DistilOptions)
    return command
