"""`python -m benchmarks.own`: what it does itself with pairs; the commands between have their own tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.own import CROP, agreement, cropped, first_pairs, table
from mcm_core.drawing.conditions import LABELS, SKETCH, Modality
from mcm_core.mini.segmenter_training import Renders
from mcm_core.training.data import read_pair
from mcm_core.training.rows import Layout, open_classes, open_rows
from tests.pairs import build_pairs


def test_the_first_pairs_are_a_data_set_of_their_own(tmp_path: Path) -> None:
    whole = build_pairs(tmp_path / "pairs", 5)
    few = first_pairs(whole, 3)
    layout = Layout((64, 64), (Modality(LABELS, "labels"), Modality(SKETCH, "image")), open_classes(str(few)))
    some, all_of_them = (open_rows(str(folder), layout) for folder in (few, whole))
    assert len(some) == 3
    for one, other in zip(some, all_of_them, strict=False):
        assert one.captions == other.captions
        first, second = read_pair(one, layout), read_pair(other, layout)
        assert np.array_equal(first.picture, second.picture)
        assert all(np.array_equal(first.maps[name], second.maps[name]) for name in (LABELS, SKETCH))


def test_agreement_is_of_what_was_read_and_says_how_much_that_is(tmp_path: Path) -> None:
    """Half of each map is left open; of the rest a quarter is taken for another class."""
    read, scenes = build_pairs(tmp_path / "read", 2), tmp_path / "scenes"
    (scenes / "labels").mkdir(parents=True)
    for index in range(2):
        true = np.repeat(np.uint8([1, 2]), 32)[:, None].repeat(64, axis=1)
        found = true.copy()
        found[:, 32:] = 0
        found[32:48] = np.where(found[32:48], 1, 0)
        cv2.imwrite(str(scenes / "labels" / f"{index}.png"), true)
        cv2.imwrite(str(read / "labels" / f"{index}.png"), found)
    told = agreement(read, scenes)
    assert told["share"] == 0.5
    assert told["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_parts_of_pictures_and_of_their_maps_are_of_the_same_place() -> None:
    places = torch.arange(200 * 300).reshape(1, 200, 300)
    renders = Renders(places[..., None], places, {})
    parts = [cropped(renders, torch.Generator().manual_seed(seed)) for seed in range(8)]
    for part in parts:
        assert part.labels.shape == (1, CROP, CROP)
        assert torch.equal(part.pictures[..., 0], part.labels)
    assert len({int(part.labels[0, 0, 0]) for part in parts}) == 8


def test_of_small_pictures_a_part_is_the_whole() -> None:
    small = Renders(torch.zeros(1, 64, 96, 3), torch.zeros(1, 64, 96), {})
    assert cropped(small, torch.Generator()).labels.shape == (1, 64, 96)


def test_the_table_sets_each_beside_the_shipped_one() -> None:
    told = {
        "shipped": {"map": 0.8, "sketch": 0.4, "map and sketch": 0.8, "styles": 0.6, "style recognised": 0.9},
        "read from photos": {"miou": 0.7, "share": 0.9},
        "100 photos": {"pairs": 1100, "map": 0.4},
    }
    lines = table(told).splitlines()
    assert lines[2] == "| shipped |  | 0.800 | 1.000 | 0.400 | 0.800 | 0.600 | 0.900 |"
    assert lines[3] == "| 100 photos | 1,100 | 0.400 | 0.500 |  |  |  |  |"
    assert table({"dreams": {"pairs": 9, "map": 0.5}}).endswith("| dreams | 9 | 0.500 |  |  |  |  |  |\n")
    assert lines[-1] == "Maps read from photos: mIoU 0.700 of 90% of the pixels."
