"""What is drawn on samples."""

from __future__ import annotations

import numpy as np

from sightline.data.encoding import encode_png, encode_rle
from sightline.data.overlay import class_colour, draw_truth
from sightline.data.structures import Sample

GREY = encode_png(np.full((40, 80, 3), 100, np.uint8))


def test_colours_of_classes_differ() -> None:
    colours = np.array([class_colour(label) for label in range(12)]).astype(int)
    apart = np.abs(colours[:, None] - colours).sum(axis=2)
    assert apart[~np.eye(12, dtype=bool)].min() > 60


def test_boxes_are_drawn_where_they_are() -> None:
    sample = Sample("x", GREY, boxes=np.array([[20, 10, 60, 30]], np.float32), box_labels=[2])
    drawn = draw_truth(sample, 160)
    assert drawn.shape == (80, 160, 3)
    coloured = (drawn == class_colour(2)).all(axis=2)
    rows, columns = np.nonzero(coloured)
    assert [columns.min(), rows.min(), columns.max(), rows.max()] == [40, 20, 119, 59]
    assert not coloured[25:55, 45:115].any()


def test_masks_are_laid_over_the_image() -> None:
    mask = np.zeros((40, 80), bool)
    mask[:, :40] = True
    boxes = np.array([[0, 0, 40, 40]], np.float32)
    drawn = draw_truth(Sample("x", GREY, boxes=boxes, box_labels=[0], instances=[encode_rle(mask)]), 80)
    assert (drawn[5:35, 5:35] != 100).any(axis=2).all()
    assert (drawn[:, 45:] == 100).all()


def test_semantic_masks_leave_out_what_is_ignored_and_the_background() -> None:
    semantic = np.repeat(np.array([[0, 1, 255, 255]], np.uint8), 40, axis=0).repeat(20, axis=1)
    plain, behind = (draw_truth(Sample("x", GREY, semantic=semantic), 80, (), shift) for shift in (False, True))
    for drawn, painted in ((plain, [True, True, False, False]), (behind, [False, True, False, False])):
        assert [(drawn[20, column] != 100).any() for column in (10, 30, 50, 70)] == painted
    np.testing.assert_array_equal(plain[20, 10], behind[20, 30])  # both are class 0


def test_key_points_are_red_and_blue_and_rings_where_hidden() -> None:
    points = np.array([[[10, 20, 2], [40, 20, 2], [60, 20, 1], [0, 0, 0]]], np.float32)
    drawn = draw_truth(Sample("x", GREY, keypoints=points), 80, (1, 0, 2, 3))
    red, blue = drawn[20, 10].astype(int), drawn[20, 40].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert (drawn[20, 60] == 100).all()
    assert (drawn[18, 60] != 100).any()
    assert (drawn[0, 0] == 100).all()
