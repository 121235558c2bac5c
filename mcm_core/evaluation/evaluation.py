"""One run of the evaluation: its models, and what is drawn, painted and measured, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mcm_core.landscapes.render import HELD_OUT

from . import freehand, scores
from .cases import CASES, CONTROL, PARTIAL, Case
from .look import looks
from .pictures import Studio, digest, facts, fingerprint, pictures, renders, variants
from .scenes import REFERENCE, Drawn, scenes, scenes_in_order
from .scores import Reference, Scores
from .segmenter import Segmenter

REFERENCE_RATIO = 4  # reference renders for each picture


@dataclass
class Evaluation:
    """One run: its models, and the scenes and reference features of each style, made when first needed.

    `live` is the modulator of few steps on the same base, if there is one; `by_hand` the folder of drawings
    that no renderer made.
    """

    studio: Studio
    segmenter: Segmenter
    folder: Path
    count: int
    by_hand: Path
    live: Studio | None = None
    _scenes: dict[tuple[str, str], Sequence[Drawn]] = field(default_factory=dict)
    _features: dict[str, np.ndarray] = field(default_factory=dict)

    def painter(self, case: Case) -> Studio:
        """What makes the case's pictures."""
        if case.live_steps is None:
            return self.studio
        assert self.live is not None  # else the case is not possible
        return replace(self.live, steps=case.live_steps)

    def scenes(self, case: Case) -> Sequence[Drawn]:
        """What is drawn and said: of drawings by hand always all."""
        kind = (case.scenes, case.style)
        if kind not in self._scenes:
            alike = [each for each in CASES if (each.scenes, each.style) == kind]
            self._scenes[kind] = self._drawn(case, max(each.count(self.count) for each in alike))
        return self._scenes[kind][: None if case.scenes == "freehand" else case.count(self.count)]

    def reference(self, case: Case) -> Reference:
        """Of the case's scenes; those by hand have no renders, so that the control group's stand in."""
        alike = self.scenes(CONTROL[0] if case.scenes == "freehand" else case)
        features = self._reference(case.style) if case.scenes == "held out" else np.empty((0, 1))
        return Reference(features, looks(renders(alike)))

    def _reference(self, style: str) -> np.ndarray:
        """Features (m, F) of renders in a style, of scenes that no case draws."""
        if style not in self._features:
            share = max(each.share for each in CASES if (each.scenes, each.style) == ("held out", style))
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
        studio = self.painter(case)
        told = [fingerprint(scene) for scene in drawn]
        name = digest(facts(case, studio), self.segmenter.fingerprint, told, case.varied)
        file = self.folder / "scores" / f"{name}.npz"
        kept = scores.load(file)
        if kept is None:
            made = pictures(case, studio, drawn)
            more = max(2, len(drawn) // 10) if case.varied else 0
            varied = variants(case, studio, drawn, more) if more else made[:0, None]
            maps = [scene.partial if PARTIAL in case.inputs else scene.labels for scene in drawn]
            kept = scores.measure(made, maps, drawn, self.segmenter, varied)
            scores.save(kept, file)
        return kept

    def _drawn(self, case: Case, count: int) -> Sequence[Drawn]:
        """Scenes and drawings with no class that the judge does not know."""
        size, classes = self.studio.pipeline.base.default_size, len(self.segmenter.classes)
        if case.scenes == "freehand":
            return freehand.read(self.by_hand, size, classes)
        if case.scenes == "in order":
            return scenes_in_order(count, size, classes)
        return scenes(count, case.style, size, HELD_OUT, classes)

    def _render_features(self, style: str, count: int, file: Path) -> np.ndarray:
        size, classes = self.studio.pipeline.base.default_size, len(self.segmenter.classes)
        features = self.segmenter.read(renders(scenes(count, style, size, REFERENCE, classes))).features
        with file.open("wb") as stream:
            np.savez_compressed(stream, features=features)
        return features


def _kept_features(file: Path) -> np.ndarray | None:
    try:
        with np.load(file, allow_pickle=False) as kept:
            return kept["features"]
    except (OSError, ValueError, KeyError, EOFError):
        return None
