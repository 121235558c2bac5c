"""Files of pictures: every kind, mode and size becomes RGB, or is refused in words."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mcm_core.drawing.conditions import LABELS, InputError
from mcm_core.drawing.picture_files import open_picture, to_rgb
from mcm_core.drawing.uploads import Reading, from_upload, guess_kind
from mcm_core.landscapes.easel import CLASSES as LANDSCAPE
from tests.uploaded import CLASSES, encoded, photo

MODES = [
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I",
    "F",
    "LA",
    "PA",
    "La",
    "RGBa",
    "RGBX",
]
DEEP = ["I;16", "I;16L", "I;16B"]
ORIENTATION = 0x0112


def pixel(image: Image.Image) -> list[int]:
    return to_rgb(image)[0, 0].tolist()


class TestToRgb:
    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(MODES + DEEP), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.data()
    )
    def test_any_mode_size_and_orientation_is_rgb(
        self, mode: str, width: int, height: int, orientation: int, data: st.DataObject
    ) -> None:
        values = data.draw(st.binary(min_size=8, max_size=8))
        image = Image.new(mode, (width, height))
        image.frombytes((values * (len(image.tobytes()) // 8 + 1))[: len(image.tobytes())])
        image.getexif()[ORIENTATION] = orientation
        rgb = to_rgb(image)
        assert rgb.dtype == np.uint8
        assert rgb.shape == (
            (width, height, 3) if orientation >= 5 and orientation <= 8 else (height, width, 3)
        )

    def test_turns_as_the_camera_was_held(self) -> None:
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:8, :16] = (255, 0, 0)
        lying = Image.fromarray(np.rot90(picture).copy())  # orientation 6: turn by 90 degrees clockwise
        for form in ("PNG", "TIFF"):
            exif = Image.Exif()
            exif[ORIENTATION] = 6
            assert np.array_equal(to_rgb(open_picture(encoded(lying, form, exif=exif))), picture), form

    def test_damaged_exif_is_ignored(self) -> None:
        image = Image.new("RGB", (16, 16), "red")
        for exif in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0garbage", b"\0"):
            assert pixel(open_picture(encoded(image, exif=exif))) == [255, 0, 0]

    def test_transparency_becomes_white(self) -> None:
        assert pixel(Image.new("RGBA", (8, 8), (0, 0, 0, 0))) == [255, 255, 255]
        assert pixel(Image.new("LA", (8, 8), (0, 0))) == [255, 255, 255]
        assert pixel(Image.new("RGBA", (8, 8), (0, 0, 0, 128))) == [127, 127, 127]
        assert pixel(Image.new("RGBA", (8, 8), (9, 8, 7, 255))) == [9, 8, 7]

    def test_transparent_palette_entries_and_color_keys_become_white(self) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([9, 9, 9, 200, 0, 0])
        assert pixel(open_picture(encoded(image))) == [200, 0, 0]
        assert pixel(open_picture(encoded(image, transparency=1))) == [255, 255, 255]
        assert pixel(open_picture(encoded(image, transparency=b"\xff\x00"))) == [255, 255, 255]
        key = Image.new("RGB", (8, 8), (1, 2, 3))
        assert pixel(open_picture(encoded(key, transparency=(1, 2, 3)))) == [255, 255, 255]

    def test_sixteen_bits_are_scaled_not_clipped(self) -> None:
        ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, axis=0)
        read = to_rgb(open_picture(encoded(Image.fromarray(ramp))))
        assert np.array_equal(read[..., 0], np.arange(256)[None].repeat(16, axis=0))

    @pytest.mark.parametrize(
        ("mode", "value", "gray"),
        [
            *[
                ("1", 1, 255),
                ("L", 77, 77),
                ("I", 77, 77),
                ("I", 25700, 100),
                ("F", 0.2, 51),
                ("F", 77.0, 77),
            ],
            *[("F", float("nan"), 0), ("F", float("inf"), 0)],
        ],
    )
    def test_gray_of_other_depths(self, mode: str, value: float, gray: int) -> None:
        assert pixel(Image.new(mode, (8, 8), value)) == [gray] * 3

    def test_values_beyond_any_usual_range_keep_their_order(self) -> None:
        image = Image.fromarray(np.array([[-1000, 0, 1000]], np.int32))
        assert to_rgb(image)[0, :, 0].tolist() == [0, 128, 255]

    def test_cmyk(self) -> None:
        assert pixel(Image.new("CMYK", (8, 8), (0, 255, 255, 0))) == [255, 0, 0]

    @pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_ids_are_read_of_what_keeps_every_pixel(self, form: str) -> None:
        ids = np.arange(4, dtype=np.uint8).repeat(256).reshape(32, 32) % (len(CLASSES) + 1)
        options = {"lossless": True} if form == "WEBP" else {}
        image = open_picture(encoded(Image.fromarray(ids), form, **options))
        assert np.array_equal(from_upload(image, CLASSES, Reading("labels")).maps[LABELS], ids)

    @pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
    def test_ids_are_not_read_of_what_loses_some(self, form: str) -> None:
        """WebP knows no grey of 4 and 11 of 255: all mountains would be suns."""
        ids = np.arange(4, dtype=np.uint8).repeat(256).reshape(32, 32) % (len(CLASSES) + 1)
        image = open_picture(encoded(Image.fromarray(ids), form, quality=100))
        with pytest.raises(InputError, match="saved with losses"):
            from_upload(image, CLASSES, Reading("labels"))

    @pytest.mark.parametrize("pen", ["#ff0000", "#ff00ff", "#000080"])
    def test_a_pen_in_one_colour_of_another_data_set_draws_a_sketch(self, pen: str) -> None:
        sheet = Image.new("RGB", (256, 256), "white")
        ImageDraw.Draw(sheet).line([(20, 200), (120, 60), (230, 190)], pen, 4)
        assert guess_kind(sheet, LANDSCAPE) == "sketch"

    def test_the_first_frame_of_an_animation(self) -> None:
        frames = [Image.new("RGB", (16, 16), color) for color in ("#ff0000", "#00ff00")]
        for form in ("GIF", "PNG", "WEBP"):
            options = {"lossless": True} if form == "WEBP" else {}
            data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
            later = Image.open(io.BytesIO(data))
            later.seek(1)
            assert pixel(open_picture(data)) == [255, 0, 0]
            assert pixel(later) == [255, 0, 0]


def huge_png(side: int) -> bytes:
    """A valid gray PNG of side x side pixels, made row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), bytes(side + 1)
    rows = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class TestRefusals:
    @pytest.mark.parametrize("size", [(1, 1), (7, 64), (20000, 1), (20000, 20), (64, 1100)])
    def test_sizes_that_are_no_drawing(self, size: tuple[int, int]) -> None:
        image = Image.new("L", size)
        with pytest.raises(InputError, match="pixels"):
            open_picture(encoded(image))
        with pytest.raises(InputError, match="pixels"):
            from_upload(image, CLASSES)

    @pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
    def test_truncated_files(self, form: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        data = encoded(Image.fromarray(noise), form)
        for keep in (1, 10, len(data) // 2):
            with pytest.raises(InputError, match="damaged"):
                open_picture(data[:keep])

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP"]), st.data())
    def test_damaged_files_are_read_or_refused(self, form: str, data: st.DataObject) -> None:
        file = bytearray(encoded(photo().resize((24, 24)), form))
        for _ in range(data.draw(st.integers(1, 8))):
            file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
        try:
            image = open_picture(bytes(file))
        except InputError:
            return
        assert to_rgb(image).shape[2] == 3

    @given(st.binary(max_size=200))
    def test_bytes_that_are_no_picture(self, data: bytes) -> None:
        with pytest.raises(InputError, match="damaged or of another kind"):
            open_picture(data)

    def test_vector_and_document_formats_are_not_opened(self) -> None:
        for data in (
            encoded(Image.new("RGB", (16, 16)), "EPS"),
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        ):
            with pytest.raises(InputError, match="another kind"):
                open_picture(data)

    def test_missing_files_and_folders(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no file nothing"):
            open_picture(tmp_path / "nothing.png")
        with pytest.raises(InputError, match="could not be read"):
            open_picture(tmp_path)

    def test_warnings_as_errors_do_not_change_the_answer(self) -> None:
        header = huge_png(13000)[:200]
        for filters in ("error", "ignore"):
            with warnings.catch_warnings():
                warnings.simplefilter(filters)
                with pytest.raises(InputError, match="million pixels"):
                    open_picture(header)  # Pillow itself only warns of such a size

    def test_a_bomb_is_refused_in_less_than_100_mb(self, tmp_path: Path) -> None:
        (tmp_path / "bomb.png").write_bytes(huge_png(13000))
        program = (
            "import resource, sys\n"
            "from mcm_core.drawing.picture_files import InputError, open_picture\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "before = peak()\n"
            "try:\n    open_picture(sys.argv[1])\n"
            "except InputError as error:\n    print(peak() - before, error)\n"
        )
        command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "bomb.png")]
        kilobytes, message = subprocess.check_output(command, text=True).split(" ", 1)
        assert int(kilobytes) < 100_000
        assert "50 million pixels" in message

    @pytest.mark.parametrize(
        ("mode", "side", "form", "kind"),
        [
            ("I;16", 7000, "PNG", "sketch"),
            ("I;16", 7000, "PNG", "labels"),
            ("P", 7000, "PNG", "auto"),
            ("RGB", 6000, "PNG", "auto"),
            ("RGB", 7000, "JPEG", "photo"),
        ],
    )
    def test_a_large_upload_costs_less_than_200_mb(
        self, tmp_path: Path, mode: str, side: int, form: str, kind: str
    ) -> None:
        path = tmp_path / "large"
        Image.new(mode, (side, side)).save(path, form)
        program = (
            "import resource, sys\n"
            "from mcm_core.drawing.conditions import LabelClass\n"
            "from mcm_core.drawing.picture_files import open_picture\n"
            "from mcm_core.drawing.uploads import Reading, from_upload\n"
            "from PIL import Image, ImageCms\n"
            "classes = (LabelClass('sky', '#8ec1ef'),)\n"
            "from_upload(Image.new('RGB', (64, 64)), classes, Reading(sys.argv[2]))\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "before = peak()\n"
            "from_upload(open_picture(sys.argv[1]), classes, Reading(sys.argv[2]), (256, 256))\n"
            "print(peak() - before)\n"
        )
        kilobytes = subprocess.check_output([sys.executable, "-c", program, str(path), kind], text=True)
        assert int(kilobytes) < 200_000, kilobytes
