"""The request of a picture, written into its PNG: whoever has the file can make the picture again.

The text chunk "mcm" holds JSON: the request, the drawing as a canvas value, and which models and which
precision made the picture. Equal pictures of equal requests are equal files.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image, PngImagePlugin

from mcm_core.drawing.canvas_value import LAYERS, from_canvas, to_canvas
from mcm_core.drawing.conditions import Conditions, InputError
from mcm_core.drawing.picture_files import open_picture
from mcm_core.request import Request

if TYPE_CHECKING:
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator

AnyRequest = TypeVar("AnyRequest", bound=Request)

RECORD_VERSION = 1
CHUNK = "mcm"
MAX_MAPS_BYTES = 32_000_000
"""Of all maps in a record together, unpacked."""
MAX_CHARACTERS = 8_000_000
"""Of a record: as JSON of nothing but empty lists this fills less than 200 MB."""
CHANGED = "The picture was changed after it was made: its settings were restored, not its pixels."

_NOT_A_RECORD = "The record in this picture is damaged or of a newer version: {}. Use an unchanged file."


@dataclass(frozen=True)
class Origin:
    """Which models made a picture, and in which precision; modulator fields are None where there was none.

    `base_sums` stands for all files of the base, text encoder and autoencoder, too: see `Base.sums`. It is
    None where these lie without their sums, and in older records.
    """

    base: str
    base_fingerprint: str
    modulator: str | None
    modulator_fingerprint: str | None
    dtype: str
    device: str
    base_sums: str | None = None

    @classmethod
    def of(cls, base: Base, modulator: Modulator | None) -> Origin:
        return cls(
            base=base.id,
            base_fingerprint=base.fingerprint,
            modulator=None if modulator is None else _name(modulator),
            modulator_fingerprint=None if modulator is None else _fingerprint(modulator),
            dtype=str(base.dtype).removeprefix("torch."),
            device=base.device.type,
            base_sums=base.sums,
        )

    def differences(self, now: Origin) -> tuple[str, ...]:
        """For people: why a picture made `now` will not be this one; empty where it will."""
        notes = []
        if self.base_fingerprint != now.base_fingerprint:
            notes.append(f"it was made with the base {self.base}, and this is {now.base}")
        elif None not in (self.base_sums, now.base_sums) and self.base_sums != now.base_sums:
            notes.append(f"it was made with other files of the base {self.base}")
        if self.modulator_fingerprint != now.modulator_fingerprint:
            notes.append(f"it was made with {_with(self.modulator)}, and now with {_with(now.modulator)}")
        if (self.dtype, self.device) != (now.dtype, now.device):
            notes.append(
                f"it was made in {self.dtype} on {self.device}, and now in {now.dtype} on {now.device}"
            )
        return tuple(notes)


@dataclass(frozen=True)
class Record:
    """What a PNG tells: the request, and the models that made it (None where the writer did not say).

    Attributes:
        pixels: SHA-256 of the picture, see `digest`; None in records of older versions.
    """

    request: Request
    origin: Origin | None = None
    pixels: str | None = None

    def is_of(self, image: np.ndarray) -> bool:
        """Whether (H, W, 3) uint8 is the picture as it was made, as far as the record tells."""
        return self.pixels is None or self.pixels == digest(image)


def of_picture(request: AnyRequest, index: int, plain: bool = False) -> AnyRequest:
    """The request of one picture of a batch, or of its plain counterpart, by itself."""
    off = dict.fromkeys([*request.strength, *request.conditions.maps], 0.0)
    single = replace(request, seeds=(request.seeds[index],), compare=False, previews=True)
    return replace(single, strength=off) if plain else single


# -- PNG ---------------------------------------------------------------------------------------------------


def write_png(image: np.ndarray, request: Request, origin: Origin | None = None) -> bytes:
    """(H, W, 3) uint8 -> the bytes of a PNG that carries its request."""
    text = PngImagePlugin.PngInfo()
    text.add_text(CHUNK, to_json(Record(request, origin, digest(image))))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", pnginfo=text)
    return file.getvalue()


def read_png(source: bytes | str | Path) -> Request:
    """The request in a PNG's bytes or file. See `read_record`."""
    return read_record(source).request


