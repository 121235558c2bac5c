"""The pictures of a case: made once, kept as PNGs, and found again by the settings that made them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from mcm_core.pipeline import MCMPipeline, to_uint8
from mcm_core.record import Origin
from mcm_core.request import Request

from .cases import Case, only, request
from .scenes import Drawn, HeldOut
from .segmenter import to_signed

VARIANTS = 4  # pictures of one drawing from different noise, where the diversity is measured
NEXT_NOISE = 100_000  # between the seeds of two of them


@dataclass(frozen=True)
class Studio:
    """What makes the pictures of all cases, and where they are kept."""

    pipeline: MCMPipeline
    folder: Path
    steps: int | None = None
    scheduler: str | None = None

    def identity(self) -> dict[str, object]:
        """All that a picture depends on besides its case and its scene."""
        origin = asdict(Origin.of(self.pipeline.base, self.pipeline.modulator))
        made = Request(steps=self.steps, scheduler=self.scheduler)
        asked = made.resolved(self.pipeline.base, self.pipeline.modulator)
        told = {"steps": asked.steps, "scheduler": asked.scheduler, "prompt_boost": asked.prompt_boost}
        return {**origin, **told}


def digest(*facts: object) -> str:
    """12 hex digits that stand for facts which JSON can tell."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def facts(case: Case, studio: Studio) -> dict[str, object]:
    """All that the case's pictures depend on but what is drawn. Cases that differ in name alone share
    them."""
    told = ("name", "group", "share", "varied", "scenes", "live_steps")
    asked = {name: value for name, value in asdict(case).items() if name not in told}
    own = studio.identity()
    boost = own["prompt_boost"] if case.prompt_boost is None else case.prompt_boost
    return {**asked, **own, "prompt_boost": boost}


def fingerprint(scene: Drawn) -> str:
    """12 hex digits that stand for what is drawn and said, and for the render."""
    maps = [each.tobytes() for each in (scene.labels, scene.partial, scene.sketch)]
    render = scene.picture.tobytes() if isinstance(scene, HeldOut) else b""
    return digest(hashlib.sha256(b"".join([*maps, render])).hexdigest(), scene.prompt, scene.noise)


def pictures(case: Case, studio: Studio, scenes: Sequence[Drawn], count: int | None = None) -> np.ndarray:
    """One picture for each of the first scenes, by default for all: (n, H, W, 3) uint8."""
    if case.source == "render":
        return renders(scenes[:count])
    return np.stack([*_kept(case, studio, scenes, range(len(scenes[:count])), 1)])


def renders(scenes: Sequence[Drawn]) -> np.ndarray:
    """The renders of scenes that have them, (n, H, W, 3) uint8."""
    return np.stack([scene.picture for scene in scenes if isinstance(scene, HeldOut)])


def variants(case: Case, studio: Studio, scenes: Sequence[Drawn], drawings: int) -> np.ndarray:
    """Several pictures for each of the first drawings: (drawings, VARIANTS, H, W, 3) uint8."""
    made = np.stack([*_kept(case, studio, scenes, range(drawings), VARIANTS)])
    return made.reshape(drawings, VARIANTS, *made.shape[1:])


def _kept(
    case: Case, studio: Studio, scenes: Sequence[Drawn], indices: Sequence[int], each: int
) -> Iterator[np.ndarray]:
    made_by = facts(case, studio)
    folder = studio.folder / digest(made_by)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "facts.json").write_text(json.dumps(made_by, indent=1), encoding="utf-8")
    jobs = [(index, variant) for index in indices for variant in range(each)]
    with only(case.only, studio.pipeline.modulator):  # type: ignore[arg-type]
        for index, variant in tqdm(jobs, case.name, unit="picture", leave=False):
            file = folder / f"{index:05d}-{fingerprint(scenes[index])}-{variant}.png"
            picture = _opened(file)
            if picture is None:
                picture = _made(case, studio, scenes[index], scenes[index].noise + variant * NEXT_NOISE)
                _save(picture, file)
            yield picture


def _made(case: Case, studio: Studio, scene: Drawn, seed: int) -> np.ndarray:
    base = studio.pipeline.base
    if case.source == "codec":
        image = to_signed(torch.from_numpy(renders([scene])))
        return to_uint8(base.decode(base.encode(image)))[0]
    asked = request(case, scene, seed, studio.steps, studio.scheduler, base.accepts_text)
    return studio.pipeline(asked).images[0]


def _opened(file: Path) -> np.ndarray | None:
    """A picture that was kept; None where there is none, or one that does not open."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError:
        return None


def _save(picture: np.ndarray, file: Path) -> None:
    """All or nothing, so that a run which is killed leaves no half picture."""
    partial = file.with_suffix(".part")
    Image.fromarray(picture).save(partial, "PNG")
    os.replace(partial, file)
