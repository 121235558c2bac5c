"""Uploaded drawings: maps, sketches and photos of every kind become conditions."""

from __future__ import annotations

import base64
import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms, ImageDraw, ImageFilter

from mcm_core.drawing.conditions import LABELS, SKETCH, InputError, LabelClass
from mcm_core.drawing.label_pictures import named, palettes, read_labels
from mcm_core.drawing.palette import palette_picture
from mcm_core.drawing.picture_files import open_picture
from mcm_core.drawing.sketches import edges, sketch_picture
from mcm_core.drawing.uploads import FITS, Reading, from_map, from_upload, guess_kind
from tests.uploaded import CLASSES, drawing, encoded, layout, photo

DISPLAY_P3 = zlib.decompress(
    base64.b64decode(
        "eNpjYGD8kpefl8rCwMCQm1dSFOTupBARGaXAgAQSk4sLGPCCb9cYGEH0ZV0G0gFnSmpxMpD+AMQGyQVFJQwMjCD7VcpLCkBsFyBb"
        "pAjoKCA7AsROh7BzQOwkCLsBrCYkyBnIngJkK6RD2FtA7CQI+wqInZtTmgy1F+RintS80GCQXiCWYXBhyGQoZihgyGFIZKhkUGAI"
        "YDDGoZ4DrD6PIR+IUxHhhQgHhFjzfQYG2/3////fjRDz2s/AsNGcgYFrJ0JMw4KBQZCbgeHEzoLEokSwEDMQM6WlMTB8Ws7AwBvJ"
        "wCB8AagnmlJ5AGDkTao="
    )
)
"""The colours of most phones and laptops, as an ICC profile."""


def large(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((image.width * 4, image.height * 4), 0))


def recall_and_precision(read: np.ndarray, truth: np.ndarray, slack: int = 5) -> tuple[float, float]:
    """Shares of strokes that are found, and of what is found that are strokes, within `slack` pixels."""
    near = np.ones((slack, slack), np.uint8)
    around_read, around_truth = (cv2.dilate(mask.astype(np.uint8), near) > 0 for mask in (read, truth))
    return (truth & around_read).sum() / truth.sum(), (read & around_truth).sum() / max(read.sum(), 1)


def in_mode(ids: np.ndarray, mode: str) -> Image.Image:
    """Ids as another program might store them."""
    gray = Image.fromarray(ids)
    if mode == "I;16":
        return Image.fromarray(ids.astype(np.uint16))
    if mode == "P":
        image = Image.fromarray(ids, "P")
        image.putpalette(
            [channel for id_ in range(256) for channel in (id_ * 7 % 256, id_ * 90 % 256, 255 - id_)]
        )
        return image
    if mode == "PA":
        return in_mode(ids, "P").convert("PA")
    if mode == "La":
        return gray.convert("LA").convert("La")
    return gray.convert(mode)


