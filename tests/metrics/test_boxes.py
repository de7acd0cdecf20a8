"""Overlaps of pairs against torchvision and pixel counts, the largest object, the curve of overlaps."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from sightline.tasks.metrics.boxes import largest_object, overlap_curve, paired_overlaps


def test_overlaps_are_those_of_torchvision() -> None:
    corners = np.random.default_rng(0).uniform(0, 50, (2, 40, 4))
    boxes = np.sort(corners.reshape(2, 40, 2, 2), axis=2).reshape(2, 40, 4)
    expected = box_iou(*torch.from_numpy(boxes)).diagonal().numpy()
    assert (expected > 0).sum() > 10
    np.testing.assert_allclose(paired_overlaps(*boxes), expected)


def test_overlaps_count_pixels() -> None:
    grid = np.zeros((2, 20, 20), bool)
    grid[0, 2:9, 3:12] = grid[1, 5:15, 8:18] = True
    counted = (grid[0] & grid[1]).sum() / (grid[0] | grid[1]).sum()
    assert paired_overlaps(np.array([[3.0, 2, 12, 9]]), np.array([[8.0, 5, 18, 15]]))[0] == pytest.approx(counted)


def test_empty_and_turned_over_boxes_overlap_nothing() -> None:
    point, turned, box = np.zeros((1, 4)), np.array([[5.0, 5, 2, 2]]), np.array([[0.0, 0, 9, 9]])
    for one, other in ((point, point), (point, box), (turned, box)):
        assert paired_overlaps(one, other)[0] == 0


def test_the_largest_single_object_is_meant() -> None:
    boxes = [[0, 0, 2, 2], [0, 0, 9, 9], [1, 1, 4, 4], [2, 2, 5, 5]]
    assert largest_object(boxes, None) == 1
    assert largest_object(boxes, [False, True, False, False]) == 2, "the first of two equal ones, and no crowd"
    assert largest_object([], []) is None
    assert largest_object(None, None) is None
    assert largest_object([[0, 0, 5, 5]], [True]) is None


def test_the_curve_falls_and_its_area_is_the_mean_overlap() -> None:
    overlaps = np.random.default_rng(1).uniform(0, 1, 4000)
    curve = overlap_curve(overlaps)
    assert curve["share"].iloc[0] == 1
    assert (curve["share"].diff().dropna() <= 0).all()
    assert np.trapezoid(curve["share"], curve["iou"]) == pytest.approx(overlaps.mean(), abs=0.01)
