"""Classes that few maps show are named: a brush for them would hardly do anything."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mcm_core.drawing.conditions import LabelClass
from mcm_core.training.coverage import Coverage, classes_in
from mcm_core.training.rows import spread

CLASSES = tuple(LabelClass(name, "#000000") for name in "abcdefghijkl")
OFTEN = dict.fromkeys(range(1, 13), 50)


def seldom(maps: int, shown: dict[int, int]) -> str:
    return Coverage(maps, Counter(shown)).seldom(CLASSES)


def test_what_one_map_in_twenty_shows_goes_unsaid() -> None:
    assert seldom(100, dict.fromkeys(range(1, 13), 5)) == ""


def test_without_a_map_there_is_nothing_to_say() -> None:
    assert seldom(0, {}) == ""


def test_the_rarest_goes_first() -> None:
    assert seldom(100, {**OFTEN, 3: 4, 2: 1, 7: 0}) == "g (none), b (1), c (4)"


def test_no_more_than_eight_are_named() -> None:
    told = seldom(100, {12: 60})
    assert told.count("(none)") == 8
    assert told.endswith("h (none) and 3 more")


def test_a_few_pixels_of_a_class_do_not_show_it() -> None:
    drawn = np.full((100, 100), 2, np.uint8)
    drawn[50:] = 0
    drawn[0, :19] = 1  # of 10,000
    assert classes_in(drawn) == [2]
    drawn[0, :20] = 1
    assert classes_in(drawn) == [1, 2]


@given(st.lists(st.lists(st.integers(1, 12), unique=True, max_size=12), max_size=30))
def test_each_map_counts_once_for_each_class_that_it_shows(maps: list[list[int]]) -> None:
    coverage = Coverage.of(maps)
    assert coverage.maps == len(maps)
    for number in range(1, 13):
        assert coverage.shown[number] == sum(number in shown for shown in maps)


@given(st.integers(1, 500), st.integers(2, 60))
def test_maps_that_are_looked_at_are_spread_over_all(count: int, most: int) -> None:
    indices = spread(count, most)
    assert indices == (list(range(count)) if count <= most else sorted(set(indices)))
    assert len(indices) == min(count, most)
    assert (indices[0], indices[-1]) == (0, count - 1)
    assert max(np.diff(indices), default=0) <= np.ceil(count / (most - 1))
