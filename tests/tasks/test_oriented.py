"""Oriented boxes: who learns what where, decoding, metrics against a slow matching, and the way to the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.detection import Detection as Config
from sightline.data.encoding import encode_png
from sightline.data.images import place
from sightline.data.rectangles import corners_of, hulls, overlaps, upright_corners
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction, Sample
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.parity import is_same
from sightline.evaluation.report.objects import object_panels, paired, predicted_objects, true_objects
from sightline.models.detect.gaussians import encode
from sightline.operations.prediction_files.pictures import draw_prediction
from sightline.system.errors import UserError
from sightline.tasks.detection import OrientedDetection, build_detection
from sightline.tasks.metrics import detection
from sightline.tasks.metrics.matching import OVERLAPS, match
from sightline.training.fit import train

NAMES = tuple("abc")
LABELS = LabelMap(NAMES, NAMES)
SMALL = {
    "kind": "detection",
    "boxes": "oriented",
    "backbone": "timm:test_resnet",
    "strides": [8, 16],
    "width": 32,
    "head_convs": 1,
}
TRUE = torch.tensor([[20.0, 20, 24, 10, 0.5], [44, 44, 30, 8, -1.2]])


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def task(size: int = 64, **options: Any) -> OrientedDetection:
    config = TypeAdapter(Config).validate_python(SMALL | options)
    built = build_detection(config, Input(size=size, channels=3), LABELS, "random", None)  # type: ignore[arg-type]
    assert isinstance(built, OrientedDetection)
    return built


def targets_of(rectangles: Tensor, labels: list[int]) -> dict[str, Any]:
    corners = torch.from_numpy(corners_of(rectangles.numpy()))
    boxes = torch.from_numpy(hulls(corners.numpy()))
    return {"boxes": [boxes], "corners": [corners], "box_labels": [torch.tensor(labels)]}


def outputs_of(own: OrientedDetection, rectangles: Tensor, labels: list[int]) -> dict[str, Tensor]:
    """Let the points that the loss asks tell the rectangles, and no other."""
    network: Any = own.network
    places, _ = network._owners(rectangles)
    chosen = places.clamp_min(0)
    logits = torch.full((len(places), len(NAMES)), -12.0)
    logits[torch.arange(len(places)), torch.tensor(labels)[chosen]] = torch.where(places >= 0, 12.0, -12.0)
    codes = encode(rectangles[chosen], network.points, network.sides)
    central = torch.full((len(places), 1), 8.0)
    outputs = {"cls_logits": logits, "bbox_regression": codes, "bbox_ctrness": central}
    return {name: values[None] for name, values in outputs.items()}


def test_points_belong_to_the_object_that_they_lie_in() -> None:
    """Against a loop over points and objects, with an independent test of being inside."""
    network: Any = task(strides=[4, 8, 16], size=96).network
    rectangles = torch.tensor(
        [
            [30.0, 30, 30, 12, 0.7],
            [34, 30, 14, 9, -0.4],
            [60, 60, 70, 20, 1.2],
            [80, 12, 3, 2, 0.8],
            [48, 48, 90, 60, 0],
        ]
    )
    places, central = network._owners(rectangles)
    levels = {4.0: (0, 32), 8.0: (32, 64), 16.0: (64, math.inf)}
    owned = set()
    for point, side, found, nearness in zip(network.points, network.sides, places, central, strict=True):
        candidates = []
        for number, (x, y, width, height, angle) in enumerate(rectangles.tolist()):
            least = math.sqrt(2) * float(side)
            drawn = corners_of(np.array([[x, y, max(width, least), max(height, least), angle]]))[0]
            inside = cv2.pointPolygonTest(drawn, point.tolist(), True) >= -1e-4
            near = max(abs(float(point[0]) - x), abs(float(point[1]) - y)) < 1.5 * float(side)
            lower, upper = levels[float(side)]
            if inside and near and lower <= width / 2 < upper:
                candidates.append((width * height, number))
        wanted = min(candidates)[1] if candidates else -1
        assert int(found) == wanted
        owned.add(wanted)
        if wanted >= 0 and min(rectangles[wanted, 2:4]) > 1.5 * float(side):
            x, y, width, height, angle = rectangles[wanted].tolist()
            turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            along = turn @ (point.numpy() - [x, y])
            left, right, top, bottom = (
                *(width / 2 + along[0] * sign for sign in (1, -1)),
                *(height / 2 + along[1] * sign for sign in (1, -1)),
            )
            told = math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
            assert float(nearness) == pytest.approx(told, abs=1e-4)
    assert owned == {-1, 0, 1, 2, 3, 4}, "a tiny object has a point too"


@pytest.mark.parametrize("angle", np.linspace(-1.5, 1.5, 7))
def test_every_object_has_a_point_however_small_and_turned(angle: float) -> None:
    network: Any = task(strides=[8, 16]).network
    for x in np.linspace(20, 28, 5):
        places, _ = network._owners(torch.tensor([[x, 27.3, 2.0, 1.0, angle]], dtype=torch.float32))
        assert (places == 0).any()


@pytest.mark.parametrize("size", [64, 97])
def test_what_the_loss_asks_for_is_what_is_found(size: int) -> None:
    own = task(size)
    outputs, targets = outputs_of(own, TRUE, [0, 2]), targets_of(TRUE, [0, 2])
    [found] = own.network.detections(outputs)
    order = found["labels"].argsort()
    assert found["labels"][order].tolist() == [0, 2]
    assert (np.diag(overlaps(found["corners"][order].numpy(), targets["corners"][0].numpy())) > 0.999).all()
    torch.testing.assert_close(found["boxes"], torch.from_numpy(hulls(found["corners"].numpy())))
    assert float(own.scores(outputs, targets)["found"]) == 1
    turned = targets_of(TRUE + torch.tensor([0, 0, 0, 0, 0.3]), [0, 2])
    assert float(own.loss(outputs, targets)) < float(own.loss(outputs, turned))
    swapped = TRUE[:, [0, 1, 3, 2, 4]] + torch.tensor([0, 0, 0, 0, math.pi / 2])
    same = targets_of(swapped, [0, 2])
    torch.testing.assert_close(own.loss(outputs, same), own.loss(outputs, targets), atol=1e-4, rtol=1e-4)


def test_losses_reach_every_weight_and_images_without_objects_count() -> None:
    own = task()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    targets = targets_of(TRUE, [0, 2])
    targets["corners"].append(torch.zeros(0, 4, 2))
    targets["box_labels"].append(torch.zeros(0, dtype=torch.int64))
    loss = own.training_loss(images, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert not [name for name, weight in own.network.named_parameters() if weight.grad is None]
    empty = {name: [one[:0] for one in own_values[:1]] for name, own_values in targets.items()}
    assert torch.isfinite(own.training_loss(images[:1], empty))


def test_predictions_are_in_pixels_of_the_original_also_of_a_stretched_one() -> None:
    for resize in ("letterbox", "stretch"):
        placement = place(100, 200, 64, resize)
        own = task()
        [said] = own.predictions(outputs_of(own, TRUE[:1], [1]), [placement])
        assert said.corners is not None
        assert said.boxes is not None
        moved = placement.into_original(corners_of(TRUE[:1].numpy()))
        if resize == "letterbox":
            np.testing.assert_allclose(hulls(said.corners), hulls(moved), atol=0.05)
        else:  # no longer a rectangle: the smallest one around it
            assert all(cv2.pointPolygonTest(said.corners[0], point.tolist(), True) > -0.2 for point in moved[0])
        np.testing.assert_allclose(said.boxes, hulls(said.corners).clip(0, [200, 100, 200, 100]))
        sides = np.diff(said.corners[0], axis=0)
        assert abs(float(sides[0] @ sides[1])) < 1
        told = said.to_json(LABELS)["objects"][0]
        assert told["label"] == "b"
        assert np.shape(told["corners"]) == (4, 2)
        json.dumps(told, allow_nan=False)


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    numbers = np.column_stack(
        [draw.uniform(10, 90, (count, 2)), draw.uniform(6, 40, (count, 2)), draw.uniform(-2, 2, count)]
    )
    return numbers, draw.integers(0, 3, count)


def test_matching_is_that_of_a_slow_loop() -> None:
    """Each prediction, most confident first, takes the free true object of its class that it overlaps most."""
    for seed in range(12):
        numbers, labels = drawn(seed, 6)
        draw = np.random.default_rng(seed + 100)
        nudged = numbers + draw.normal(0, [2, 2, 2, 2, 0.15], numbers.shape)
        said = corners_of(np.concatenate([nudged, nudged[:2] + 0.5, drawn(seed + 50, 3)[0]]))
        said_labels = np.concatenate([labels, labels[:2], draw.integers(0, 3, 3)])
        scores = draw.permutation(len(said)).astype(np.float32) / 20
        frame = pd.DataFrame(
            {"box_labels": [labels.tolist()], "boxes": [hulls(corners_of(numbers)).tolist()]}
            | {"corners": [corners_of(numbers).tolist()], "difficult": [[False] * 5 + [True]]}
        )
        [truth] = detection.truths_of(frame, "corners")
        found = match(said, said_labels.tolist(), scores, truth, 3)
        order = np.argsort(-scores)
        for level, least in enumerate(OVERLAPS):
            taken: set[int] = set()
            for turn, own in enumerate(order):
                pairs = []
                for number in range(6):
                    first, second = (cv2_rectangle(one) for one in (said[own], corners_of(numbers)[number]))
                    _, points = cv2.rotatedRectangleIntersection(first, second)
                    shared = 0.0 if points is None else cv2.contourArea(cv2.convexHull(points))
                    whole = np.prod(first[1]) + np.prod(second[1]) - shared
                    if labels[number] == said_labels[own] and shared / whole >= least:
                        pairs.append((number != 5, shared / whole, number))
                free = [pair for pair in pairs if pair[2] == 5 or pair[2] not in taken]
                best = max(free, default=None)
                assert found.found[0, level, turn] == (best is not None and best[0])
                assert found.ignored[0, level, turn] == (best is not None and not best[0])
                if best is not None:
                    taken.add(best[2])


def cv2_rectangle(corners: np.ndarray) -> Any:
    return cv2.minAreaRect(corners)


def test_the_angle_counts_in_the_metric() -> None:
    own = task()
    truth = pd.DataFrame({"id": ["x"], "source": ["x.png"], "box_labels": [[0]]})
    right = corners_of(np.array([[30, 30, 40, 8, 0.8]]))
    wrong = corners_of(np.array([[30, 30, 40, 8, -0.8]]))  # of the same upright box
    truth["corners"], truth["boxes"] = [right.tolist()], [hulls(right).tolist()]
    values = []
    for corners in (right, wrong):
        said = Prediction(boxes=hulls(corners), corners=corners, box_labels=[0], box_scores=np.array([0.9], np.float32))
        values.append(own.measure(iter([said]), truth, bins=15).values["mAP50"])
    assert values == [1.0, 0.0]
    pair = [
        Prediction(boxes=hulls(right), corners=one, box_labels=[0], box_scores=np.array([0.9], np.float32))
        for one in (right, wrong)
    ]
    assert is_same(pair[0], pair[0])
    assert not is_same(*pair)


def test_panels_and_pictures_show_turned_rectangles() -> None:
    image = encode_png(np.full((60, 80, 3), 90, np.uint8))
    right, wrong = (corners_of(np.array([[40, 30, 40, 8, angle]])) for angle in (0.6, -0.6))
    sample = Sample("x", image, boxes=hulls(right), corners=right, box_labels=[1])
    pictures = []
    for corners in (right, wrong):
        said = Prediction(boxes=hulls(corners), corners=corners, box_labels=[1], box_scores=np.array([0.9], np.float32))
        hit, found = paired(
            predicted_objects(said, LABELS, np.full(3, 0.5)), true_objects(sample, LABELS, False, False)
        )
        assert hit.tolist() == found.tolist() == [corners is right]
        truth, panel = object_panels(sample, said, LABELS, np.full(3, 0.5))
        lines = np.asarray(truth.marks[0].lines[0])
        assert np.ptp(lines[:, 1]) > 10
        assert not np.allclose(lines, np.asarray(panel.marks[0].lines[0])) or corners is right
        pictures.append(draw_prediction(image, said, LABELS, 0.5))
    assert (pictures[0] != pictures[1]).any()
    flat = Prediction(boxes=hulls(right), box_labels=[1], box_scores=np.array([0.9], np.float32))
    hit, _ = paired(
        predicted_objects(flat, LABELS, np.full(3, 0.5)),
        true_objects(Sample("x", image, boxes=hulls(right), box_labels=[1]), LABELS, False, False),
    )
    assert hit.all()


@pytest.mark.parametrize("architecture", ["retinanet", "faster_rcnn"])
def test_other_architectures_are_refused(architecture: str) -> None:
    with pytest.raises(ValidationError, match=f"boxes: oriented is for fcos, but architecture is {architecture}"):
        TypeAdapter(Config).validate_python(SMALL | {"architecture": architecture})


def test_data_without_oriented_boxes_is_refused(scenes: Path) -> None:
    config = TypeAdapter(Config).validate_python(SMALL)
    with pytest.raises(UserError, match=r"no sample has an oriented box \(`corners`\).*choose boxes: upright"):
        build_detection(config, Input(size=64), LABELS, "random", SplitStore(scenes / "train"))  # type: ignore[arg-type]


def test_from_training_to_evaluation(turned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Model.model_validate(
        {
            "dataset": "turned",
            "task": SMALL,
            "weights": "random",
            "input": {"size": 64},
            "augment": "light",
            "optimizer": {"name": "adamw", "lr": 2e-3},
            "trainer": {"max_epochs": 2, "batch_size": 8},
        }
    )
    fitted = train(settings, 1, turned, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.curves[1]["train_loss"] < fitted.curves[0]["train_loss"]
    card = json.loads((tmp_path / "model/model.json").read_text())
    assert card["task"]["boxes"] == "oriented"
    metrics = evaluate_model(tmp_path / "model", turned, Evaluation(resamples=100), tmp_path)
    assert metrics["headline"]["name"] == "mAP50"
    assert {"mAP50", "mAP"} <= set(metrics["interval"])
    assert len(pd.read_csv(tmp_path / "per_class.csv")) == 10


def test_upright_models_of_before_have_no_new_key() -> None:
    from sightline.training.artifact.folder import _without_later

    section = TypeAdapter(Config).validate_python({"kind": "detection"})
    assert "boxes" not in _without_later(section.model_dump())
    np.testing.assert_array_equal(
        upright_corners(np.array([[1, 2, 3, 5]], np.float32))[0], [[1, 2], [3, 2], [3, 5], [1, 5]]
    )
