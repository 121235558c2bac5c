"""Any picture file -> RGB: the one place that decodes what people bring.

A file is refused by the size in its header before a pixel of it is decoded, and only raster formats are
opened (no EPS, no PDF). Every mode that Pillow knows becomes 8-bit sRGB. Memory is bounded: a large JPEG is
decoded at a part of its size, and whoever reads a picture shrinks it before anything else (`shrunk`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps

from mcm_core.drawing.conditions import MAX_SIDE, MIN_SIDE, InputError, Size

MAX_PIXELS = 50_000_000
MAX_DECODED = 150_000_000
"""Bytes that a decoded picture may take; Pillow holds colours in four bytes a pixel."""
BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""A pixel's bytes in memory by mode; all others take four."""
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "PPM")
LOSSY = "lossy"
"""Where `info` holds this, values were changed when the file was written."""
MAX_ASPECT = 16
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
ORIENTATION = ExifTags.Base.Orientation
QUARTER_TURNS = (5, 6, 7, 8)
"""Orientations that change width and height."""
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
    with _header(source) as image:
        check_size(image.size)
        if judge is not None:
            judge(image)
        try:
            image.draft(None, (MAX_SIDE, MAX_SIDE))  # of JPEG alone: no smaller than this
            _check_memory(image)
            image.load()
            lossy = {LOSSY: True} if _is_lossy(image, source) else {}
            whole = image.copy() if getattr(image, "n_frames", 1) > 1 else image  # frames need the open file
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{_name(source)} {_UNREADABLE}") from error
    whole.info.update(lossy)
    return whole


def _is_lossy(image: ImageFile.ImageFile, source: bytes | str | Path) -> bool:
    """Whether pixels may be other ones than were saved."""
    if image.format != "WEBP":
        return image.format not in LOSSLESS
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    place, kinds = 12, list[bytes]()
    while place + 8 <= len(data):
        kinds.append(data[place : place + 4])
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return b"VP8L" not in kinds


def upright_size(source: bytes | str | Path) -> Size:
    """(height, width) of a picture as it is seen, from its header alone.

    Raises:
        InputError: no such file, or not a picture.
    """
    with _header(source) as image:
        try:
            is_turned = image.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
        except Exception:  # damaged EXIF data, see `upright`
            is_turned = False
        width, height = image.size
    return (width, height) if is_turned else (height, width)


def _header(source: bytes | str | Path) -> ImageFile.ImageFile:
    """The picture opened, none of its pixels decoded."""
    Image.init()
    formats = [form for form in FORMATS if form in Image.OPEN]  # Pillow can be built without some
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(_too_large()) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no file {_name(source)}. Check the path.") from error
    except Exception as error:  # decoders raise anything from struct.error to SyntaxError on damaged files
        raise InputError(f"{_name(source)} {_UNREADABLE}") from error


def _name(source: bytes | str | Path) -> str:
    return "The picture" if isinstance(source, bytes) else Path(source).name


def check_size(size: tuple[int, int]) -> None:
    """Raise `InputError` for a (width, height) that is too small, too large or too oblong to be a drawing."""
    short, long = sorted(size)
    if short * long > MAX_PIXELS:
        raise InputError(_too_large())
    if short < MIN_SIDE:
        raise InputError(f"The picture is {size[0]} x {size[1]} pixels; each side needs at least {MIN_SIDE}.")
    if long > MAX_ASPECT * short:
        raise InputError(f"The picture is {size[0]} x {size[1]} pixels, which is too oblong. Crop it.")


def _check_memory(image: Image.Image) -> None:
    most = MAX_DECODED // BYTES.get(image.mode, 4)
    if image.width * image.height > most:
        raise InputError(_too_large(most))


def _too_large(most: int = MAX_PIXELS) -> str:
    return f"The picture has more than {most // 1_000_000} million pixels. Make it smaller."


def shrunk(image: Image.Image, longest: int, how: Image.Resampling) -> Image.Image:
    """The picture with no side longer than `longest` pixels and none shorter than the least.

    Palettes and single bits cannot be averaged: such pictures are thinned out to twice the size first.
    """
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    if how is not Image.Resampling.NEAREST and image.mode in ("1", "P", "PA"):
        image = to_rgba(shrunk(image, 2 * longest, Image.Resampling.NEAREST))
        return shrunk(image, longest, how)
    width, height = (max(MIN_SIDE, round(side * scale)) for side in image.size)
    return image.resize((width, height), how)


def upright(image: Image.Image) -> Image.Image:
    """The first frame, turned as its EXIF orientation says."""
    if getattr(image, "is_animated", False):
        image.seek(0)
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data: the pixels are good, and how to turn them is unknown
        return image


def to_rgba(image: Image.Image) -> Image.Image:
    """Any picture as upright 8-bit sRGB with alpha.

    Deep modes are rescaled, transparent palette entries stay so, colours go through the picture's profile.
    """
    image = upright(image)
    if image.mode in DEEP_MODES:
        image = Image.fromarray(_eight_bits(image))
    if image.mode == "La":
        image = image.convert("LA")
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return (_in_srgb(image, profile) or image).convert("RGBA")
    rgba = image.convert("RGBA")
    colors = _in_srgb(rgba.convert("RGB"), profile) if image.mode not in ("1", "L", "LA") else None
    if colors is not None:
        colors.putalpha(rgba.getchannel("A"))
    return colors or rgba


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """An RGB or CMYK picture from its ICC profile's colours to sRGB; None without a profile that fits."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):  # damaged, or of another colour space
        return None


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
