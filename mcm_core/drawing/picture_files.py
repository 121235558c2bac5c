"""Any picture file -> RGB: the one place that decodes what people upload.

A file is refused by the size in its header before a pixel of it is decoded, and only raster formats are
opened (no EPS, no PDF). Every mode that Pillow knows becomes 8-bit RGB.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mcm_core.drawing.conditions import MIN_SIDE, InputError

MAX_PIXELS = 50_000_000
MAX_ASPECT = 16
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")

_UNREADABLE = "could not be read as a picture: it is damaged or of another kind. Save it as PNG or JPEG."


def open_picture(
    source: bytes | str | Path, judge: Callable[[Image.Image], object] | None = None
) -> Image.Image:
    """The first frame of a picture, decoded, from its bytes or its path.

    `judge` sees the header (size and text, no pixels) and may refuse the picture before it is decoded.

    Raises:
        InputError: no such file, not a picture, truncated, or a size that `check_size` refuses.
    """
    name = "The picture" if isinstance(source, bytes) else Path(source).name
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    Image.init()
    formats = [form for form in FORMATS if form in Image.OPEN]  # Pillow can be built without some
    try:
        image = Image.open(file, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(_too_large()) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}. Check the path.") from error
    except Exception as error:  # decoders raise anything from struct.error to SyntaxError on damaged files
        raise InputError(f"{name} {_UNREADABLE}") from error
    with image:
        check_size(image.size)
        if judge is not None:
            judge(image)
        try:
            image.load()
            return image.copy() if getattr(image, "n_frames", 1) > 1 else image  # frames need the open file
        except Exception as error:
            raise InputError(f"{name} {_UNREADABLE}") from error


def check_size(size: tuple[int, int]) -> None:
    """Raise `InputError` for a (width, height) that is too small, too large or too oblong to be a drawing."""
    short, long = sorted(size)
    if short * long > MAX_PIXELS:
        raise InputError(_too_large())
    if short < MIN_SIDE:
        raise InputError(f"The picture is {size[0]} x {size[1]} pixels; each side needs at least {MIN_SIDE}.")
    if long > MAX_ASPECT * short:
        raise InputError(f"The picture is {size[0]} x {size[1]} pixels, which is too oblong. Crop it.")


def _too_large() -> str:
    return f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels. Make it smaller."


def upright(image: Image.Image) -> Image.Image:
    """The first frame, turned as its EXIF orientation says."""
    if getattr(image, "is_animated", False):
        image.seek(0)
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data: the pixels are good, and how to turn them is unknown
        return image


def to_rgba(image: Image.Image) -> Image.Image:
    """Any picture as upright 8-bit RGBA; deep modes are rescaled, transparent palette entries stay so."""
    image = upright(image)
    if image.mode in DEEP_MODES:
        image = Image.fromarray(_eight_bits(image))
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA")


def to_rgb(image: Image.Image) -> np.ndarray:
    """Any picture as (H, W, 3) uint8: upright, first frame, transparency over white."""
    return over_white(to_rgba(image))


def over_white(rgba: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an RGBA picture laid on white paper."""
    paper = Image.new("RGB", rgba.size, "white")
    paper.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(paper)


def _eight_bits(image: Image.Image) -> np.ndarray:
    """A deep single-channel picture as (H, W) uint8.

    16-bit values span 0..65535. The wide modes I and F say nothing of their range, so the values decide: the
    smallest of 0..1 (F only), 0..255 and 0..65535 that holds them all, or else their own extremes.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        low, high = 0.0, next(top for top in ranges if high <= top)
    return np.rint((values - low) * (255.0 / (high - low))).astype(np.uint8)