class TestPalette:
    @given(arrays.arrays(np.uint8, (9, 11), elements=st.integers(0, 4)))
    def test_round_trip(self, labels: np.ndarray) -> None:
        picture = Image.fromarray(palette_picture(labels, CLASSES))
        for image in (picture, picture.convert("RGB"), open_picture(encoded(picture))):
            read = read_labels(image, CLASSES)
            assert np.array_equal(read.maps.get(LABELS, np.zeros_like(labels)), labels)
            assert read.notes == ()

    def test_a_white_class_is_no_void(self) -> None:
        classes = (LabelClass("snow", "#ffffff"),)
        labels = np.ones((8, 8), np.uint8)
        labels[0] = 0
        read = read_labels(Image.fromarray(palette_picture(labels, classes)), classes)
        assert np.array_equal(read.maps[LABELS], labels)
        assert read.notes == ()

    @pytest.mark.parametrize("blank", ["#000000", "#808080", "#3c3c3c"])
    def test_black_or_one_even_grey_is_unpainted_and_told(self, blank: str) -> None:
        picture = palette_picture(layout(), CLASSES)[..., :3].copy()
        picture[layout() == 0] = tuple(bytes.fromhex(blank[1:]))
        drawn = from_upload(Image.fromarray(picture), CLASSES)
        assert np.array_equal(drawn.maps[LABELS], layout())
        assert any(blank in note and "unpainted" in note for note in drawn.notes)

    def test_a_small_area_of_an_unknown_colour_goes_to_the_most_similar_class_and_is_counted(self) -> None:
        picture = palette_picture(layout(), CLASSES)[..., :3].copy()
        picture[26:34, 10:20] = (0x50, 0x9A, 0x60)  # a green beside hill
        drawn = from_upload(Image.fromarray(picture), CLASSES)
        assert np.array_equal(drawn.maps[LABELS], layout())
        assert any(note.startswith("80 pixels") for note in drawn.notes)

    def test_colours_of_no_class_on_much_of_a_map_are_refused_with_those_that_are_known(self) -> None:
        picture = palette_picture(layout(), CLASSES)[..., :3].copy()
        picture[24:] = (0xFF, 0x00, 0x80)
        with pytest.raises(InputError, match=r"(?s)no class.*sky #8ec1ef.*ADE20K"):
            from_upload(Image.fromarray(picture), CLASSES, Reading("labels"))

    @pytest.mark.parametrize("form", ["PNG", "JPEG"])
    def test_blurred_edges_and_jpeg_make_no_third_class_between_two(self, form: str) -> None:
        image = Image.fromarray(palette_picture(layout(), CLASSES)[..., :3]).resize((256, 192), 0)
        truth = layout().repeat(4, axis=0).repeat(4, axis=1)
        blurred = image.filter(ImageFilter.GaussianBlur(1.5))
        options = {"quality": 60} if form == "JPEG" else {}
        drawn = from_upload(open_picture(encoded(blurred, form, **options)), CLASSES)
        read = drawn.maps[LABELS]
        assert (read == truth).mean() > 0.97
        assert drawn.notes == ()
        for row in range(2, 190):  # each pixel's class is there within a few pixels
            near = truth[max(0, row - 6) : row + 7]
            assert set(np.unique(read[row])) <= set(np.unique(near))

    @pytest.mark.parametrize("quality", [60, 75, 90])
    def test_a_jpeg_with_a_class_whose_colour_is_between_two_others(self, quality: int) -> None:
        """Between sky and sun there is the colour of sand, and no sand in the map."""
        extra = (
            LabelClass("sun", "#ffd43b"),
            LabelClass("mountain", "#857a72"),
            LabelClass("sand", "#e4c98a"),
        )
        classes = (*CLASSES, *extra)
        y, x = np.mgrid[:256, :256]
        truth = np.select([y < 102, y < 140, y < 192], [1, 6, 3], 4).astype(np.uint8)
        truth[np.hypot(x - 192, y - 51) < 25] = 5
        image = Image.fromarray(palette_picture(truth, classes)[..., :3])
        drawn = from_upload(open_picture(encoded(image, "JPEG", quality=quality)), classes)
        assert set(np.unique(drawn.maps[LABELS])) == set(np.unique(truth))
        assert (drawn.maps[LABELS] == truth).mean() > 0.998
        assert drawn.notes == ()

    @pytest.mark.parametrize("title", ["ADE20K", "COCO-Stuff"])
    def test_another_data_sets_colours_go_by_name(self, title: str) -> None:
        palette = next(palette for palette in palettes() if palette.title == title)
        shades = {
            name: tuple(color) for name, color in zip(palette.names, palette.table.tolist(), strict=True)
        }
        picture = np.zeros((40, 64, 3), np.uint8)
        picture[:10], picture[10:20], picture[20:30] = shades["sky"], shades["hill"], shades["sea"]
        picture[30:40] = shades["fence"]
        drawn = from_upload(Image.fromarray(picture), CLASSES)
        assert np.array_equal(drawn.maps[LABELS][:, 0], np.repeat([1, 3, 4, 0], 10))
        assert drawn.notes == (
            f"Read in the colours of {title}: sky, hill, sea.",
            "There is no class for fence: 25% stays unpainted.",
        )

    def test_names_differ_between_data_sets(self) -> None:
        classes = tuple(
            LabelClass(name, f"#0{i}0{i}0{i}") for i, name in enumerate(("water", "forest", "road"))
        )
        assert named(("sea", "lake", "tree", "sidewalk", "sofa"), classes).tolist() == [1, 1, 2, 3, 0]

    def test_a_profile_other_than_srgb_is_converted(self) -> None:
        picture = Image.fromarray(palette_picture(layout(), CLASSES)[..., :3])
        wide = ImageCms.getOpenProfile(io.BytesIO(DISPLAY_P3))
        shown = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), wide)
        assert shown is not None
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(picture)).max() > 8
        drawn = from_upload(open_picture(encoded(shown, icc_profile=DISPLAY_P3)), CLASSES)
        assert np.array_equal(drawn.maps[LABELS], layout())
        assert drawn.notes == ()

    def test_a_jpeg_of_a_map_is_a_map(self) -> None:
        image = Image.fromarray(palette_picture(layout(), CLASSES)[..., :3])
        drawn = from_upload(open_picture(encoded(image, "JPEG", quality=95)), CLASSES)
        assert (drawn.maps[LABELS] == layout()).mean() > 0.97


