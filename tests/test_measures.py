"""What is measured of pictures, each against numbers known by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchmetrics.functional.classification import multiclass_jaccard_index

from mcm_core.evaluation.diversity import mean_distance
from mcm_core.evaluation.frechet import frechet_distance, gaussian_distance
from mcm_core.evaluation.look import looks, saturation, sharpness
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.scenes import HELD_OUT, HeldOut
from mcm_core.evaluation.strokes import agreement, matches, outlines
from mcm_core.landscapes.render import example


class TestOverlap:
    def test_perfect_is_one(self) -> None:
        ids = np.array([[[1, 1], [2, 3]]], np.uint8)
        assert iou(confusions(ids, ids, 3).sum(0)).mean == 1

    def test_by_hand(self) -> None:
        drawn = np.array([[[1, 1, 1, 2]]], np.uint8)
        found = np.array([[[1, 1, 2, 2]]], np.uint8)
        overlap = iou(confusions(drawn, found, 2)[0])
        assert overlap.by_class.tolist() == pytest.approx([2 / 3, 1 / 2])
        assert overlap.mean == pytest.approx(7 / 12)

    def test_what_is_unpainted_does_not_count(self) -> None:
        drawn = np.array([[[0, 0, 1, 2]]], np.uint8)
        found = np.array([[[2, 1, 1, 2]]], np.uint8)
        assert iou(confusions(drawn, found, 2)[0]).mean == 1

    def test_a_class_that_was_not_drawn_has_no_score_but_costs_the_drawn_one(self) -> None:
        drawn, found = np.array([[[1, 1]]], np.uint8), np.array([[[1, 3]]], np.uint8)
        overlap = iou(confusions(drawn, found, 3)[0])
        assert overlap.mean == 0.5
        assert np.isnan(overlap.by_class).tolist() == [False, True, True]

    def test_nothing_drawn_has_no_score(self) -> None:
        ids = np.ones((1, 2, 2), np.uint8)
        assert math.isnan(iou(confusions(ids * 0, ids, 3)[0]).mean)

    @settings(max_examples=20, deadline=None)
    @given(arrays.arrays(np.uint8, (2, 6, 6), elements=st.integers(1, 4)), st.randoms(use_true_random=False))
    def test_agrees_with_torchmetrics_over_many_pictures(self, drawn: np.ndarray, random: object) -> None:
        drawn[0, 0, :4] = [1, 2, 3, 4]
        found = np.roll(drawn, random.randint(0, 5), axis=2)  # type: ignore[attr-defined]
        by_class = iou(confusions(drawn, found, 4).sum(0)).by_class
        wanted = multiclass_jaccard_index(
            torch.from_numpy(found).long() - 1, torch.from_numpy(drawn).long() - 1, 4, average=None
        )
        assert by_class == pytest.approx(wanted.numpy(), abs=1e-6)


class TestStrokes:
    def vertical(self, column: int) -> np.ndarray:
        lines = np.zeros((32, 32), np.uint8)
        lines[:, column] = 255
        return lines

    @pytest.mark.parametrize(("shift", "f1"), [(0, 1), (3, 1), (-3, 1), (4, 0)])
    def test_a_shifted_line_counts_up_to_the_tolerance(self, shift: int, f1: float) -> None:
        assert agreement(matches(self.vertical(12), self.vertical(12 + shift), 3)).f1 == f1

    def test_the_tolerance_is_euclidean(self) -> None:
        drawn, found = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        drawn[4, 4], found[7, 7] = True, True  # 4.24 pixels away, 3 along each side
        assert agreement(matches(drawn, found, 3)).f1 == 0
        assert agreement(matches(drawn, found, 4.3)).f1 == 1

    def test_a_line_too_many_costs_precision_alone(self) -> None:
        both = agreement(matches(self.vertical(5), self.vertical(5) | self.vertical(25)))
        assert (both.precision, both.recall, both.f1) == pytest.approx((0.5, 1, 2 / 3))

    def test_a_line_too_few_costs_recall_alone(self) -> None:
        both = agreement(matches(self.vertical(5) | self.vertical(25), self.vertical(5)))
        assert (both.precision, both.recall) == (1, 0.5)

    def test_nothing_found_and_nothing_drawn(self) -> None:
        nothing = np.zeros((8, 8), np.uint8)
        assert agreement(matches(self.vertical(5)[:8, :8], nothing)).recall == 0
        assert math.isnan(agreement(matches(nothing, nothing)).f1)

    def test_counts_add_up_over_pictures(self) -> None:
        one, other = matches(self.vertical(5), self.vertical(5)), matches(self.vertical(5), self.vertical(20))
        assert agreement(one + other).f1 == 0.5

    def test_outlines_lie_on_the_border(self) -> None:
        picture = np.full((32, 32, 3), 40, np.uint8)
        picture[:, 16:] = 120
        rows, columns = np.nonzero(outlines(picture))
        assert set(columns) <= {15, 16}
        assert len(set(rows)) >= 30

    def test_a_border_of_hue_alone_is_one(self) -> None:
        """Of equal grey: 0.299 R + 0.587 G + 0.114 B is 100 on both sides."""
        picture = np.full((32, 32, 3), 100, np.uint8)
        picture[:, 16:] = (180, 60, 97)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        assert np.ptp(grey.astype(int)) <= 1
        assert outlines(picture)[4:-4, 14:18].any(axis=1).all()

    def test_a_gradient_and_a_flat_picture_have_no_outlines(self) -> None:
        ramp = np.repeat(np.arange(0, 128, 2, dtype=np.uint8)[None, :, None], 64, axis=0)
        assert not outlines(np.repeat(ramp, 3, axis=2)).any()

    def test_real_renders_are_far_above_other_scenes(self) -> None:
        renders = [example(HELD_OUT + index, freehand=0.0) for index in range(3)]
        own = sum(matches(each.sketch, outlines(each.picture)) for each in renders)
        shifted = zip(renders, renders[1:] + renders[:1], strict=True)
        others = sum(matches(one.sketch, outlines(other.picture)) for one, other in shifted)
        assert agreement(own).f1 > 0.65 > 0.4 > agreement(others).f1


class TestFrechet:
    def gaussian(self, mean: list[float], deviations: list[float], count: int = 64) -> np.ndarray:
        """Points of exactly this mean and these independent deviations (with n - 1)."""
        raw = np.random.default_rng(0).normal(size=(count, len(mean)))
        raw -= raw.mean(0)
        white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
        return white * deviations + mean

    def test_a_set_and_itself(self) -> None:
        points = np.random.default_rng(1).normal(size=(40, 8))
        assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)

    def test_closed_form_of_independent_gaussians(self) -> None:
        left = self.gaussian([0, 1, 2], [1.0, 2.0, 0.5])
        right = self.gaussian([3, 1, 0], [4.0, 1.0, 0.5])
        wanted = (3**2 + 0 + 2**2) + (1 - 4) ** 2 + (2 - 1) ** 2 + 0
        assert frechet_distance(left, right) == pytest.approx(wanted, rel=1e-9)

    def test_closed_form_of_one_dimension(self) -> None:
        one = np.ones((1, 1))
        assert gaussian_distance(np.zeros(1), 4 * one, np.array([5.0]), 9 * one) == pytest.approx(25 + 1)

    def test_rotated_gaussians_against_the_matrix_square_root(self) -> None:
        """tr (C1 C2)^1/2 is the sum of the roots of the eigenvalues of the product."""
        random = np.random.default_rng(2)
        left, right = (random.normal(size=(50, 5)) @ random.normal(size=(5, 5)) for _ in range(2))
        c1, c2 = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
        overlap = np.sqrt(np.linalg.eigvals(c1 @ c2).real).sum()
        apart = np.square(left.mean(0) - right.mean(0)).sum()
        wanted = apart + np.trace(c1) + np.trace(c2) - 2 * overlap
        assert frechet_distance(left, right) == pytest.approx(wanted, rel=1e-8)

    @settings(max_examples=20)
    @given(arrays.arrays(np.float64, 4, elements=st.floats(-5, 5)))
    def test_moving_all_points_costs_the_square_of_the_way(self, way: np.ndarray) -> None:
        points = np.random.default_rng(3).normal(size=(30, 4))
        assert frechet_distance(points, points + way) == pytest.approx(np.square(way).sum(), abs=1e-8)

    def test_fewer_points_than_features(self) -> None:
        points = np.random.default_rng(4).normal(size=(5, 12))
        assert frechet_distance(points, points[::-1]) == pytest.approx(0, abs=1e-6)


class TestDiversity:
    def test_by_hand(self) -> None:
        features = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
        assert mean_distance(features) == pytest.approx((5 + 0 + 5) / 3)

    def test_the_mean_over_drawings(self) -> None:
        features = np.array([[[0.0], [1.0]], [[0.0], [5.0]]])
        assert mean_distance(features) == 3

    def test_one_picture_has_none(self) -> None:
        assert math.isnan(mean_distance(np.zeros((3, 1, 4))))


class TestLook:
    def test_greys_have_no_saturation_and_a_pure_colour_has_all(self) -> None:
        grey, red = np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8, 3), np.uint8)
        red[..., 0] = 200
        assert (saturation(grey), saturation(red)) == (0, 1)

    def test_saturation_by_hand(self) -> None:
        """HSV: 1 - min / max."""
        assert saturation(np.full((4, 4, 3), (200, 100, 150), np.uint8)) == pytest.approx(0.5, abs=0.005)

    def test_a_flat_picture_has_no_sharpness_and_a_step_counts_by_its_square(self) -> None:
        picture = np.zeros((8, 8, 3), np.uint8)
        assert sharpness(picture) == 0
        picture[:, 4:] = 51  # a fifth of white, in one of seven steps across
        assert sharpness(picture) == pytest.approx(0.2**2 / 7)

    def test_a_blurred_picture_is_less_sharp(self, held_out: list[HeldOut]) -> None:
        for scene in held_out:
            assert sharpness(cv2.GaussianBlur(scene.picture, (0, 0), 1.0)) < 0.8 * sharpness(scene.picture)

    def test_of_many_pictures(self, held_out: list[HeldOut]) -> None:
        pictures = np.stack([scene.picture for scene in held_out])
        wanted = [(saturation(one), sharpness(one)) for one in pictures]
        assert looks(pictures).tolist() == pytest.approx(np.array(wanted))
