"""`python -m mcm_core evaluate`: one table of control, quality, diversity and words, and sheets to judge by
eye.

Scenes are held out: no training has seen their seeds. Pictures and scores are kept in the folder, so that the
same command goes on where it was stopped, and a case that is done is not computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mcm_core.drawing.conditions import InputError, LabelClass
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.render import HELD_OUT
from mcm_core.models import SEGMENTER, add_options, open_models, shipped, shipped_live
from mcm_core.modulator import Modulator
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import DEFAULT_PLACEMENT

from . import freehand, scores, sheets, table
from .cases import BASE, BOTH, CASES, CONTROL, GUIDANCE, Case, possible
from .evaluation import Evaluation
from .pictures import Studio, pictures
from .scores import Reference, Row, Scores
from .segmenter import Segmenter, load

COUNT, QUICK_COUNT = 128, 32
SHEET = 64  # drawings on the contact sheets
STYLE_SHEET = 8


def rows(evaluation: Evaluation, cases: Sequence[Case], settings: dict[str, Any]) -> list[Row]:
    """The table's rows; its files are written anew after each case, to tell how it goes."""
    told: list[Row] = []
    measured: dict[str, list[tuple[Scores, Reference]]] = {}
    for case in tqdm(cases, "cases", unit="case"):
        scored, reference = evaluation.scores(case), evaluation.reference(case)
        told.append(scores.row(case.name, case.group, scored, reference, evaluation.segmenter))
        if case.group == "styles":
            measured.setdefault(case.name.split(": ")[1], []).append((scored, reference))
        table.write(evaluation.folder, [*told, *_all_styles(measured, evaluation.segmenter)], settings)
    return [*told, *_all_styles(measured, evaluation.segmenter)]


def _all_styles(measured: dict[str, list[tuple[Scores, Reference]]], segmenter: Segmenter) -> list[Row]:
    """One row for each kind of picture, over all its styles together."""
    return [
        scores.row(
            f"all styles: {kind}",
            "styles",
            Scores.joined([each for each, _ in parts]),
            Reference.joined([reference for _, reference in parts]),
            segmenter,
        )
        for kind, parts in measured.items()
        if len(parts) > 1
    ]


def write_sheets(evaluation: Evaluation, cases: Sequence[Case]) -> None:
    """The sheets whose cases were asked for; their pictures are there already."""
    by_name = {(case.group, case.name): case for case in cases}
    both = by_name.get(("control", BOTH))
    control = [CONTROL[0], by_name.get(("control", BASE)), both]
    _write_pages(evaluation, "control", [case for case in control if case], least=3)
    for group, least in (("live", 3), ("freehand", 2)):
        _write_pages(evaluation, group, [case for case in cases if case.group == group], least)
    styled = [case for (group, name), case in by_name.items() if group == "styles" and name.endswith(BOTH)]
    if styled and both is not None:
        drawn = evaluation.scenes(both)
        shown = min(STYLE_SHEET, *(len(evaluation.scenes(case)) for case in styled))
        each = [_pictures(evaluation, case, shown) for case in (both, *styled)]
        page = sheets.styles_page(drawn[:shown], each, evaluation.segmenter.classes)
        sheets.save(page, evaluation.folder / "styles.jpg")


def _write_pages(evaluation: Evaluation, name: str, cases: Sequence[Case], least: int) -> None:
    """Drawings, and beside each its picture of each case, if there are enough cases to compare."""
    if len(cases) < least:
        return
    drawn = evaluation.scenes(cases[-1])[:SHEET]
    columns = [_pictures(evaluation, case, len(drawn)) for case in cases]
    for number, page in enumerate(sheets.pages(drawn, columns, evaluation.segmenter.classes), start=1):
        sheets.save(page, evaluation.folder / f"{name}-{number}.jpg")


def _pictures(evaluation: Evaluation, case: Case, count: int) -> np.ndarray:
    return pictures(case, evaluation.painter(case), evaluation.scenes(case), count)


def parser() -> argparse.ArgumentParser:
    one = argparse.ArgumentParser("python -m mcm_core evaluate", description=__doc__, allow_abbrev=False)
    one.add_argument("--base", help="diffusers folder or hub id (default: the shipped one)")
    one.add_argument(
        "--modulator", help="its folder or hub id (default: the shipped one, on the shipped base)"
    )
    one.add_argument("--segmenter", help="a folder written by train-segmenter (default: the shipped one)")
    one.add_argument("--out", type=Path, help="the folder for the table, the sheets and all pictures")
    one.add_argument(
        "--count", type=int, help=f"held-out scenes (default: {COUNT}; {QUICK_COUNT} with --quick)"
    )
    one.add_argument(
        "--steps", type=int, help="see generate (default: the base's own, or the live modulator's most)"
    )
    one.add_argument("--scheduler", help="see generate (default: the base's own)")
    one.add_argument("--guidance-scale", type=float, help=f"default: {GUIDANCE:g}, or the modulator's own")
    one.add_argument("--cases", nargs="+", metavar="NAME", help="groups or names of cases (default: all)")
    one.add_argument("--quick", action="store_true", help="few scenes, and the control cases alone")
    one.add_argument(
        "--drawings",
        type=Path,
        metavar="DIR",
        default=freehand.shipped(),
        help="drawings by hand: PNGs with metadata.jsonl, see assets/freehand (the default)",
    )
    one.add_argument(
        "--live",
        metavar="DIR",
        help="a modulator of few steps to set beside the other (default: the shipped one, beside the shipped "
        "modulator)",
    )
    one.add_argument("--list", action="store_true", help="print the cases and do nothing")
    add_options(one)
    return one


