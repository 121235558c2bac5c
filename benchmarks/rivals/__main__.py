"""`python -m benchmarks.rivals --data DIR --out DIR`: the same base, the same pairs, the same minutes.

The data is what `python -m mcm_core render` writes. Each method is trained for `--minutes` on this machine,
after the same small search of optimiser and rate, judged as `evaluate` judges the shipped modulator, and set
beside the others in table.md, curves.png and sheet.jpg. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation.segmenter import load
from mcm_core.evaluation.sheets import save
from mcm_core.models import SEGMENTER, shipped
from mcm_core.training.job import Job, prepare
from mcm_core.training.modulator import make_accelerator, make_frozen
from mcm_core.training.options import Options
from mcm_core.training.stopping import Stop

from . import report
from .cost import cost
from .judging import Painter, Studio, settled
from .learning import MARKS, Candidate, Course, at_mark, learned, searched
from .methods import METHODS

CURVE_SCENES = 16
SHEET_SCENES = 8
FEW = (100, 300, 1000, 3000)
FEW_METHODS = ("modulator", "controlnet", "fine-tuning")


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    job, studio = opened(options)
    if options.cost:
        print(json.dumps(cost(_course(options, job, options.cost), studio)))
        return 0
    told, painters = {}, []
    for name in options.methods:
        course = _course(options, job, name)
        painter = learner(course, studio)
        told[name] = judged(course, studio, painter, options, argv)
        painters.append(painter)
        write(options, job, told)
    save(report.sheet(painters, studio.held_out(SHEET_SCENES)), options.out / "sheet.jpg")
    if options.few:
        few_pairs(options, job, studio)
    return 0


def opened(options: argparse.Namespace) -> tuple[Job, Studio]:
    """The pairs, encoded once, and who judges.

    Raises:
        InputError: whatever is wrong with the data, or the folder holds another run.
    """
    training = Options(
        base=str(options.base),
        data=str(options.data),
        out=str(options.out),
        batch_size=options.batch_size,
        workers=options.workers,
        sample_every=0,
    )
    job = prepare(training, make_accelerator(training))
    if not job.held_out:
        raise InputError("The search wants held-out pairs: give at least ten pairs.")
    asked = {name: getattr(options, name) for name in ("minutes", "batch_size", "steps")}
    asked |= {"base": job.base.fingerprint, "pairs": job.fingerprint}
    if kept(options.out / "asked.json", lambda: asked) != asked:
        raise InputError(f"{options.out} holds a run that was asked for otherwise: take another --out.")
    segmenter = load(shipped(SEGMENTER), job.base.device)
    at_once = 32 if job.base.device.type == "cuda" else 4
    studio = Studio(job.base, job.precision, job.layout.classes, segmenter, options.steps, at_once)
    return job, studio


def learner(course: Course, studio: Studio) -> Painter:
    """The method after its minutes, with the setting that suits it.

    Raises:
        KeyboardInterrupt: it was asked to stop, and has saved.
    """
    network = after_minutes(course, None)
    file = course.folder / "setting.json"
    chosen = kept(file, lambda: settled(studio, course.method, network).setting)
    return Painter(studio, course.method, network, chosen)


def after_minutes(course: Course, candidate: Candidate | None) -> nn.Module | None:
    """What is learned by the candidate, or by the best one; None where there is nothing to learn."""
    if course.method.build is None:
        return None
    with Stop() as stop:
        learned(course, candidate or searched(course, stop), course.folder, stop, MARKS)
        if stop.asked():
            raise KeyboardInterrupt
    return at_mark(course, course.folder, 1.0)[0]


def judged(
    course: Course, studio: Studio, painter: Painter, options: argparse.Namespace, argv: Sequence[str]
) -> report.Told:
    """All that the table says of a method."""
    folder, search = course.folder, course.folder / "search.json"
    return {
        "cost": kept(folder / "cost.json", lambda: _measured(argv, folder.name)),
        "curve": kept(folder / "curve.json", lambda: curve(course, studio, painter)),
        "rows": kept(folder / f"rows-{options.count}.json", lambda: painter.judged(options.count)),
        "search": json.loads(search.read_text()) if search.is_file() else {},
        "setting": painter.setting,
    }


def curve(course: Course, studio: Studio, painter: Painter) -> list[tuple[float, float]]:
    """(minutes, mIoU with all that the method reads) at each mark."""
    drawn, points = studio.held_out(CURVE_SCENES), []
    for mark in MARKS if painter.network is not None else ():
        network, seconds, _ = at_mark(course, course.folder, mark)
        follower = Painter(studio, course.method, network, painter.setting)
        points.append((seconds / 60, follower.followed(drawn)))
    return points


def few_pairs(options: argparse.Namespace, job: Job, studio: Studio) -> None:
    """Ours, ControlNet and fine-tuning on few pairs, with the optimiser, rate and setting of all pairs."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for name in FEW_METHODS:
        whole = _course(options, job, name)
        setting = learner(whole, studio).setting
        with Stop() as stop:
            best = searched(whole, stop)
        for pairs in FEW:
            course = _course(options, job, name, pairs)
            painter = Painter(studio, course.method, after_minutes(course, best), setting)
            drawn = studio.held_out(options.count)
            miou = kept(course.folder / f"followed-{options.count}.json", partial(painter.followed, drawn))
            lines.setdefault(METHODS[name].title, []).append((float(pairs), miou))
    report.curves(lines, "pairs", "mIoU with map and sketch").save(options.out / "few-pairs.png")
    (options.out / "few-pairs.json").write_text(json.dumps(lines, indent=1))


