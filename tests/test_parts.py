"""Taking parts of a drawing away, and telling how the pictures differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo import grids, pictures
from demo.parts import ALL, CHANGE, area, parts, without
from mcm_core import Base, Modulator, Request
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.request import MAX_SEED, Resolved
from tests.pages import SIZE, halves


@pytest.fixture
def request_(base: Base, modulator: Modulator) -> Resolved:
    return Request(prompt="a lake", conditions=halves(), seeds=(7,)).resolved(base, modulator)


def test_every_class_and_every_other_map_is_a_part(modulator: Modulator) -> None:
    assert [part["key"] for part in parts(halves(), modulator.classes)] == ["labels:1", "labels:3", "sketch"]
    assert parts(halves().only([SKETCH]), modulator.classes) == []
    assert parts(Conditions(), modulator.classes) == []


def test_a_part_alone_is_taken_away(request_: Resolved) -> None:
    rest = without(request_, "labels:1", None)
    drawn = request_.conditions.maps[LABELS]
    np.testing.assert_array_equal(rest.conditions.maps[LABELS], np.where(drawn == 1, 0, drawn))
    assert SKETCH in rest.conditions.maps
    assert without(request_, "sketch", None).conditions == request_.conditions.only([LABELS])
    assert without(request_, CHANGE, Conditions()).conditions == Conditions()
    assert set(without(request_, ALL, None).strength.values()) == {0.0}
    assert replace(rest, conditions=request_.conditions) == request_


@pytest.mark.parametrize(
    "part",
    ["labels:2", "labels:0", "labels:", "labels:x", "labels:-1", "labels:" + 5000 * "9", "depth", CHANGE, ""],
)
def test_what_is_not_there_cannot_be_taken_away(request_: Resolved, part: str) -> None:
    with pytest.raises(InputError, match="not in the drawing"):
        without(request_, part, None)


def test_where_two_drawings_differ() -> None:
    rest = Conditions({LABELS: np.where(halves().maps[LABELS] == 1, np.uint8(0), np.uint8(3))})
    where = area(halves(sketch=False), rest, (SIZE, SIZE))
    np.testing.assert_array_equal(where, halves().maps[LABELS] == 1)
    assert area(halves(), Conditions(), (SIZE, SIZE)).all()
    assert not area(halves(), halves(), (SIZE, SIZE)).any()


def test_how_two_pictures_differ_inside_and_outside() -> None:
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    other = black.copy()
    other[:16] = 255
    where = np.zeros((SIZE, SIZE), bool)
    where[:32] = True
    told = pictures.difference(black, other, where)
    assert (told["share"], told["inside"], told["outside"]) == (0.25, 0.5, 0.0)
    assert pictures.difference(black, black, np.ones_like(where))["outside"] is None
    assert pictures.middle(where) == pytest.approx(49.2)
    assert pictures.outline(where).shape == (4 * SIZE, 4 * SIZE, 4)


def test_a_larger_copy_keeps_even_colours_and_edges_where_they_were() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, 4:] = 200
    large = pictures.enlarged(picture, 4)
    assert large.shape == (32, 32, 3)
    assert (large[:, :8] < 8).all()
    assert (abs(large[:, -8:].astype(int) - 200) < 8).all()


def test_a_row_varies_one_thing(request_: Resolved) -> None:
    strengths = [set(row.strength.values()) for _, row in grids.variants(request_, "strength")]
    assert strengths == [{0.0}, {0.25}, {0.5}, {0.75}, {1.0}]
    last = replace(request_, seeds=(MAX_SEED,))
    assert [row.seeds for _, row in grids.variants(last, "seed")] == [(MAX_SEED,), (0,), (1,), (2,)]
    late = replace(request_, start=0.5)
    assert [row.end for _, row in grids.variants(late, "end")] == [0.6, 0.8, 1.0]
    with pytest.raises(InputError, match="can vary"):
        grids.variants(request_, "steps")
    with pytest.raises(InputError, match="Nothing was drawn"):
        grids.variants(replace(request_, conditions=Conditions()), "strength")