def main(argv: Sequence[str]) -> int:
    """Run the sub-command; 0 when all is written. Wrong input is an `InputError`."""
    options = parser().parse_args(argv)
    cases = chosen(options.cases or (["control"] if options.quick else None))
    if options.list:
        print("\n".join(f"{case.group:<10} {case.name}" for case in cases))
        return 0
    if options.out is None:
        raise InputError("Say with --out where table, sheets and pictures go.")
    evaluation = _opened(options)
    modulator = evaluation.studio.pipeline.modulator
    assert modulator is not None
    guidance = options.guidance_scale
    if guidance is None:
        guidance = GUIDANCE if modulator.live is None else 1.0
    cases = guided(cases, guidance)
    live = evaluation.live.pipeline.modulator if evaluation.live is not None else None
    able = possible(cases, modulator, live)
    for case in cases:
        if case not in able:
            print(f"note: {case.name} is left out, as no modulator here takes that", file=sys.stderr)
    settings = _settings(evaluation, guidance)
    told = rows(evaluation, able, settings)
    write_sheets(evaluation, able)
    print(table.markdown(told, settings))
    return 0


def chosen(names: Sequence[str] | None) -> list[Case]:
    """The cases of these groups or names, all for None.

    Raises:
        InputError: a name that is neither.
    """
    known = {case.group for case in CASES} | {case.name for case in CASES}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InputError(f"There is no case or group {unknown[0]!r:.60}: --list shows them.")
    return [case for case in CASES if names is None or case.group in names or case.name in names]


def guided(cases: Sequence[Case], guidance: float) -> list[Case]:
    """The cases with `guidance` for those that do not say their own; few steps have theirs within."""
    return [
        replace(case, guidance_scale=1.0 if case.live_steps else guidance)
        if case.guidance_scale is None
        else case
        for case in cases
    ]


def _opened(options: argparse.Namespace) -> Evaluation:
    count = options.count or (QUICK_COUNT if options.quick else COUNT)
    if count < 2 or (options.steps is not None and options.steps < 1):
        raise InputError("--count must be at least 2 and --steps at least 1.")
    opening = {"dtype": options.dtype, "device": options.device, "low_memory": options.low_memory}
    pipeline = open_models(options.base, options.modulator, **opening)
    if pipeline.modulator is None:
        raise InputError("There is no modulator to evaluate: name one with --modulator.")
    segmenter = load(options.segmenter or shipped(SEGMENTER), pipeline.base.device)
    _check_classes("modulator", pipeline.modulator.classes)
    _check_classes("segmenter", segmenter.classes)
    for note in pipeline.notes:
        print(f"note: {note}", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scores").mkdir(exist_ok=True)
    studio = Studio(pipeline, options.out / "pictures", options.steps, options.scheduler)
    live = _live(options, pipeline, options.out / "pictures")
    return Evaluation(studio, segmenter, options.out, count, options.drawings, live)


def _live(options: argparse.Namespace, pipeline: MCMPipeline, folder: Path) -> Studio | None:
    """What paints in few steps on the same base."""
    own = options.base or options.modulator
    source = options.live or (None if own else shipped_live())
    if source is None:
        return None
    modulator = Modulator.from_pretrained(source)
    if modulator.live is None:
        raise InputError(f"--live must be a modulator of few steps, made with `mcm distil`: {source} is not.")
    _check_classes("modulator of few steps", modulator.classes)
    return Studio(MCMPipeline(pipeline.base, modulator), folder)


def _check_classes(what: str, classes: Sequence[LabelClass]) -> None:
    """A model may know the first of the classes only; scenes with others are then left out."""
    names = [known.name for known in CLASSES]
    if [known.name for known in classes] != names[: len(classes)]:
        raise InputError(f"The {what} knows other classes than the scenes have: {', '.join(names)}.")


def _settings(evaluation: Evaluation, guidance: float) -> dict[str, Any]:
    """What the table says of the run."""
    pipeline, judge = evaluation.studio.pipeline, evaluation.segmenter
    assert pipeline.modulator is not None
    made = evaluation.studio.identity()
    live = evaluation.live
    few = {} if live is None else {"modulator of few steps": live.identity()["modulator"]}
    return {
        "held-out scenes": f"{evaluation.count}, seeds from {HELD_OUT} on",
        **{name.replace("_", " "): value for name, value in made.items()},
        **few,
        "guidance scale": guidance,
        "placement": DEFAULT_PLACEMENT,
        "parameters of the base": pipeline.base.parameter_count,
        "parameters of the modulator": pipeline.modulator.num_parameters(),
        "segmenter": f"{judge.network.num_parameters()} parameters, {judge.fingerprint}",
    }