def digest(image: np.ndarray) -> str:
    """SHA-256 of a picture's size and pixels, (H, W, 3) uint8, in hex."""
    sums = hashlib.sha256(json.dumps(image.shape).encode())
    sums.update(np.ascontiguousarray(image).data)
    return sums.hexdigest()


def open_recorded(
    source: bytes | str | Path, judge: Callable[[Record], object], takes: Collection[str] | None = None
) -> tuple[Image.Image, Record | None]:
    """A picture that is its record's size, and the record if there is one.

    `takes` are the modalities that there is a use for, None for all: no map of another is inflated. `judge`
    may refuse the record; no pixel of a refused picture is decoded.

    Raises:
        InputError: no picture, a damaged record, or a picture of another size than its request's.
    """
    records: list[Record] = []

    def read(image: Image.Image) -> None:
        text = image.info.get(CHUNK)
        if text is not None:
            record = from_json(text, takes)
            _require_size(record.request, image.size)
            judge(record)
            records.append(record)

    image = open_picture(source, read)
    if not records:  # other writers put text behind the pixels
        read(image)
    return image, records[0] if records else None


def _require_size(request: Request, size: tuple[int, int]) -> None:
    if (request.width, request.height) != size:
        raise InputError(
            f"The picture is {size[0]} x {size[1]} pixels and its record is of one of {request.width} x "
            f"{request.height}: it was resized or cropped. Use the unchanged file."
        )


def read_record(source: bytes | str | Path) -> Record:
    """The record in a PNG's bytes or file.

    Raises:
        InputError: no picture, one without a record, or a record that does not read exactly as written here.
    """
    text = getattr(open_picture(source), "text", {}).get(CHUNK)
    if text is None:
        raise InputError(
            "This picture carries no record of how it was made. Use a PNG saved by this program."
        )
    return from_json(text)


# -- JSON --------------------------------------------------------------------------------------------------


def to_json(record: Record) -> str:
    """One line of ASCII with sorted keys."""
    request = {f.name: getattr(record.request, f.name) for f in fields(Request)}
    conditions = request.pop("conditions")
    drawing = to_canvas(conditions) if _is_canvas(conditions) else None
    others = sorted(conditions.maps.keys() - (LAYERS if drawing else ()))
    content = {
        "version": RECORD_VERSION,
        "request": {**request, "strength": dict(record.request.strength)},
        "drawing": drawing,
        "maps": {name: _packed(conditions.maps[name]) for name in others},
        "origin": asdict(record.origin) if record.origin else None,
        **({"pixels": record.pixels} if record.pixels else {}),
    }
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))


