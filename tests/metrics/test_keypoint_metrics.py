"""Shares of near points against slow loops, similarity and average precision against pycocotools."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightline.tasks.metrics.average_precision import curves
from sightline.tasks.metrics.keypoints import (
    distances,
    near_curve,
    near_points,
    per_joint,
    pose_matches,
    reference_lengths,
    similarities,
)

Array = NDArray[np.float64]
NAMES = ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip")


def some(images: int = 40, count: int = 17) -> tuple[Array, Array, Array]:
    """True points with some absent, predicted ones nearby, and boxes around the true ones."""
    draw = np.random.default_rng(0)
    points = np.concatenate([draw.uniform(10, 90, (images, count, 2)), draw.integers(0, 3, (images, count, 1))], -1)
    points[3, :, 2] = 0
    predicted = points + draw.normal(0, 1, points.shape) * draw.uniform(0.5, 12, (images, 1, 1))
    predicted[..., 2] = draw.uniform(0, 1, (images, count))
    return points, predicted, np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], 1)


def test_the_torso_is_the_measure_and_the_box_where_it_is_unknown() -> None:
    points = np.zeros((4, 5, 3))
    points[:, :, :2] = [[5, 0], [10, 10], [0, 10], [9, 40], [2, 46]]
    points[0, :, 2] = 2  # left shoulder (10, 10) to right hip (2, 46)
    points[1, [2, 3], 2] = 1  # only the other diagonal: (0, 10) to (9, 40)
    points[2, [1, 3], 2] = 2  # neither
    boxes = np.array([[0.0, 0, 30, 70]] * 4)
    expected = [np.hypot(8, 36), np.hypot(9, 30), 70, 70]
    np.testing.assert_allclose(reference_lengths(points, boxes, NAMES), expected)
    np.testing.assert_allclose(reference_lengths(points, boxes, ("a", "b", "c", "d", "e")), 70)


def test_near_points_equal_a_slow_loop() -> None:
    points, predicted, boxes = some()
    lengths = reference_lengths(points, boxes, [f"p{k}" for k in range(17)])
    apart = distances(points, predicted)
    near = near_points(apart, lengths)
    curve = near_curve(apart, lengths).set_index("fraction")["share"]
    right = labelled = 0
    errors: dict[int, list[float]] = {k: [] for k in range(17)}
    for image in range(len(points)):
        side = max(boxes[image, 2] - boxes[image, 0], boxes[image, 3] - boxes[image, 1])
        for k in range(17):
            if points[image, k, 2] == 0:
                assert not near[image, k]
                continue
            away = ((points[image, k, :2] - predicted[image, k, :2]) ** 2).sum() ** 0.5
            errors[k].append(away)
            assert near[image, k] == (away <= 0.2 * side)
            labelled += 1
            right += away <= 0.2 * side
    assert 0 < right < labelled
    assert curve[0.2] == pytest.approx(right / labelled)
    assert (curve.diff().dropna() >= 0).all()
    table = per_joint([f"p{k}" for k in range(17)], apart, near)
    np.testing.assert_allclose(table["mean_error"], [np.mean(errors[k]) for k in range(17)])
    assert table["points"].sum() == labelled
    assert (table["points"] * table["pck"]).sum() == pytest.approx(right)


def coco_evaluation(points: Array, predicted: Array, boxes: Array, areas: Array, sureness: Array) -> COCOeval:
    truth, said = [], []
    for image, own in enumerate(points):
        x1, y1, x2, y2 = boxes[image]
        common: dict[str, Any] = {"image_id": image, "category_id": 1}
        entry = {"id": image + 1, "iscrowd": 0, "area": areas[image], "bbox": [x1, y1, x2 - x1, y2 - y1]}
        count = int((own[:, 2] > 0).sum())
        truth.append(common | entry | {"keypoints": own.ravel().tolist(), "num_keypoints": count})
        said.append(common | {"keypoints": predicted[image].ravel().tolist(), "score": sureness[image]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": image, "height": 100, "width": 100} for image in range(len(points))]
        coco.dataset = {"info": {}, "images": images, "annotations": truth, "categories": [{"id": 1, "name": "p"}]}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(said), "keypoints")
        judge.evaluate()
        judge.accumulate()
    return judge


def test_similarity_and_average_precision_are_those_of_pycocotools() -> None:
    points, predicted, boxes = some()
    areas = np.random.default_rng(1).uniform(2000, 8000, len(points))
    sureness = np.random.default_rng(2).uniform(0, 1, len(points))
    labelled = (points[..., 2] > 0).any(1)
    judge = coco_evaluation(points, predicted, boxes, areas, sureness)
    ours = similarities(distances(points, predicted), boxes, areas.tolist())
    theirs = [float(judge.ious[image, 1][0, 0]) for image in np.flatnonzero(labelled)]
    np.testing.assert_allclose(ours[labelled], theirs, rtol=1e-6)
    assert ours[3] == 0
    of = curves(pose_matches(ours, sureness, labelled))
    assert of is not None
    expected = judge.eval["precision"][:, :, 0, 0, -1].mean(1)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_allclose(of.average_precision, expected, atol=1e-9)


def test_other_points_get_one_constant_and_unknown_areas_a_share_of_the_box() -> None:
    apart = np.array([[3.0, np.nan, 0.0]])
    box = np.array([[0.0, 0, 40, 50]])
    expected = (np.exp(-9 / (2 * 0.53 * 2000 * (2 * 0.067) ** 2)) + 1) / 2
    assert similarities(apart, box, [None])[0] == pytest.approx(expected)
    assert similarities(apart, box, [0.53 * 2000])[0] == pytest.approx(expected)