def write(options: argparse.Namespace, job: Job, told: dict[str, report.Told]) -> None:
    """Table and curves, as far as they are known."""
    (options.out / "table.json").write_text(json.dumps(told, indent=1))
    text = report.table(told, len(job.trained), options.minutes)
    (options.out / "table.md").write_text(text)
    lines = {METHODS[name].title: each["curve"] for name, each in told.items() if each["curve"]}
    if lines:
        picture = report.curves(lines, "minutes of training", "mIoU with all that the method reads")
        picture.save(options.out / "curves.png")
    print(text, flush=True)


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """What `make()` gives, which JSON can tell; from the file where it is there already."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(make(), indent=1))
        unfinished.replace(file)
    return json.loads(file.read_text())


def _course(options: argparse.Namespace, job: Job, name: str, pairs: int | None = None) -> Course:
    folder = options.out / (name if pairs is None else f"{name}-{pairs}")
    return Course(METHODS[name], job, make_frozen(job), folder, 60 * options.minutes, pairs)


def _measured(argv: Sequence[str], name: str) -> Any:
    """The cost, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rivals", *argv, "--cost", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def parser() -> argparse.ArgumentParser:
    one = argparse.ArgumentParser("python -m benchmarks.rivals", description=__doc__, allow_abbrev=False)
    one.add_argument(
        "--data", type=Path, required=True, help="pairs, as `python -m mcm_core render` writes them"
    )
    one.add_argument("--out", type=Path, required=True, help="the folder for all that is learned and told")
    one.add_argument("--base", default=shipped("mini"), help="default: the shipped one")
    one.add_argument("--minutes", type=float, default=40, help="of each training (default: 40)")
    one.add_argument("--batch-size", type=int, default=32)
    one.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    one.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS], metavar="NAME")
    one.add_argument("--count", type=int, default=64, help="held-out scenes that are judged (default: 64)")
    one.add_argument("--steps", type=int, default=10, help="of each picture (default: 10)")
    one.add_argument("--few", action="store_true", help=f"also on {', '.join(map(str, FEW))} pairs")
    one.add_argument("--cost", choices=METHODS, help=argparse.SUPPRESS)
    return one


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from there.")
        sys.exit(130)