class TestIds:
    @settings(max_examples=120)
    @given(
        arrays.arrays(np.uint8, (12, 10), elements=st.integers(0, 4)).filter(
            lambda ids: len(np.unique(ids)) > 2
        ),
        st.sampled_from(["L", "I;16", "I", "F", "LA", "RGB", "RGBA", "PA", "P", "La"]),
        st.sampled_from([None, 254, 255]),
    )
    def test_any_mode_that_can_hold_ids_gives_them_back(
        self, ids: np.ndarray, mode: str, ignored: int | None
    ) -> None:
        held = np.where(ids == 0, ignored, ids).astype(np.uint8) if ignored else ids
        drawn = from_upload(in_mode(held, mode), CLASSES, Reading("labels"))
        assert np.array_equal(drawn.maps[LABELS], ids)

    @pytest.mark.parametrize("mode", ["L", "I;16", "I", "F", "LA", "RGB", "RGBA"])
    def test_ids_are_known_for_what_they_are(self, mode: str) -> None:
        drawn = from_upload(in_mode(layout(), mode), CLASSES)
        assert np.array_equal(drawn.maps[LABELS], layout())

    def test_transparent_pixels_are_unpainted(self) -> None:
        ids = layout()
        ids[ids == 0] = 2
        alpha = np.where(layout() == 0, 0, 255).astype(np.uint8)
        image = Image.merge("LA", (Image.fromarray(ids), Image.fromarray(alpha)))
        assert np.array_equal(from_upload(image, CLASSES).maps[LABELS], layout())

    def test_single_bits_told_to_be_a_map(self) -> None:
        image = Image.fromarray(layout() == 0)
        assert np.array_equal(from_upload(image, CLASSES, Reading("labels")).maps[LABELS], layout() == 0)

    def test_ids_that_count_from_0(self) -> None:
        shifted = layout()
        shifted[shifted == 0] = 1
        drawn = from_upload(Image.fromarray(shifted - 1), CLASSES)
        assert any("count from 0" in note for note in drawn.notes)
        told = from_upload(Image.fromarray(shifted - 1), CLASSES, Reading("labels", zero_based=True))
        assert np.array_equal(told.maps[LABELS], shifted)
        assert told.notes == ()
        with pytest.raises(InputError, match="up to 3"):
            from_upload(Image.fromarray(shifted), CLASSES, Reading("labels", zero_based=True))

    def test_ids_in_a_jpeg_are_refused(self) -> None:
        image = Image.fromarray(layout())
        with pytest.raises(InputError, match="JPEG"):
            from_upload(open_picture(encoded(image, "JPEG")), CLASSES, Reading("labels"))

    @pytest.mark.parametrize("order", [(1, 3), (3, 1)])
    def test_a_palette_of_two_colours_keeps_both_classes(self, order: tuple[int, int]) -> None:
        labels = np.where(layout() < 3, 1, 3).astype(np.uint8)
        image = Image.fromarray((labels == order[1]).astype(np.uint8), "P")
        image.putpalette([c for id_ in order for c in bytes.fromhex(CLASSES[id_ - 1].color[1:])])
        assert np.array_equal(from_upload(open_picture(encoded(image)), CLASSES).maps[LABELS], labels)

    def indexed(self, palette: list[int]) -> Image.Image:
        image = Image.fromarray(layout(), "P")
        image.putpalette(palette)
        return open_picture(encoded(image))

    def test_indices_whose_colors_are_the_classes_are_ids(self) -> None:
        table = [channel for c in CLASSES for channel in bytes.fromhex(c.color[1:])]
        assert np.array_equal(from_upload(self.indexed([0, 0, 0, *table]), CLASSES).maps[LABELS], layout())

    def test_indices_of_colors_unlike_any_class_are_ids(self) -> None:
        vivid = [0, 0, 0, 128, 0, 0, 0, 255, 0, 128, 128, 0, 255, 0, 255]  # the usual one of indexed PNGs
        assert np.array_equal(from_upload(self.indexed(vivid), CLASSES).maps[LABELS], layout())

    def test_colors_win_over_indices_in_another_order(self) -> None:
        picture = Image.fromarray(palette_picture(layout(), CLASSES)).convert("RGB")
        image = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=5)
        assert not np.array_equal(np.asarray(image), layout())
        assert np.array_equal(from_upload(image, CLASSES).maps[LABELS], layout())

    def test_ids_beyond_the_classes_are_refused(self) -> None:
        for value, dtype in ((5, np.uint8), (300, np.uint16), (-1, np.int32)):
            labels = layout().astype(dtype)
            labels[20, 20] = value
            with pytest.raises(InputError, match="ids go from 0"):
                from_upload(Image.fromarray(labels), CLASSES, Reading("labels"))


