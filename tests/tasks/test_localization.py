"""Localisation: its loss, its boxes in the original's pixels, its metrics against slow loops."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.localization import Localization as Config
from sightline.data.images import place
from sightline.data.structures import LabelMap, Prediction
from sightline.evaluation.evaluate import evaluate_model
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.base import Measurement
from sightline.tasks.localization import Localization, largest_boxes
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.training.fit import train

LABELS = LabelMap(("cat", "dog", "owl"), ("1", "2", "3"))
EMPTY = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def task(size: int = 64) -> Localization:
    return Localization(nn.Flatten(), "", LABELS, [0.5], [0.5], size)


def outputs(boxes: list[list[float]], classes: list[int], size: int = 64) -> dict[str, Tensor]:
    """What a network says that is sure of xyxy boxes and classes."""
    edges = torch.tensor(boxes) / size
    shares = torch.cat([(edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]], 1)
    return {"classes": 20 * nn.functional.one_hot(torch.tensor(classes), 3).float(), "boxes": shares}


def targets(*objects: tuple[Tensor, Tensor]) -> dict[str, Any]:
    return {"boxes": [boxes for boxes, _ in objects], "box_labels": [labels for _, labels in objects]}


def one(box: list[float], label: int) -> tuple[Tensor, Tensor]:
    return torch.tensor([box]), torch.tensor([label])


def test_a_right_answer_has_no_loss_and_a_far_one_more() -> None:
    truth = targets(one([10, 20, 30, 50], 1), one([0, 0, 64, 64], 2))
    right = task().loss(outputs([[10, 20, 30, 50], [0, 0, 64, 64]], [1, 2]), truth)
    near = task().loss(outputs([[12, 20, 30, 50], [0, 0, 64, 64]], [1, 2]), truth)
    far = task().loss(outputs([[50, 2, 60, 9], [0, 0, 64, 64]], [1, 2]), truth)
    other = task().loss(outputs([[10, 20, 30, 50], [0, 0, 64, 64]], [0, 2]), truth)
    assert float(right) == pytest.approx(0, abs=1e-5)
    assert 0 < float(near) < float(far)
    assert float(other) == pytest.approx(10, abs=0.01), "half of a cross entropy of 20"


def test_the_weights_of_the_loss_are_those_given() -> None:
    said, truth = outputs([[12, 20, 40, 50]], [0]), targets(one([10, 20, 30, 50], 1))

    def loss(*weights: Any) -> float:
        return float(Localization(nn.Flatten(), "", LABELS, [0.5], [0.5], 64, weights).loss(said, truth))

    parts = [loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)]
    assert loss(2, 3, 4) == pytest.approx(2 * parts[0] + 3 * parts[1] + 4 * parts[2])
    assert parts[2] == pytest.approx(1 - 540 / 900, abs=1e-5), "the union is also the smallest box around both"


def test_the_largest_box_teaches_and_images_without_one_do_not() -> None:
    several = torch.tensor([[0.0, 0, 5, 5], [10, 20, 30, 50], [0, 0, 2, 9]]), torch.tensor([0, 1, 2])
    chosen, boxes, labels = largest_boxes(*targets(EMPTY, several).values())
    assert (chosen.tolist(), boxes.tolist(), labels.tolist()) == ([1], [[10, 20, 30, 50]], [1])
    said = outputs([[1, 1, 9, 9], [10, 20, 30, 50]], [0, 1])
    assert float(task().loss(said, targets(EMPTY, several))) == pytest.approx(0, abs=1e-5)
    scores = task().scores(said, targets(EMPTY, several))
    assert float(scores["mean_iou"]) == pytest.approx(0.5)
    assert float(scores["class_accuracy"]) == 0.5
    nothing = {name: value.requires_grad_() for name, value in outputs([[1, 1, 9, 9]], [0]).items()}
    loss = task().loss(nothing, targets(EMPTY))
    loss.backward()
    assert loss.item() == 0
    assert task().scores(nothing, targets(EMPTY))["mean_iou"] == 0


def test_boxes_come_back_in_the_originals_pixels_and_within_it() -> None:
    placements = [place(60, 120, 64, "letterbox"), place(200, 100, 64, "stretch"), place(97, 97, 64, "crop")]
    original = np.array([[12, 6, 60, 48], [10, 20, 70, 160], [0, 0, 97, 97]], np.float32)
    inside = [spot.into_input(box).tolist() for spot, box in zip(placements, original, strict=True)]
    said = task().predictions(outputs(inside, [0, 1, 2]), placements)
    for prediction, box, label in zip(said, original, (0, 1, 2), strict=True):
        np.testing.assert_allclose(prediction.boxes, box[None], atol=1e-3)
        assert prediction.box_labels == [label]
        assert prediction.box_scores is not None
        assert prediction.box_scores[0] == pytest.approx(1)
    beyond = task().predictions(outputs([[-20, -20, 90, 90]], [0]), placements[:1])[0]
    np.testing.assert_allclose(beyond.boxes, [[0, 0, 120, 60]])


def some(count: int = 50) -> tuple[list[Prediction], pd.DataFrame]:
    """Images with 0 to 3 objects, of which some are crowds, and guesses near the first."""
    draw = np.random.default_rng(0)
    said, boxes, labels, crowds = [], [], [], []
    for number in range(count):
        corners = draw.uniform(0, 60, (number % 4, 2))
        own = np.concatenate([corners, corners + draw.uniform(5, 30, corners.shape)], 1)
        guess = (own[:1] if len(own) else np.array([[0, 0, 9, 9.0]])) + draw.normal(0, 2, (1, 4))
        sure = draw.uniform(0, 1, 1).astype(np.float32)
        said.append(Prediction(boxes=guess.astype(np.float32), box_labels=[int(draw.integers(3))], box_scores=sure))
        boxes.append(own.tolist())
        labels.append(draw.integers(0, 3, len(own)).tolist())
        crowds.append((draw.uniform(0, 1, len(own)) < 0.3).tolist())
    ids = [f"{number:03}" for number in range(count)]
    columns = {"boxes": boxes, "box_labels": labels, "iscrowd": crowds}
    return said, pd.DataFrame({"id": ids, "source": ids, "height": 90, "width": 90, **columns})


def measured(said: list[Prediction], truth: pd.DataFrame) -> Measurement:
    return task().measure(said, truth, bins=15)


def test_metrics_equal_a_slow_loop() -> None:
    said, truth = some()
    overlaps, right = [], []
    for prediction, row in zip(said, truth.to_dict("records"), strict=True):
        single = [at for at, crowd in enumerate(row["iscrowd"]) if not crowd]
        best, area = None, -1.0
        for at in single:
            x1, y1, x2, y2 = row["boxes"][at]
            if (x2 - x1) * (y2 - y1) > area:
                best, area = at, (x2 - x1) * (y2 - y1)
        if best is None:
            overlaps.append(0.0)
            right.append(False)
            continue
        truth_box = torch.tensor([row["boxes"][best]], dtype=torch.float64)
        overlaps.append(float(box_iou(torch.from_numpy(prediction.boxes).double(), truth_box)))
        right.append(prediction.box_labels == [row["box_labels"][best]])
    result = measured(said, truth)
    assert 0 in overlaps
    np.testing.assert_allclose(result.rows["score"], overlaps, atol=1e-9)
    assert result.headline == "mean_iou"
    assert result.values["mean_iou"] == pytest.approx(np.mean(overlaps))
    assert result.values["class_accuracy"] == pytest.approx(np.mean(right))
    located = [hit and overlap >= 0.5 for hit, overlap in zip(right, overlaps, strict=True)]
    assert 0 < sum(located) < sum(right)
    assert result.values["localization_accuracy"] == pytest.approx(np.mean(located))
    per_class = result.tables["per_class"]
    assert per_class["samples"].sum() == (~result.rows["told"].str.startswith("no box")).sum()
    assert {"label", "predicted"}.isdisjoint(result.rows)


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    said, truth = some()
    rows = measured(said, truth).rows
    counts = np.concatenate(list(resampled_counts(len(rows), 12)))
    fast = resampled("localization", rows, counts, task().labels)
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(len(rows)), drawn)
        slow = measured([said[at] for at in again], truth.iloc[again]).values
        for name, values in fast.items():
            assert values[index] == pytest.approx(slow[name], abs=1e-6)


@pytest.mark.parametrize("size", [64, 97])
def test_any_classifier_gives_classes_and_a_box(size: int) -> None:
    for architecture in ("mlp", "timm:test_resnet"):
        config = Config(kind="localization", architecture=architecture)
        own = build(config, Input(size=size), LABELS).eval()
        with torch.inference_mode():
            said = own(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        assert {name: tuple(value.shape) for name, value in said.items()} == {"classes": (1, 3), "boxes": (1, 4)}


def test_it_exports() -> None:
    own = build(Config(kind="localization", architecture="mnist_cnn"), Input(size=32), LABELS).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    graph = torch.export.export(own, (images,)).module()
    for name, value in own(images).items():
        torch.testing.assert_close(graph(images)[name], value)


def test_data_without_boxes_are_refused(digits: Path, tmp_path: Path) -> None:
    settings = model("mlp", digits.name, 8)
    with pytest.raises(UserError, match=r"train: no sample has a box.*kind: localization"):
        train(settings, 0, digits, tmp_path / "model", resume_root=tmp_path / "resume")


def test_a_loss_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="boxes would not be learned"):
        Config(kind="localization", architecture="mlp", l1_weight=0.0, giou_weight=0.0)


def model(architecture: str, dataset: str, size: int) -> Model:
    return Model.model_validate(
        {
            "dataset": dataset,
            "task": {"kind": "localization", "architecture": architecture},
            "weights": "random",
            "augment": "none",
            "input": {"size": size},
            "optimizer": {"name": "adam", "lr": 1e-3},
            "trainer": {"max_epochs": 2, "batch_size": 16},
        }
    )


def test_it_trains_and_is_measured(scenes: Path, tmp_path: Path) -> None:
    fitted = train(model("mnist_cnn", "scenes", 33), 0, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.curves[1]["train_loss"] < fitted.curves[0]["train_loss"]
    assert {"val_mean_iou", "val_class_accuracy"} <= set(fitted.curves[0])
    (tmp_path / "report").mkdir()
    metrics = evaluate_model(tmp_path / "model", scenes, Evaluation(resamples=100), tmp_path / "report")
    assert metrics["headline"]["name"] == "mean_iou"
    assert metrics["headline"]["low"] <= metrics["headline"]["value"] <= metrics["headline"]["high"]
