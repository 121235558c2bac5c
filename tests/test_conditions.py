"""Drawings as data: canvas values, run lengths, resizing and tensors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mcm_core.drawing.canvas_value import decode_runs, encode_runs, from_canvas, to_canvas
from mcm_core.drawing.conditions import (
    LABELS,
    SKETCH,
    Conditions,
    InputError,
    LabelClass,
    Modality,
    check,
    resize_map,
    to_tensors,
)

CLASSES = (LabelClass("sky", "#8ec1ef"), LabelClass("hill", "#6a9a4c"), LabelClass("sea", "#2b5fae"))
MODALITIES = (Modality(LABELS, "labels"), Modality(SKETCH, "image"), Modality("depth", "image", 3))
sides = st.integers(8, 24)


def id_maps(largest: int = 3, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    ids = st.integers(least, largest)
    return st.tuples(sides, sides).flatmap(lambda size: arrays.arrays(np.uint8, size, elements=ids))


def canvas(**changes: object) -> dict[str, object]:
    return {"version": 1, "width": 8, "height": 8, "labels": "2x64", "sketch": "", "revision": 4} | changes


class TestRuns:
    def test_known_text(self) -> None:
        assert encode_runs(np.array([[0, 0, 3], [3, 1, 1]], np.uint8)) == "0x2,3x2,1x2"

    def test_nothing_drawn_is_the_empty_text(self) -> None:
        assert encode_runs(np.zeros((4, 5), np.uint8)) == ""
        assert not decode_runs("", (4, 5), 3).any()

    @given(id_maps(255))
    def test_round_trip(self, ids: np.ndarray) -> None:
        assert np.array_equal(decode_runs(encode_runs(ids), ids.shape, 255), ids)

    @given(id_maps())
    def test_writers_are_canonical(self, ids: np.ndarray) -> None:
        runs = [run.split("x")[0] for run in encode_runs(ids).split(",")]
        assert all(left != right for left, right in itertools.pairwise(runs))

    def test_readers_accept_neighbouring_runs_of_one_id(self) -> None:
        assert np.array_equal(decode_runs("1x3,1x1", (2, 2), 1), np.ones((2, 2)))

    @pytest.mark.parametrize(
        "text",
        [
            *[
                "1x3",
                "1x5",
                "4x4",
                "1x0,1x4",
                "1x-4",
                "1x4,",
                ",1x4",
                "1 x4",
                "1x4 ",
                "x4",
                "1x",
                "1",
                "1x2x2",
            ],
            *["١x4", "1e0x4", "1x4\n", "1x999999999", "1x9999999999999999999999", "1x2,999x2"],
            "0x1," * 200 + "1x4",
        ],
    )
    def test_malformed_runs_are_refused(self, text: str) -> None:
        with pytest.raises(InputError):
            decode_runs(text, (2, 2), 3)

    @given(st.text("0123456789x,- ", max_size=30).filter(lambda text: text != ""))
    def test_any_text_is_read_right_or_refused(self, text: str) -> None:
        try:
            ids = decode_runs(text, (3, 4), 9)
        except InputError:
            return
        runs = [tuple(map(int, run.split("x"))) for run in text.split(",")]
        assert ids.ravel().tolist() == [i for i, count in runs for _ in range(count)]


class TestCanvas:
    @given(id_maps(), st.data())
    def test_round_trip(self, labels: np.ndarray, data: st.DataObject) -> None:
        sketch = data.draw(arrays.arrays(np.uint8, labels.shape, elements=st.sampled_from([0, 255])))
        drawn = Conditions({LABELS: labels, SKETCH: sketch})
        assert from_canvas(to_canvas(drawn), CLASSES) == drawn

    def test_what_is_not_drawn_is_absent(self) -> None:
        assert from_canvas(canvas(labels="", sketch=""), CLASSES).maps == {}
        assert from_canvas(canvas(labels="0x64", sketch="0x64"), CLASSES).maps == {}
        assert set(from_canvas(canvas(labels="", sketch="1x64"), CLASSES).maps) == {SKETCH}

    def test_strokes_are_255(self) -> None:
        sketch = from_canvas(canvas(sketch="0x60,1x4"), CLASSES).maps[SKETCH]
        assert sketch.dtype == np.uint8
        assert sketch.ravel().tolist() == [0] * 60 + [255] * 4

    def test_an_empty_drawing_has_the_size_asked_for(self) -> None:
        value = to_canvas(Conditions(), (32, 48))
        assert (value["height"], value["width"], value["labels"], value["sketch"]) == (32, 48, "", "")

    @pytest.mark.parametrize("name", ["version", "width", "height", "revision"])
    @pytest.mark.parametrize("wrong", [None, True, "8", 8.0, float("nan"), [8], {}])
    def test_numbers_of_another_type_are_refused(self, name: str, wrong: object) -> None:
        with pytest.raises(InputError, match="whole number"):
            from_canvas(canvas(**{name: wrong}), CLASSES)

    @pytest.mark.parametrize(
        "changes",
        [
            *[{"version": 0}, {"version": 2}, {"version": 10**5000}, {"width": 0}, {"width": -8}],
            *[{"height": 2049}, {"width": 10**9, "height": 10**9, "labels": ""}, {"extra": 1}],
            *[{"labels": None}, {"labels": 5}, {"sketch": ["1x64"]}],
            *[{"labels": "4x64"}, {"sketch": "2x64"}, {"labels": "1x63"}],
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(InputError):
            from_canvas(canvas(**changes), CLASSES)

    @pytest.mark.parametrize("value", [None, "", [], 5, {}, {"version": 1}])
    def test_what_is_no_canvas_value_is_refused(self, value: object) -> None:
        with pytest.raises(InputError, match="entries"):
            from_canvas(value, CLASSES)

    def test_a_huge_count_allocates_nothing(self) -> None:
        import tracemalloc

        tracemalloc.start()
        with pytest.raises(InputError):
            from_canvas(canvas(labels=",".join(["1x999999999"] * 50)), CLASSES)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000


class TestConditions:
    @pytest.mark.parametrize(
        "wrong", [[[1]], np.zeros((8, 8)), np.zeros(8, np.uint8), np.zeros((1, 1, 8, 8), np.uint8)]
    )
    def test_maps_are_uint8_pictures(self, wrong: object) -> None:
        with pytest.raises(InputError, match="uint8"):
            Conditions({LABELS: wrong})  # type: ignore[dict-item]

    def test_where_nothing_is_drawn_there_is_no_map(self) -> None:
        blank = np.zeros((8, 8), np.uint8)
        drawn = Conditions({LABELS: blank, SKETCH: blank, "depth": blank}, ("a note",))
        assert drawn == Conditions({"depth": blank})
        assert drawn.notes == ("a note",)

    def test_equality_is_that_of_the_maps(self) -> None:
        ones = np.ones((8, 8), np.uint8)
        assert Conditions({LABELS: ones}, ("a note",)) == Conditions({LABELS: ones.copy()})
        assert Conditions({LABELS: ones}) != Conditions({LABELS: ones * 2})
        assert Conditions({LABELS: ones}) != Conditions({SKETCH: ones})
        assert Conditions({LABELS: ones}) != Conditions({LABELS: ones, SKETCH: ones})

    def test_joining_takes_the_larger_size_and_all_notes(self) -> None:
        small = Conditions({LABELS: np.full((8, 8), 2, np.uint8)}, ("one",))
        large = Conditions({SKETCH: np.full((16, 24), 255, np.uint8)}, ("two",))
        both = small.joined(large)
        assert {name: drawn.shape for name, drawn in both.maps.items()} == {
            LABELS: (16, 24),
            SKETCH: (16, 24),
        }
        assert both.notes == ("one", "two")
        assert Conditions().joined(Conditions()).maps == {}


class TestResizing:
    @given(id_maps(), sides, sides)
    def test_no_new_ids_appear(self, labels: np.ndarray, height: int, width: int) -> None:
        resized = resize_map(LABELS, labels, (height, width))
        assert resized.shape == (height, width)
        assert set(np.unique(resized)) <= set(np.unique(labels))

    @given(id_maps(), st.integers(2, 5))
    def test_ids_survive_a_whole_enlargement_and_back(self, labels: np.ndarray, factor: int) -> None:
        large = resize_map(LABELS, labels, (labels.shape[0] * factor, labels.shape[1] * factor))
        assert np.array_equal(large, np.kron(labels, np.ones((factor, factor), np.uint8)))
        assert np.array_equal(resize_map(LABELS, large, labels.shape), labels)

    @given(st.integers(0, 199), st.integers(16, 199), st.booleans())
    def test_a_line_of_one_pixel_survives_any_reduction(self, at: int, side: int, across: bool) -> None:
        sketch = np.zeros((200, 200), np.uint8)
        sketch[at] = 255
        reduced = resize_map(SKETCH, sketch.T if across else sketch, (side, side))
        reduced = reduced.T if across else reduced
        assert set(np.unique(reduced)) == {0, 255}
        strokes = (reduced == 255).all(axis=1)
        assert 1 <= strokes.sum() <= 2, "one line stays one line of at most two pixels"
        assert abs(np.flatnonzero(strokes).mean() - (at + 0.5) * side / 200 + 0.5) <= 1

    def test_a_slanted_line_survives_unbroken(self) -> None:
        sketch = np.eye(512, dtype=np.uint8) * 255
        reduced = resize_map(SKETCH, sketch, (64, 64))
        assert (np.diag(reduced) == 255).all()

    def test_blank_paper_stays_blank(self) -> None:
        assert not resize_map(SKETCH, np.zeros((100, 90), np.uint8), (33, 41)).any()

    def test_other_maps_are_averaged(self) -> None:
        depth = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((4, 4), np.uint8))
        assert (resize_map("depth", np.tile(depth, (2, 2)), (2, 2)) == 128).all()


class TestTensors:
    def drawn(self) -> Conditions:
        labels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
        sketch = (labels == 3).astype(np.uint8) * 255
        return Conditions({LABELS: labels, SKETCH: sketch, "depth": np.full((8, 8, 3), 51, np.uint8)})

    def test_they_hold_the_maps(self) -> None:
        tensors = to_tensors(self.drawn(), (8, 8))
        assert {tensor.dtype for tensor in tensors.values()} == {torch.uint8}
        assert torch.equal(tensors[LABELS][0], torch.arange(64).reshape(8, 8) % 4)
        assert torch.equal(tensors[SKETCH], (tensors[LABELS] == 3) * 255)
        assert torch.equal(tensors["depth"], torch.full((1, 3, 8, 8), 51))

    def test_they_have_the_size_asked_for(self) -> None:
        tensors = to_tensors(self.drawn(), (16, 24))
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
            LABELS: (1, 16, 24),
            SKETCH: (1, 16, 24),
            "depth": (1, 3, 16, 24),
        }

    @pytest.mark.parametrize(
        ("maps", "message"),
        [
            ({"pose": np.zeros((8, 8), np.uint8)}, "no pose map"),
            ({LABELS: np.full((8, 8), 4, np.uint8)}, "id 4"),
            ({LABELS: np.ones((8, 8, 1), np.uint8)}, "shape"),
            ({"depth": np.zeros((8, 8), np.uint8)}, "1 channels, but 3"),
        ],
    )
    def test_what_the_modulator_does_not_take_is_refused(
        self, maps: dict[str, np.ndarray], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            check(Conditions(maps), MODALITIES, CLASSES)


@settings(max_examples=20)
@given(id_maps(3, 1))
def test_a_drawing_from_the_browser_reaches_the_network_unchanged(labels: np.ndarray) -> None:
    drawn = from_canvas(to_canvas(Conditions({LABELS: labels})), CLASSES)
    tensors = to_tensors(drawn, labels.shape)
    assert np.array_equal(tensors[LABELS][0].numpy(), labels)