class TestSketch:
    @pytest.mark.parametrize(
        ("mode", "paper", "stroke"),
        [
            *[("RGB", "white", "black"), ("RGB", "black", "white"), ("RGB", "#fffbe8", "#2040c0")],
            *[("RGB", "white", "#ffe000"), ("L", 255, 0), ("L", 30, 220), ("1", 1, 0), ("1", 0, 1)],
            *[("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)), ("RGBA", (0, 0, 0, 0), (255, 255, 255, 255))],
            *[("LA", (255, 0), (0, 255)), ("LA", (0, 0), (255, 255)), ("P", 0, 1), ("P", 1, 0)],
        ],
    )
    def test_any_polarity_ink_and_transparency(self, mode: str, paper: object, stroke: object) -> None:
        image = drawing(paper, stroke, mode)
        if mode == "P":
            image.putpalette([255, 255, 255, 0, 0, 0])
        truth = np.asarray(drawing(0, 255, "L"))
        assert guess_kind(image, CLASSES) == "sketch"
        assert np.array_equal(from_upload(image, CLASSES).maps[SKETCH], truth)

    @given(arrays.arrays(np.bool_, (12, 10)).filter(lambda strokes: 0 < strokes.mean() < 0.5))
    def test_round_trip(self, strokes: np.ndarray) -> None:
        sketch = strokes.astype(np.uint8) * 255
        read = from_upload(Image.fromarray(sketch_picture(sketch)), CLASSES, Reading("sketch"))
        assert np.array_equal(read.maps[SKETCH], sketch)

    def test_soft_edges_and_pencil(self) -> None:
        soft = drawing("white", "#909090", width=3).resize((192, 160), Image.Resampling.BICUBIC)
        truth = np.asarray(drawing(0, 255, "L", width=3).resize((192, 160), Image.Resampling.NEAREST)) > 0
        read = from_upload(soft, CLASSES).maps[SKETCH] > 0
        assert (read & truth).sum() / (read | truth).sum() > 0.8

    def test_a_shaded_photo_of_a_drawing(self) -> None:
        shade = np.linspace(0.45, 1.0, 96)[None, :, None]
        image = Image.fromarray((np.asarray(drawing("white", "#202020")) * shade).astype(np.uint8))
        read = from_upload(image, CLASSES, Reading("sketch")).maps[SKETCH] > 0
        truth = np.asarray(drawing(0, 255, "L")) > 0
        assert (read & truth).sum() / (read | truth).sum() > 0.8

    @pytest.mark.parametrize(
        "image",
        [
            *[Image.new("RGB", (32, 32), "white"), Image.new("RGBA", (32, 32), (0, 0, 0, 0))],
            *[Image.new("LA", (32, 32), (0, 0)), Image.new("L", (32, 32), 0), Image.new("1", (32, 32), 1)],
        ],
    )
    def test_nothing_drawn_is_empty(self, image: Image.Image) -> None:
        assert from_upload(image, CLASSES).maps == {}

    @pytest.mark.parametrize("kind", ["auto", "sketch"])
    def test_pencil_on_paper_in_uneven_light(self, kind: str) -> None:
        shade = np.linspace(60, 235, 384)[None, :, None] + np.zeros((320, 1, 3))
        shade += np.random.default_rng(1).normal(0, 2, shade.shape)
        truth = large(drawing(0, 255, "L", width=1)) > 0
        image = Image.fromarray(np.clip(shade - 34 * truth[..., None], 0, 255).astype(np.uint8))
        read = from_upload(image, CLASSES, Reading(kind)).maps[SKETCH] > 0
        assert min(recall_and_precision(read, truth)) >= 0.9

    def test_strokes_on_a_layer_of_even_opacity(self) -> None:
        image = drawing("white", "black").convert("RGBA")
        image.putalpha(100)
        assert np.array_equal(from_upload(image, CLASSES).maps[SKETCH], np.asarray(drawing(0, 255, "L")))

    @pytest.mark.parametrize("kind", ["auto", "sketch"])
    @pytest.mark.parametrize("tilt", [0, 14])
    def test_a_sheet_on_a_table_is_cut_out_and_straightened(self, kind: str, tilt: int) -> None:
        sheet = np.asarray(drawing("#e8e8e0", "#303030", width=1).resize((384, 320), 0))
        corners = np.array([(60, 50), (444, 50), (444, 370), (60, 370)], np.float32)
        corners += np.array([(tilt, 0), (0, tilt), (-tilt, 0), (0, -tilt)], np.float32)
        turn = cv2.getPerspectiveTransform(
            np.array([(0, 0), (384, 0), (384, 320), (0, 320)], np.float32), corners
        )
        table = cv2.warpPerspective(
            sheet, turn, (500, 420), borderMode=cv2.BORDER_CONSTANT, borderValue=(70, 60, 50)
        )
        drawn = from_upload(Image.fromarray(table), CLASSES, Reading(kind))
        assert any("straightened" in note for note in drawn.notes)
        read = cv2.resize(drawn.maps[SKETCH], (384, 320), interpolation=cv2.INTER_AREA) > 100
        truth = large(drawing(0, 255, "L", width=1)) > 0
        assert min(recall_and_precision(read, truth, slack=13)) >= 0.9

    def test_a_drawing_that_fills_its_picture_is_not_cut(self) -> None:
        assert from_upload(drawing("white", "black"), CLASSES).notes == ()
        assert from_upload(drawing("black", "white"), CLASSES).notes == ()


class TestPhoto:
    def test_a_photo_is_known_and_becomes_its_outline(self) -> None:
        drawn = from_upload(photo(), CLASSES)
        assert guess_kind(photo(), CLASSES) == "photo"
        assert any("photo" in note for note in drawn.notes)
        y, x = np.nonzero(drawn.maps[SKETCH])
        assert np.abs(np.hypot(x - 100, y - 80) - 50).max() < 5, "no stroke off the disc's rim"
        covered = np.histogram(np.arctan2(y - 80, x - 100), bins=36, range=(-np.pi, np.pi))[0] > 0
        assert covered.mean() > 0.9

    def test_strokes_are_thin(self) -> None:
        strokes = edges(photo())
        assert set(np.unique(strokes)) == {0, 255}
        assert (strokes > 0).sum() < 2 * (2 * np.pi * 50)

    def test_the_same_photo_gives_the_same_strokes(self) -> None:
        assert np.array_equal(edges(photo()), edges(photo()))

    def test_blank_and_noisy_pictures_have_no_strokes(self) -> None:
        noise = 128 + np.random.default_rng(0).normal(0, 3, (96, 96, 1)).repeat(3, axis=2)
        assert not edges(Image.fromarray(noise.astype(np.uint8))).any()


class TestFitting:
    def test_a_map_of_another_size_is_resized_by_nearest(self) -> None:
        image = Image.fromarray(palette_picture(layout(), CLASSES))
        drawn = from_upload(image, CLASSES, Reading("labels"), (96, 128))
        assert np.array_equal(drawn.maps[LABELS], layout().repeat(2, axis=0).repeat(2, axis=1))
        assert drawn.notes == ()

    def test_a_changed_shape_is_told(self) -> None:
        drawn = from_upload(drawing("white", "black"), CLASSES, Reading("sketch"), (64, 64))
        assert drawn.maps[SKETCH].shape == (64, 64)
        assert drawn.notes == ("The picture of 96 x 80 pixels was cut to its middle.",)

    @pytest.mark.parametrize("fit", FITS)
    def test_circles_stay_round_unless_stretching_is_asked_for(self, fit: str) -> None:
        image = Image.new("L", (200, 100), 255)
        ImageDraw.Draw(image).ellipse([70, 20, 130, 80], outline=0, width=2)
        drawn = from_upload(image, CLASSES, Reading("sketch", fit), (100, 100))
        rows, columns = np.nonzero(drawn.maps[SKETCH])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert (height, width) == {"crop": (61, 61), "pad": (31, 31), "stretch": (61, 31)}[fit]
        assert any(fit in note or "middle" in note or "margins" in note for note in drawn.notes)

    def test_a_large_upload_shrinks_and_keeps_its_lines(self) -> None:
        image = Image.new("L", (4096, 3000), 255)
        ImageDraw.Draw(image).line([(0, 1500), (4095, 1500)], fill=0, width=3)
        sketch = from_upload(image, CLASSES).maps[SKETCH]
        assert sketch.shape == (1500, 2048)
        assert (sketch == 255).any(axis=0).all()

    def test_unknown_kinds_are_refused(self) -> None:
        with pytest.raises(InputError, match="labels, sketch, photo"):
            Reading("drawing")
        with pytest.raises(InputError, match="crop, pad, stretch"):
            Reading(fit="squeeze")

    def test_maps_of_other_modalities(self) -> None:
        image = Image.new("RGB", (16, 12), (10, 20, 30))
        assert from_map(image, "normals", 3).maps["normals"].shape == (12, 16, 3)
        assert from_map(Image.new("L", (16, 12), 40), "depth").maps["depth"].tolist() == [[40] * 16] * 12
        with pytest.raises(InputError, match="2 channels"):
            from_map(image, "flow", 2)


class TestAnyDrawing:
    """Whatever tool it comes from: the map that was painted, and the lines that were drawn."""

    @settings(max_examples=60)
    @given(
        st.integers(0, 2**32 - 1),
        st.tuples(st.integers(24, 200), st.integers(24, 200)),
        st.sampled_from(["RGB", "RGBA", "P", "P3", "WEBP", "TIFF"]),
        st.sampled_from([None, "black", "white", "transparent"]),
    )
    def test_a_map_comes_back_exactly(
        self, seed: int, size: tuple[int, int], form: str, void: str | None
    ) -> None:
        ids = regions(np.random.default_rng(seed), size, fewest=1 if void is None else 0)
        colors = np.array([[0, 0, 0], *CLASS_COLORS], np.uint8)
        colors[0] = 255 if void == "white" else 0
        image = Image.fromarray(colors[ids])
        if void == "transparent":
            image.putalpha(Image.fromarray(np.where(ids == 0, 0, 255).astype(np.uint8)))
        drawn = from_upload(open_picture(in_form(image, form)), CLASSES)
        assert np.array_equal(drawn.maps[LABELS], ids)

    @settings(max_examples=40)
    @given(
        st.integers(0, 2**32 - 1),
        st.sampled_from(
            [("white", "black"), ("black", "white"), ("#fffbe8", "#2040c0"), ("#303030", "#e0e0e0")]
        ),
        st.integers(2, 5),
        st.sampled_from(["PNG", "JPEG", "WEBP"]),
        st.sampled_from([0.5, 1.0, 3.0]),
    )
    def test_lines_are_found_and_nothing_else(
        self, seed: int, colors: tuple[str, str], width: int, form: str, scale: float
    ) -> None:
        random = np.random.default_rng(seed)
        side = round(256 * scale)
        points = [tuple(point) for point in random.integers(side // 16, side - side // 16, (7, 2)).tolist()]
        image, truth = Image.new("RGB", (side, side), colors[0]), Image.new("L", (side, side))
        for picture, ink in ((image, colors[1]), (truth, "white")):
            ImageDraw.Draw(picture).line(points, fill=ink, width=max(2, round(width * scale)))
        read = from_upload(open_picture(encoded(image, form)), CLASSES, Reading("sketch")).maps[SKETCH] > 0
        recall, precision = recall_and_precision(read, np.asarray(truth) > 0)
        assert recall >= 0.9, recall
        assert precision >= 0.9, precision


CLASS_COLORS = [tuple(bytes.fromhex(known.color[1:])) for known in CLASSES]


def regions(random: np.random.Generator, size: tuple[int, int], fewest: int) -> np.ndarray:
    """(H, W) ids from `fewest` on, as hands paint them: some boxes over a ground, most of it painted."""
    ids = np.full(size, 1, np.uint8)
    for id_ in [*random.integers(1, len(CLASSES) + 1, 6), fewest]:
        top, left = random.integers(0, size[0] - 8), random.integers(0, size[1] - 8)
        ids[top : top + random.integers(6, 40), left : left + random.integers(6, 40)] = id_
    return ids


def in_form(image: Image.Image, form: str) -> bytes:
    """The file of an RGB or RGBA picture as a tool might save it, none of which loses anything."""
    if form == "P3":
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        profile = ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3))
        shown = ImageCms.profileToProfile(image.convert("RGB"), ImageCms.createProfile("sRGB"), profile)
        assert shown is not None
        if alpha is not None:
            shown.putalpha(alpha)
        return encoded(shown, icc_profile=DISPLAY_P3)
    if form == "P" and image.mode == "RGB":
        return encoded(image.quantize(16))
    if form == "WEBP":
        return encoded(image, "WEBP", lossless=True, exact=True)
    return encoded(image.convert(form) if form in ("RGBA",) else image, "TIFF" if form == "TIFF" else "PNG")
