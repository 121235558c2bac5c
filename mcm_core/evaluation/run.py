"""`python -m mcm_core evaluate`: one table of control, quality, diversity and words, and sheets to judge by
eye.

Scenes are held out: no training has seen their seeds. Pictures and scores are kept in the folder, so that the
same command goes on where it was stopped, and a case that is done is not computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mcm_core.drawing.conditions import InputError, LabelClass
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.render import HELD_OUT
from mcm_core.models import SEGMENTER, add_options, open_models, shipped
from mcm_core.request import DEFAULT_PLACEMENT

from . import scores, sheets, table
from .cases import BASE, BOTH, CASES, GUIDANCE, PARTIAL, Case, possible
from .pictures import Studio, digest, facts, pictures, variants
from .scenes import REFERENCE, HeldOut, scenes
from .scores import Row, Scores
from .segmenter import Segmenter, load

COUNT, QUICK_COUNT = 128, 32
SHEET = 64  # drawings on the contact sheets
STYLE_SHEET = 8
REFERENCE_RATIO = 4  # reference renders for each picture


@dataclass
class Evaluation:
    """One run: its models, and the scenes and reference features of each style, made when first needed."""

    studio: Studio
    segmenter: Segmenter
    folder: Path
    count: int
    _scenes: dict[str, list[HeldOut]] = field(default_factory=dict)
    _features: dict[str, np.ndarray] = field(default_factory=dict)

    def scenes(self, case: Case) -> list[HeldOut]:
        most = max(each.count(self.count) for each in CASES if each.style == case.style)
        if case.style not in self._scenes:
            self._scenes[case.style] = self._render(most, case.style, HELD_OUT)
        return self._scenes[case.style][: case.count(self.count)]

    def reference(self, style: str) -> np.ndarray:
        """Features (m, F) of renders in a style, of scenes that no case draws."""
        if style not in self._features:
            share = max(each.share for each in CASES if each.style == style)
            count = max(2, round(REFERENCE_RATIO * self.count * share))
            size = self.studio.pipeline.base.default_size
            file = (
                self.folder
                / "scores"
                / f"reference-{digest(self.segmenter.fingerprint, style, count, size)}.npz"
            )
            kept = _kept_features(file)
            self._features[style] = self._render_features(style, count, file) if kept is None else kept
        return self._features[style]

    def scores(self, case: Case) -> Scores:
        """Of a case's pictures, which are made where they are not there yet."""
        drawn = self.scenes(case)
        name = digest(facts(case, self.studio, drawn), self.segmenter.fingerprint, len(drawn), case.varied)
        file = self.folder / "scores" / f"{name}.npz"
        kept = scores.load(file)
        if kept is None:
            made = pictures(case, self.studio, drawn)
            more = max(2, len(drawn) // 10) if case.varied else 0
            varied = variants(case, self.studio, drawn, more) if more else made[:0, None]
            maps = [scene.partial if PARTIAL in case.inputs else scene.labels for scene in drawn]
            kept = scores.measure(made, maps, drawn, self.segmenter, varied)
            scores.save(kept, file)
        return kept

    def _render(self, count: int, style: str, first: int) -> list[HeldOut]:
        """Scenes with no class that the judge does not know."""
        size, classes = self.studio.pipeline.base.default_size, len(self.segmenter.classes)
        return scenes(count, style, size, first, classes)

    def _render_features(self, style: str, count: int, file: Path) -> np.ndarray:
        renders = self._render(count, style, REFERENCE)
        features = self.segmenter.read(np.stack([each.picture for each in renders])).features
        with file.open("wb") as stream:
            np.savez_compressed(stream, features=features)
        return features


def rows(evaluation: Evaluation, cases: Sequence[Case], settings: dict[str, Any]) -> list[Row]:
    """The table's rows; its files are written anew after each case, to tell how it goes."""
    told: list[Row] = []
    measured: dict[str, list[tuple[Scores, np.ndarray]]] = {}
    for case in tqdm(cases, "cases", unit="case"):
        scored, reference = evaluation.scores(case), evaluation.reference(case.style)
        told.append(scores.row(case.name, case.group, scored, reference, evaluation.segmenter))
        if case.group == "styles":
            measured.setdefault(case.name.split(": ")[1], []).append((scored, reference))
        table.write(evaluation.folder, [*told, *_all_styles(measured, evaluation.segmenter)], settings)
    return [*told, *_all_styles(measured, evaluation.segmenter)]


def _all_styles(measured: dict[str, list[tuple[Scores, np.ndarray]]], segmenter: Segmenter) -> list[Row]:
    """One row for each kind of picture, over all its styles together."""
    return [
        scores.row(
            f"all styles: {kind}",
            "styles",
            Scores.joined([each for each, _ in parts]),
            np.concatenate([reference for _, reference in parts]),
            segmenter,
        )
        for kind, parts in measured.items()
        if len(parts) > 1
    ]


def write_sheets(
    evaluation: Evaluation, cases: Sequence[Case], drawings: Path | None, guidance: float
) -> None:
    """The sheets whose cases were asked for; their pictures are there already, save for freehand drawings."""
    studio, classes = evaluation.studio, evaluation.segmenter.classes
    by_name = {(case.group, case.name): case for case in cases}
    wanted = [by_name.get(("control", name)) for name in (BASE, BOTH)]
    both = wanted[1]
    if all(wanted) and both is not None:
        drawn = evaluation.scenes(both)[:SHEET]
        columns = [pictures(case, studio, drawn) for case in wanted if case is not None]
        for number, page in enumerate(sheets.control_pages(drawn, columns, classes), start=1):
            sheets.save(page, evaluation.folder / f"control-{number}.jpg")
    styled = [case for (group, name), case in by_name.items() if group == "styles" and name.endswith(BOTH)]
    if styled and both is not None:
        drawn = evaluation.scenes(both)
        shown = min(STYLE_SHEET, *(len(evaluation.scenes(case)) for case in styled))
        each = [pictures(case, studio, evaluation.scenes(case)[:shown]) for case in (both, *styled)]
        sheets.save(sheets.styles_page(drawn[:shown], each, classes), evaluation.folder / "styles.jpg")
    if drawings is not None:
        page = sheets.freehand_page(
            sheets.read_drawings(drawings, classes), studio.pipeline, studio.steps, studio.scheduler, guidance
        )
        sheets.save(page, evaluation.folder / "freehand.jpg")


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
    one.add_argument("--steps", type=int, help="see generate (default: 20, or the modulator's most)")
    one.add_argument("--scheduler", help="see generate (default: the base's own)")
    one.add_argument("--guidance-scale", type=float, help=f"default: {GUIDANCE:g}, or the modulator's own")
    one.add_argument("--cases", nargs="+", metavar="NAME", help="groups or names of cases (default: all)")
    one.add_argument("--quick", action="store_true", help="few scenes, and the control cases alone")
    one.add_argument("--drawings", type=Path, metavar="DIR", help="drawings by hand for a sheet of their own")
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
    able = possible(cases, modulator)
    for case in cases:
        if case not in able:
            print(f"note: {case.name} is left out, as the modulator takes none of that", file=sys.stderr)
    settings = _settings(evaluation, guidance)
    told = rows(evaluation, able, settings)
    write_sheets(evaluation, able, options.drawings, guidance)
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
    """The cases with `guidance` for those that do not say their own."""
    return [replace(case, guidance_scale=guidance) if case.guidance_scale is None else case for case in cases]


def _opened(options: argparse.Namespace) -> Evaluation:
    count = options.count or (QUICK_COUNT if options.quick else COUNT)
    if count < 2 or (options.steps is not None and options.steps < 1):
        raise InputError("--count must be at least 2 and --steps at least 1.")
    pipeline = open_models(options.base, options.modulator, dtype=options.dtype, device=options.device)
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
    return Evaluation(studio, segmenter, options.out, count)


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
    return {
        "held-out scenes": f"{evaluation.count}, seeds from {HELD_OUT} on",
        **{name.replace("_", " "): value for name, value in made.items()},
        "guidance scale": guidance,
        "placement": DEFAULT_PLACEMENT,
        "parameters of the base": pipeline.base.parameter_count,
        "parameters of the modulator": pipeline.modulator.num_parameters(),
        "segmenter": f"{judge.network.num_parameters()} parameters, {judge.fingerprint}",
    }


def _kept_features(file: Path) -> np.ndarray | None:
    try:
        with np.load(file, allow_pickle=False) as kept:
            return kept["features"]
    except (OSError, ValueError, KeyError, EOFError):
        return None
