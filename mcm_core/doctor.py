"""`python -m mcm_core doctor`: whether a model's files are whole, whether a base and a modulator fit and how
quick they are here, and what a training on the base would take."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcm_core.drawing.conditions import Conditions, InputError, Modality
from mcm_core.models import add_options, open_models
from mcm_core.sums import SUMS, check_sums, write_sums
from mcm_core.weights import ANCHORS

if TYPE_CHECKING:
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline

FAMILIES = {
    "sd": "a Stable Diffusion 1.x or 2.x",
    "sdxl": "an SDXL",
    "ldm": "an unconditional latent model",
    "ddpm": "an unconditional pixel model",
}
TINY_DECODERS = {0.18215: "madebyollin/taesd", 0.13025: "madebyollin/taesdxl"}
"""By the scaling of the latents that they decode."""


def main(argv: Sequence[str]) -> int:
    """Check and say what was found; raises `InputError` with what is wrong."""
    given = parser().parse_args(argv)
    if given.model is not None:
        _check_files(given.model, given.write)
        return 0
    if given.base is None:
        raise InputError("Say --base, with --modulator if there is one, or --model for a folder alone.")
    _check_pair(given)
    return 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser("python -m mcm_core doctor", description=__doc__)
    pair = options.add_argument_group("a base, alone or with a modulator")
    pair.add_argument("--base", help="diffusers folder, hub id or .safetensors file")
    pair.add_argument("--modulator", help="its folder or hub id")
    add_options(pair)
    alone = options.add_argument_group("one folder")
    alone.add_argument("--model", type=Path, help="folder of a base, modulator or preview decoder")
    alone.add_argument(
        "--write", action="store_true", help=f"write {SUMS} where there is none, once the model opens"
    )
    return options


# -- a base and a modulator --------------------------------------------------------------------------------


def _check_pair(given: argparse.Namespace) -> None:
    for source in filter(None, (given.base, given.modulator)):
        _say("files", f"{source}: {_checked(Path(source))}")
    opening = {"dtype": given.dtype, "device": given.device, "low_memory": given.low_memory}
    pipeline = open_models(given.base, given.modulator, **opening)
    base, modulator = pipeline.base, pipeline.modulator
    _say("base", _described(base))
    _say("painting", _sampled(base))
    if modulator is not None:
        told = " ".join(pipeline.notes) or "it was made for this base."
        _say("modulator", f"fits: {_reads(modulator)}; {told}")
    _say("here", _one_step(pipeline))
    decoder = TINY_DECODERS.get(round(base.latent_scaling, 5))
    if base.preview_decoder is None and decoder:
        side = base.default_size[1] // base.downscale
        _say("previews", f"are {side} pixels wide; --preview-decoder {decoder} shows them as pictures")
    _say("training", _training(base, modulator))


def _say(what: str, text: str) -> None:
    print(f"{what:<11}{text}", flush=True)


def _checked(source: Path) -> str:
    if not source.is_dir():
        return "no local folder, so that nothing was compared"
    checked = check_sums(source, large=True)
    return f"{len(checked)} are as {SUMS} says" if checked else f"no {SUMS} to compare with"


def _described(base: Base) -> str:
    height, width = base.default_size
    few = ", made for few steps" if base.is_of_few_steps else ""
    return (
        f"{FAMILIES[base.family]}{few}: {base.parameter_count / 1e6:,.0f}M parameters in {base.dtype}"
        f" on {base.device}".replace("torch.", "")
        + f", predicts {base.prediction_type}, pictures of {width} x {height}"
    )


def _sampled(base: Base) -> str:
    guidance = f"guidance {base.default_guidance_scale:g}" if base.accepts_text else "no text"
    return f"{base.default_steps} steps of {base.scheduler_name()}, {guidance}, unless a request says more"


def _reads(modulator: Modulator) -> str:
    classes = f" ({len(modulator.classes)} classes)" if modulator.classes else ""
    named = ", ".join(kind.name + classes * (kind.kind == "labels") for kind in modulator.modalities)
    few = f"in {' or '.join(map(str, modulator.live.steps))} steps" if modulator.live else "in any steps"
    return f"it reads {named} {few}"


def _one_step(pipeline: MCMPipeline) -> str:
    """One step of a picture, with a drawing where a modulator reads one."""
    from mcm_core.control import NotFiniteError
    from mcm_core.request import Request

    drawn, modulator = Conditions(), pipeline.modulator
    if modulator is not None:
        drawn = Conditions({kind.name: _scribble(pipeline.base, kind) for kind in modulator.modalities})
    asked = Request(conditions=drawn, seeds=(0,), steps=None if modulator and modulator.live else 1)
    try:
        pipeline(asked)  # the first call prepares what later ones use
        result = pipeline(asked)
    except NotFiniteError as error:
        raise InputError(f"They paint no picture here. {error}") from error
    acted = ", with a drawing that the modulator acted on" if result.actions.any() else ""
    steps = "one step" if result.request.steps == 1 else f"{result.request.steps} steps"
    return f"a picture of {steps}{acted}: {result.seconds:.2f} s here, from prompt to pixels"


def _scribble(base: Base, kind: Modality) -> np.ndarray:
    """The lower half is of the first class, or a little brighter than paper."""
    height, width = base.default_size
    drawn = np.zeros((height, width) if kind.channels == 1 else (height, width, kind.channels), np.uint8)
    drawn[height // 2 :] = 1
    return drawn


def _training(base: Base, modulator: Modulator | None) -> str:
    """Of this modulator, or of a new one that reads a map of 16 classes and a sketch."""
    from mcm_core.modulator import Modulator
    from mcm_core.training.needs import described, memory_of, needs, seconds_of_a_picture
    from mcm_core.training.options import Options
    from mcm_core.training.precision import AUTO, choose_precision

    trained = modulator or Modulator.preset(Options.preset, **_typical(base))
    precision = choose_precision(AUTO, base.device)
    counted = needs(base, trained, base.default_size, precision)
    seconds = seconds_of_a_picture(base, counted, base.default_size)
    told = described(counted, Options.steps, Options.batch_size, 1, seconds, memory_of(base.device))
    return f"in {precision} takes {told}"


def _typical(base: Base) -> dict[str, object]:
    return {
        "latent_channels": base.latent_channels,
        "downscale": base.downscale,
        "modalities": [
            {"name": "labels", "kind": "labels", "channels": 1},
            {"name": "sketch", "kind": "image", "channels": 1},
        ],
        "classes": [{"name": f"class {index}", "color": "#000000"} for index in range(16)],
    }


# -- one folder --------------------------------------------------------------------------------------------


def _check_files(folder: Path, write: bool) -> None:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give the folder of a base or a modulator.")
    checked = check_sums(folder, large=True)
    print(f"{len(checked)} files are as {SUMS} says." if checked else f"There is no {SUMS} to check against.")
    print(f"It opens as {_opened(folder)}.")
    if write and not checked:
        write_sums(folder, deep=True)
        print(
            f"{folder / SUMS} is written: from now on the model is checked against it, and records name it."
        )


def _opened(folder: Path) -> str:
    """What the folder is; raises `InputError` where it does not open."""
    from mcm_core import Base, Modulator

    if (folder / ANCHORS["base"]).is_file():
        return f"the base {Base.from_pretrained(folder).id}"
    if _kind(folder) == "AutoencoderTiny":
        from mcm_core.base.preview_decoder import open_preview_decoder

        open_preview_decoder(folder)
        return "a preview decoder"
    modalities = Modulator.from_pretrained(folder).modalities
    return f"a modulator of {', '.join(modality.name for modality in modalities)}"


def _kind(folder: Path) -> str | None:
    """The class that the configuration names, if any."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError):
        return None