def from_json(text: str, takes: Collection[str] | None = None) -> Record:
    """The record that `to_json` wrote; see `read_record`. `Request.resolved` judges the values.

    `takes`: see `open_recorded`.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(_NOT_A_RECORD.format("it is too long"))
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(_NOT_A_RECORD.format("it is no JSON")) from error
    pixels = content.pop("pixels", None) if isinstance(content, dict) else None
    _require_keys(content, {"version", "request", "drawing", "maps", "origin"}, "record")
    if not isinstance(pixels, str | None):
        raise InputError(_NOT_A_RECORD.format("its digest is of another type"))
    if type(content["version"]) is not int or content["version"] != RECORD_VERSION:
        raise InputError(_NOT_A_RECORD.format(f"only version {RECORD_VERSION} can be read"))
    return Record(_request(content, takes), _origin(content["origin"]), pixels)


def _request(content: Mapping[str, Any], takes: Collection[str] | None) -> Request:
    values = content["request"]
    if isinstance(values, dict):  # older records come from before there was a boost
        values = {"prompt_boost": 1.0, **values}
    _require_keys(values, {f.name for f in fields(Request)} - {"conditions"}, "request")
    if not isinstance(values["seeds"], list) or not isinstance(values["strength"], dict):
        raise InputError(_NOT_A_RECORD.format("its seeds or strengths are of another type"))
    for name in values.keys() - {"seeds", "strength"}:
        if isinstance(values[name], dict | list):
            raise InputError(_NOT_A_RECORD.format(f"its {name} is of another type"))
    conditions = _conditions(content["drawing"], content["maps"], takes)
    return Request(**{**values, "seeds": tuple(values["seeds"]), "conditions": conditions})


def _conditions(drawing: Any, maps: Any, takes: Collection[str] | None) -> Conditions:
    drawn = Conditions() if drawing is None else from_canvas(drawing)
    if not isinstance(maps, dict) or maps.keys() & drawn.maps.keys():
        raise InputError(_NOT_A_RECORD.format("its maps are of another type"))
    unused = [name for name in maps if takes is not None and name not in takes]
    if unused:
        raise InputError(f"This picture was made of a {unused[0]:.60} map, which no model here takes.")
    if sum(_size(packed) for packed in maps.values()) > MAX_MAPS_BYTES:
        raise InputError(_NOT_A_RECORD.format("its maps are too large"))
    return Conditions({**drawn.maps, **{name: _unpacked(packed) for name, packed in maps.items()}})


def _is_canvas(conditions: Conditions) -> bool:
    """Whether a canvas value tells all of labels and sketch: of one size, strokes of 255, something drawn."""
    drawn = conditions.only(LAYERS)
    try:
        return bool(drawn.maps) and from_canvas(to_canvas(drawn)) == drawn
    except InputError:
        return False


def _origin(values: Any) -> Origin | None:
    if values is None:
        return None
    if isinstance(values, dict):
        values = {"base_sums": None, **values}
    _require_keys(values, {f.name for f in fields(Origin)}, "origin")
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise InputError(_NOT_A_RECORD.format("its origin is of another type"))
    return Origin(**values)


def _require_keys(values: Any, wanted: set[str], what: str) -> None:
    if not isinstance(values, dict) or values.keys() != wanted:
        raise InputError(
            _NOT_A_RECORD.format(f"its {what} has other entries than {', '.join(sorted(wanted))}")
        )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _packed(drawn: np.ndarray) -> dict[str, Any]:
    """A uint8 map of any shape as JSON."""
    data = zlib.compress(drawn.tobytes(), 9)
    return {"shape": list(drawn.shape), "zlib": base64.b64encode(data).decode("ascii")}


def _unpacked(packed: Any) -> np.ndarray:
    """The map that `_packed` wrote; no more is inflated than its shape says."""
    size, shape = _size(packed), packed["shape"]
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(packed["zlib"], validate=True), size + 1)
    except (TypeError, ValueError, zlib.error) as error:
        raise InputError(_NOT_A_RECORD.format("a map is damaged")) from error
    if len(data) != size:
        raise InputError(_NOT_A_RECORD.format("a map is damaged"))
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def _size(packed: Any) -> int:
    """The bytes of a map by its shape."""
    _require_keys(packed, {"shape", "zlib"}, "map")
    shape = packed["shape"]
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise InputError(_NOT_A_RECORD.format("a map has an impossible shape"))
    if not 2 <= len(shape) <= 3:
        raise InputError(_NOT_A_RECORD.format("a map has an impossible shape"))
    return math.prod(shape)


def _fingerprint(modulator: Modulator) -> str:
    """Of all weights, so that a modulator trained one step further is another."""
    digest = hashlib.sha256()
    for name, value in sorted(modulator.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _name(modulator: Modulator) -> str:
    """The hub id, or the name of the folder without the path to it."""
    source = str(modulator.config.get("_name_or_path") or "unnamed")
    return Path(source).resolve().name if Path(source).exists() else source


def _with(modulator: str | None) -> str:
    return f"the modulator {modulator}" if modulator else "no modulator"
