"""`python -m mcm_core generate`: a drawing and a prompt in, PNGs out, each with its own request inside."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from PIL import Image

from mcm_core.devices import is_here
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError, Size
from mcm_core.drawing.picture_files import open_picture, to_rgb
from mcm_core.drawing.uploads import FITS, Reading, fitted, from_map, from_upload
from mcm_core.files import write_whole
from mcm_core.models import add_options, open_models

if TYPE_CHECKING:
    from mcm_core.pipeline import MCMPipeline, Result
    from mcm_core.record import Origin, Record
    from mcm_core.request import Request, Resolved

PHOTO = "photo"
EPILOG = """
The PNG carries its whole request: `generate --from out.png --out again.png` makes it again, byte for byte,
and options beside --from change what they name. With --compare the picture without modulation is written
beside each picture as NAME-plain.png; with several seeds the pictures are NAME-SEED.png.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (--help lists the options)")


def parser() -> argparse.ArgumentParser:
    """Options that were not given are not in the result, so that those of a record can stand in for them."""
    options = _Parser(
        "python -m mcm_core generate",
        description="Make pictures from a drawing and a prompt.",
        epilog=EPILOG,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    drawing = options.add_argument_group("drawing")
    drawing.add_argument("--labels", metavar="PNG", help="label map: class ids, or the classes' colours")
    drawing.add_argument("--sketch", metavar="PNG", help="line drawing, dark on light or light on dark")
    drawing.add_argument("--photo", metavar="JPG", help="a photo whose edges are the sketch")
    drawing.add_argument("--map", action="append", type=_pair, metavar="NAME=PNG", help="another modality")
    drawing.add_argument("--fit", choices=FITS, help="how a drawing of another shape is fitted (crop)")
    drawing.add_argument("--zero-based", action="store_true", help="the label map's ids count from 0")
    _add_request(options.add_argument_group("picture"))
    models = options.add_argument_group("models")
    models.add_argument(
        "--base", help="diffusers folder, hub id or .safetensors file (default: the shipped one)"
    )
    models.add_argument(
        "--modulator", help="its folder or hub id (default: the shipped one, on the shipped base)"
    )
    add_options(models)
    files = options.add_argument_group("files")
    files.add_argument("--from", dest="source", metavar="PNG", help="take the request from this picture")
    files.add_argument("--out", required=True, type=Path, metavar="PNG", help="the file to write")
    files.add_argument("--json", action="store_true", help="print timings and the resolved request to stdout")
    return options


def _add_request(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--prompt")
    group.add_argument("--negative-prompt")
    group.add_argument(
        "--seed", dest="seeds", type=int, nargs="+", metavar="N", help="-1, the default: random"
    )
    group.add_argument("--steps", type=int)
    group.add_argument("--guidance-scale", type=float)
    group.add_argument("--scheduler", help="ddim, euler, dpmsolver++, unipc, ... (default: the base's own)")
    group.add_argument("--width", type=int)
    group.add_argument("--height", type=int)
    group.add_argument(
        "--strength", action="append", type=_pair, metavar="NAME=X", help="labels=0.5; default 1"
    )
    group.add_argument("--start", type=float, help="when the modulation begins, from 0")
    group.add_argument("--end", type=float, help="when it ends, up to 1")
    group.add_argument("--placement", help="under guidance: both, conditional or guided")
    group.add_argument(
        "--prompt-boost",
        type=float,
        metavar="X",
        help="guide the prompt X times as much while the drawing acts (default: the modulator's own)",
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument("--plain", action="store_true", help="the base alone: every strength is 0")
    which.add_argument("--compare", action="store_true", help="also write the picture without modulation")


def main(argv: Sequence[str]) -> int:
    """Run the sub-command; 0 when the pictures are written. Errors are `InputError` and `EngineError`."""
    _quieten_libraries()
    given = vars(parser().parse_args(argv))
    _check_out(given["out"])
    images = _open_images(given)
    clock = time.perf_counter()
    from mcm_core.record import CHANGED, Origin, read_record

    record = read_record(given["source"]) if "source" in given else None
    pipeline = _open_models(given, record)
    origin, loading = Origin.of(pipeline.base, pipeline.modulator), time.perf_counter() - clock
    request = _request(given, record, images, pipeline)
    notes = [*pipeline.notes, *request.conditions.notes]
    if record and record.origin:
        notes += [f"{given['source']}: {difference}" for difference in record.origin.differences(origin)]
    if record and not record.is_of(to_rgb(open_picture(given["source"]))):
        notes.append(f"{given['source']}: {CHANGED}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    result = _run(pipeline, request.resolved(pipeline.base, pipeline.modulator))
    pictures = _write(given["out"], result, origin)
    paths = [path for picture in pictures for path in (picture.path, picture.plain_path) if path]
    print(_report(result, pictures, origin, loading, notes) if "json" in given else "\n".join(paths))
    return 0


# -- what was asked for ------------------------------------------------------------------------------------


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _check_out(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise InputError(f"--out must end in .png, not {out.name}: only PNGs carry their request.")
    if not out.resolve().parent.is_dir():
        raise InputError(f"There is no folder {out.parent}. Make it first.")
    if out.is_dir() or not os.access(out.resolve().parent, os.W_OK):
        raise InputError(f"{out} cannot be written. Give --out a file in a folder of your own.")


def _open_images(given: Mapping[str, Any]) -> dict[str, Image.Image]:
    """All pictures that were named, by modality or as "photo"; before the models, as these take long."""
    if SKETCH in given and PHOTO in given:
        raise InputError("Give --sketch or --photo, not both: a photo's edges become the sketch.")
    named = {name: given[name] for name in (LABELS, SKETCH, PHOTO) if name in given}
    return {name: open_picture(path) for name, path in [*named.items(), *given.get("map", ())]}


def _open_models(given: Mapping[str, Any], record: Record | None) -> MCMPipeline:
    """The models asked for, on the device and in the precision of the record where that device is here."""
    origin = record.origin if record else None
    same = origin if origin and is_here(origin.device) else None
    return open_models(
        given.get("base"),
        given.get("modulator"),
        dtype=given.get("dtype", same.dtype if same else None),
        device=given.get("device", same.device if same else None),
        low_memory="low_memory" in given,
        plain=origin is not None and origin.modulator is None and "modulator" not in given,
    )


def _request(
    given: Mapping[str, Any], record: Record | None, images: Mapping[str, Image.Image], pipeline: MCMPipeline
) -> Request:
    """The record's request, or the default one, with what was given in its place."""
    from mcm_core.request import RANDOM_SEED, Request

    request = record.request if record else Request(seeds=(RANDOM_SEED,))
    changes = {f.name: given[f.name] for f in fields(Request) if f.name in given}
    if "seeds" in given:
        changes["seeds"] = tuple(given["seeds"])
    changes["strength"] = _strength(given, request, pipeline)
    request = replace(request, **changes, previews=False)
    if pipeline.modulator is None and "plain" in given:
        return replace(request, conditions=Conditions())
    if pipeline.modulator is None and images:
        raise InputError("There is a drawing, but no modulator that could follow it. Name one: --modulator.")
    height, width = pipeline.base.default_size
    how = Reading(fit=given.get("fit", "crop"), zero_based="zero_based" in given)
    size = request.height or height, request.width or width
    recorded = request.conditions
    if record and size != (record.request.height or height, record.request.width or width):
        recorded = fitted(recorded, size, how.fit)
    if images:
        given_anew = [_modality(name) for name in images]
        kept = recorded.only(name for name in recorded.maps if name not in given_anew)
        recorded = kept.joined(_conditions(images, pipeline, size, how))
    return replace(request, conditions=recorded)


def _modality(name: str) -> str:
    """What a picture that was named is drawn for."""
    return SKETCH if name == PHOTO else name


def _strength(given: Mapping[str, Any], request: Request, pipeline: MCMPipeline) -> dict[str, float]:
    """What was given, over what the record says of the modalities that this modulator has."""
    known = [modality.name for modality in pipeline.modulator.modalities] if pipeline.modulator else []
    if "plain" in given:
        return dict.fromkeys(known, 0.0)
    recorded = {name: value for name, value in request.strength.items() if name in known}
    return recorded | {name: _number(value) for name, value in given.get("strength", ())}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"A strength must be a number, as in --strength labels=0.5, not {text!r:.40}."
        ) from error


def _conditions(
    images: Mapping[str, Image.Image], pipeline: MCMPipeline, size: Size, how: Reading
) -> Conditions:
    """The pictures as one drawing of `size`."""
    classes = pipeline.modulator.classes if pipeline.modulator else ()
    channels = {m.name: m.channels for m in pipeline.modulator.modalities} if pipeline.modulator else {}
    drawn = Conditions()
    for name, image in images.items():
        if name in (LABELS, SKETCH, PHOTO):
            read = from_upload(image, classes, replace(how, kind=name), size)
        else:
            read = fitted(from_map(image, name, channels.get(name, 1)), size, how.fit)
        if not read.maps:
            read = Conditions({}, (*read.notes, f"Nothing to draw was found in the picture for --{name}."))
        drawn = drawn.joined(read)
    return drawn


# -- making and writing ------------------------------------------------------------------------------------


def _run(pipeline: MCMPipeline, request: Resolved) -> Result:
    """The result, with a progress bar on stderr. The engine gives failures their short messages."""
    from tqdm import tqdm

    from mcm_core.engine import Engine
    from mcm_core.pipeline import Result, Step

    # Every step is told when it is done: whoever watches, a person or a program, knows where it stands.
    with tqdm(desc="Painting", unit="step", file=sys.stderr, mininterval=0, miniters=1) as bar:
        for event in Engine(pipeline.paint, deadline_s=math.inf).generate(request):
            if isinstance(event, Step):
                bar.total = event.total
                bar.update()
            elif isinstance(event, Result):
                return event
    raise AssertionError("the engine ends in a result or an error")


@dataclass(frozen=True)
class _Written:
    """Where the pictures of one seed lie."""

    seed: int
    path: str
    plain_path: str | None = None


def _write(out: Path, result: Result, origin: Origin) -> list[_Written]:
    from mcm_core.record import of_picture, write_png

    written = []
    for index, seed in enumerate(result.request.seeds):
        path = out if len(result.request.seeds) == 1 else out.with_stem(f"{out.stem}-{seed}")
        write_whole(path, write_png(result.images[index], of_picture(result.request, index), origin))
        plain_path = None
        if result.plain_images is not None:
            plain_path = path.with_stem(f"{path.stem}-plain")
            request = of_picture(result.request, index, plain=True)
            write_whole(plain_path, write_png(result.plain_images[index], request, origin))
        written.append(_Written(seed, str(path), str(plain_path) if plain_path else None))
    return written


def _report(
    result: Result, pictures: Sequence[_Written], origin: Origin, loading: float, notes: Sequence[str]
) -> str:
    """What --json prints: seconds are of the wall clock, `per_step` the mean over all calls of the base."""
    request = result.request
    calls = len(result.gamma_actions)
    content = {
        "pictures": [asdict(picture) for picture in pictures],
        "request": {f.name: getattr(request, f.name) for f in fields(request)}
        | {"conditions": {name: list(drawn.shape) for name, drawn in request.conditions.maps.items()}},
        "origin": asdict(origin),
        "seconds": {"loading": loading, "painting": result.seconds, "per_step": result.seconds / calls},
        "steps": calls,
        "notes": list(notes),
    }
    return json.dumps(content, indent=2)


def _quieten_libraries() -> None:
    """Keep advice for developers off the terminal of people; errors still come through."""
    for name in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(name, "error")
    warnings.filterwarnings("ignore", module="diffusers|transformers|huggingface_hub")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("mcm_core").setLevel(logging.ERROR)
