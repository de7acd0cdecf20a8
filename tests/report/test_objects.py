"""Which objects are shown as found and as false."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightline.data.encoding import encode_png, encode_rle
from sightline.data.overlay import class_colour
from sightline.data.structures import LabelMap, Prediction, Sample
from sightline.evaluation.report.objects import object_panels
from sightline.evaluation.report.panels import SIDE, Panel

GREY = encode_png(np.full((20, 40, 3), 100, np.uint8))
SCALE = SIDE / 40
LABELS = LabelMap(("cat", "dog"), ("1", "2"))
HALF = np.array([0.5, 0.5])


def objects(*given: tuple[list[float], int, float]) -> Prediction:
    return Prediction(
        boxes=np.array([box for box, _, _ in given], np.float32).reshape(-1, 4),
        box_labels=[label for _, label, _ in given],
        box_scores=np.array([score for _, _, score in given], np.float32),
    )


def truth(*given: tuple[list[float], int], **more: Any) -> Sample:
    boxes = np.array([box for box, _ in given], np.float32).reshape(-1, 4)
    return Sample("x", GREY, boxes=boxes, box_labels=[label for _, label in given], **more)


def told(panel: Panel) -> list[tuple[str, bool]]:
    return [(mark.words, mark.right) for mark in panel.marks]


LEFT, RIGHT, FAR = [1, 2, 11, 12], [20, 2, 30, 12], [30, 14, 38, 19]


def test_what_is_missed_and_what_is_false_is_told_apart() -> None:
    sample = truth((LEFT, 0), (RIGHT, 1), (FAR, 1))
    prediction = objects((LEFT, 0, 0.9), (RIGHT, 0, 0.8), ([1, 2, 11, 13], 0, 0.7), ([30, 14, 37, 19], 1, 0.6))
    true, said = object_panels(sample, prediction, LABELS, HALF)
    assert told(true) == [("cat", True), ("dog", False), ("dog", True)]
    # Of another class, and found once already.
    assert told(said) == [("cat 90%", True), ("cat 80%", False), ("cat 70%", False), ("dog 60%", True)]
    (line,) = said.marks[0].lines
    np.testing.assert_allclose([line.min(0), line.max(0)], np.array([[1, 2], [11, 12]]) * SCALE, rtol=1e-6)
    assert said.marks[3].colour == class_colour(1)


@pytest.mark.parametrize(
    ("scores", "thresholds", "shown"),
    [
        ((0.9, 0.5, 0.1), HALF, ["cat 90%", "cat 50%"]),
        ((0.9, 0.5, 0.1), np.array([0.05, 0.5]), ["cat 90%", "cat 50%", "cat 10%"]),
        ((0.2, 0.1), HALF, ["cat 20%, unsure"]),
        ((0.6, 0.4), np.array([np.nan, 0.1]), ["cat 60%"]),
        ((), HALF, []),
    ],
)
def test_sure_boxes_are_drawn_and_else_the_surest(
    scores: tuple[float, ...], thresholds: np.ndarray[Any, Any], shown: list[str]
) -> None:
    prediction = objects(*((LEFT, 0, score) for score in scores))
    _, said = object_panels(truth(), prediction, LABELS, thresholds)
    assert told(said) == [(words, False) for words in shown]


def test_of_a_model_with_one_box_per_image_the_largest_object_is_the_truth() -> None:
    sample = truth((LEFT, 0), ([0, 0, 40, 20], 1), ([12, 2, 30, 18], 1), iscrowd=[False, True, False])
    true, said = object_panels(sample, objects(([12, 2, 30, 17], 1, 0.2)), LABELS, None)
    assert told(true) == [("dog", True)]
    assert told(said) == [("dog 20%", True)]


def test_crowds_and_difficult_objects_need_not_be_found_and_hide_no_others() -> None:
    sample = truth(
        ([0, 0, 20, 12], 0), (LEFT, 0), (FAR, 1), iscrowd=[True, False, False], difficult=[False] * 2 + [True]
    )
    prediction = objects((LEFT, 0, 0.9), ([3, 2, 13, 11], 0, 0.8), ([2, 1, 12, 10], 0, 0.7))
    true, said = object_panels(sample, prediction, LABELS, HALF)
    assert told(true) == [("cat?", True), ("cat", True), ("dog?", True)]
    assert [right for _, right in told(said)] == [True, True, True]
    true, _ = object_panels(sample, objects(), LABELS, HALF)
    assert [found for _, found in told(true)] == [True, False, True]


def mask(left: int, right: int) -> dict[str, Any]:
    inside = np.zeros((20, 40), bool)
    inside[5:15, left:right] = True
    return encode_rle(inside)


def test_masks_are_matched_and_outlined() -> None:
    sample = truth((LEFT, 0), (RIGHT, 0), instances=[mask(2, 12), mask(20, 30)])
    prediction = objects((LEFT, 0, 0.9), (RIGHT, 0, 0.8))  # both boxes are right, one mask is not
    prediction.instances = [mask(2, 11), mask(28, 38)]
    true, said = object_panels(sample, prediction, LABELS, HALF)
    assert [right for _, right in told(said)] == [True, False]
    assert [found for _, found in told(true)] == [True, False]
    (line,) = true.marks[1].lines
    np.testing.assert_allclose([line.min(0), line.max(0)], np.array([[20, 5], [30, 15]]) * SCALE, atol=1)
    inside, outside = true.picture[int(10 * SCALE), int(25 * SCALE)], true.picture[int(10 * SCALE), int(35 * SCALE)]
    assert (inside != 100).any()
    assert (outside == 100).all()


def test_masks_beside_a_truth_of_boxes_are_matched_as_boxes() -> None:
    prediction = objects((LEFT, 0, 0.9))
    prediction.instances = [mask(2, 11)]
    true, said = object_panels(truth((LEFT, 0)), prediction, LABELS, HALF)
    assert told(true) + told(said) == [("cat", True), ("cat 90%", True)]
