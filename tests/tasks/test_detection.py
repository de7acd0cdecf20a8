"""Detectors: their parts against known answers, then all of them from training to evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.detection import Detection as Config
from sightline.data.images import place
from sightline.data.structures import LabelMap
from sightline.evaluation.evaluate import evaluate_model
from sightline.models.detect.anchors import StrideAnchors
from sightline.models.detect.detections import into_original, share_found
from sightline.models.detect.feature_pyramid import build_body
from sightline.system.errors import UserError
from sightline.tasks.detection import Detection, build_detection
from sightline.tasks.metrics.by_kind import resampled
from sightline.training.fit import train

NAMES = tuple("abc")
LABELS = LabelMap(NAMES, NAMES)
SMALL = {"kind": "detection", "backbone": "timm:test_resnet", "strides": [8, 16], "width": 32, "head_convs": 1}
ARCHITECTURES = ("fcos", "retinanet", "faster_rcnn")


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def task(architecture: str = "fcos", size: int = 64, channels: int = 3, **options: Any) -> Detection:
    config = TypeAdapter(Config).validate_python(SMALL | {"architecture": architecture} | options)
    return build_detection(config, Input(size=size, channels=channels), LABELS, "random", None)  # type: ignore[arg-type]


def batch(size: int, count: int = 3, channels: int = 3) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Return images, of which the second has no objects."""
    images = torch.randint(0, 256, (count, size, size, channels), dtype=torch.uint8)
    boxes = [torch.tensor([[4.0, 6, 30, 28], [20, 30, 60, 62]]), torch.zeros(0, 4), torch.tensor([[1.0, 1, 9, 12]])]
    labels = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.int64), torch.tensor([1])]
    return images, {"boxes": boxes[:count], "box_labels": labels[:count]}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_losses_reach_every_weight(architecture: str) -> None:
    own = task(architecture)
    images, targets = batch(64)
    loss = own.training_loss(images, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert not [name for name, weight in own.network.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [64, 97])
def test_half_precision_odd_sizes_single_and_empty_images(architecture: str, size: int) -> None:
    own = task(architecture, size, channels=1).eval()
    images, targets = batch(size, channels=1)
    for chosen in ([0, 1, 2], [1], [0]):
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            loss, scores = own.validate(images[chosen], {name: [t[n] for n in chosen] for name, t in targets.items()})
        assert torch.isfinite(loss)
        assert loss.dtype == torch.float32
        assert 0 <= float(scores["found"]) <= 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_validation_loss_changes_nothing(architecture: str) -> None:
    own = task(architecture).eval()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    images, targets = batch(64)
    with torch.no_grad():
        own.validate(images, targets)
    assert not any(module.training for module in own.modules())
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


@pytest.mark.parametrize("size", [64, 97])
def test_fcos_finds_the_boxes_that_its_loss_asks_for(size: int) -> None:
    own = task("fcos", size)
    boxes, labels = torch.tensor([[4.0, 6, 30, 28], [33, 20, 60, 62]]), torch.tensor([0, 2])
    anchors = own.network.anchors
    centres, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2] - anchors[:, 0]
    assert set(((centres / sides[:, None]) % 1).ravel().tolist()) == {0.5}, "points lie in the middles of squares"
    distances = torch.cat([centres[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - centres[:, None]], -1)
    inside = distances.min(-1).values > 0
    first = inside.float().argmax(1)
    codes = distances[torch.arange(len(anchors)), first] / sides[:, None]
    logits = torch.where(inside[:, :, None] & (labels[:, None] == torch.arange(3)), 8.0, -8.0).max(1).values
    outputs = {"cls_logits": logits, "bbox_regression": codes, "bbox_ctrness": torch.full((len(anchors), 1), 8.0)}
    outputs = {name: values[None] for name, values in outputs.items()}
    [found] = own.network.detections(outputs)
    sure = found["scores"] > 0.5
    order = found["labels"][sure].argsort()
    torch.testing.assert_close(found["boxes"][sure][order], boxes)
    assert found["labels"][sure][order].tolist() == [0, 2]
    assert float(own.scores(outputs, {"boxes": [boxes], "box_labels": [labels]})["found"]) == 1
    moved = float(own.loss(outputs, {"boxes": [boxes + 3], "box_labels": [labels]}))
    assert float(own.loss(outputs, {"boxes": [boxes], "box_labels": [labels]})) < moved


@pytest.mark.parametrize("label", [0, 2])
def test_two_stages_count_classes_from_zero(label: int) -> None:
    own = task("faster_rcnn", score_threshold=0.5)
    predictor = own.network.head.roi_heads.box_predictor
    with torch.no_grad():
        predictor.cls_score.weight.zero_()
        predictor.cls_score.bias.copy_(torch.full((4,), -9.0))
        predictor.cls_score.bias[label + 1] = 9
        images, _ = batch(64, 1)
        box = torch.tensor([[8.0, 8, 40, 40]])
        found = own.eval().network.detections(own(images))[0]
        assert set(found["labels"].tolist()) == {label}
        losses = [float(own.train().training_loss(images, _one(box, other))) for other in range(3)]
    assert int(np.argmin(losses)) == label


def _one(box: Tensor, label: int) -> dict[str, Any]:
    return {"boxes": [box], "box_labels": [torch.tensor([label])]}


class Told(nn.Module):
    """A network that says what it is told."""

    def __init__(self, boxes: list[list[float]]) -> None:
        super().__init__()
        self.boxes = torch.tensor(boxes)

    def detections(self, _: Any) -> list[dict[str, Tensor]]:
        count = len(self.boxes)
        return [{"boxes": self.boxes, "labels": torch.arange(count), "scores": torch.linspace(0.9, 0.1, count)}]


def test_predictions_are_in_pixels_of_the_original() -> None:
    placement = place(100, 200, 64, "letterbox")  # 64 x 32 pixels, 16 below the upper edge
    own = Detection(Told([[0, 16, 32, 48], [32, 0, 80, 64]]), LABELS, [0.5], [0.5])  # type: ignore[arg-type]
    [said] = own.predictions({}, [placement])
    assert said.boxes is not None
    np.testing.assert_allclose(said.boxes, [[0, 0, 100, 100], [100, 0, 200, 100]], atol=1e-4)
    assert said.box_labels == [0, 1]
    truth = pd.DataFrame(
        {"id": ["x"], "source": ["x.png"], "boxes": [[[0, 0, 100, 100], [0, 0, 9, 9]]], "box_labels": [[0, 1]]}
    )
    measured = own.measure(iter([said]), truth, bins=15)
    assert measured.values["mAP50"] == pytest.approx(0.5)
    assert measured.rows["told"].tolist() == ["a, b → a"]
    assert resampled("detection", measured.rows, np.ones((2, 1), np.float32), own.labels)["mAP50"].tolist() == [
        0.5,
        0.5,
    ]


def test_boxes_stay_within_the_original() -> None:
    placement = place(50, 100, 64, "crop")
    edges = into_original(np.array([[-9, -9, 90, 90]], np.float32), placement)
    np.testing.assert_allclose(edges, [[17.97, 0, 95.31, 50]], atol=0.01)


def test_the_share_found_is_that_of_a_loop() -> None:
    found = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]]),
        "labels": torch.tensor([0, 1, 1]),
        "scores": torch.tensor([0.9, 0.8, 0.7]),
    }
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    boxes = [torch.tensor([[0.0, 0, 10, 9], [20, 20, 30, 30]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)]
    assert float(share_found([found, found], boxes, labels)) == 0.5, "the third guess is one too many"
    assert float(share_found([empty, empty], boxes, labels)) == 0
    assert float(share_found([found], boxes[1:], labels[1:])) == 1


def test_anchors_know_their_strides() -> None:
    anchors = StrideAnchors([8, 16], (4.0,), (0.5, 1.0))
    maps = [torch.zeros(2, 1, 13, 13, dtype=torch.bfloat16), torch.zeros(2, 1, 7, 7)]  # of 97 pixels, rounded up
    images = type("Images", (), {"image_sizes": [(97, 97)] * 2})()
    first, second = anchors(images, maps)
    assert first is second
    assert first.dtype == torch.float32
    assert first.shape == (2 * (13**2 + 7**2), 4)
    assert first[2 * 12].tolist() == [100 - 23, 4 - 11, 100 + 23, 4 + 11], "the last point of the first row"


@pytest.mark.parametrize(
    ("backbone", "strides", "widths"),
    [
        ("timm:test_resnet", [4, 8], (32, 48)),
        ("torchvision:squeezenet1_1", [8, 16], (256, 512)),
        ("torchvision:mobilenet_v2", [8, 16, 32, 64], (192, 576, 1280)),
    ],
)
def test_bodies_of_both_libraries(backbone: str, strides: list[int], widths: tuple[int, ...]) -> None:
    body = build_body(backbone, 1, 96, strides, "random").eval()
    assert body.widths == widths
    assert body.strides == tuple(strides[: len(widths)])
    with torch.no_grad():
        maps = body(torch.zeros(1, 1, 96, 96))
    for one, stride, width in zip(maps, body.strides, widths, strict=True):
        assert one.shape[:2] == (1, width)
        assert abs(one.shape[2] - 96 / stride) <= 1


@pytest.mark.parametrize(
    ("backbone", "strides", "told"),
    [
        ("timm:test_resnet", [1, 2], r"timm:test_resnet has feature maps of strides 2?,? ?4, 8, 16, 32; start with"),
        ("torchvision:vit_b_16", [16], "no feature maps found in it"),
        ("timm:no_such_net", [8], "no such network"),
    ],
)
def test_backbones_that_do_not_fit_are_refused(backbone: str, strides: list[int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_body(backbone, 3, 96, strides, "random")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strides": [8, 32]}, "each stride must be twice the previous one"),
        ({"width": 48}, "multiple of 32"),
        ({"anchor_scale": 4.0}, "anchor_scale is for retinanet and faster_rcnn, but architecture is fcos"),
        ({"proposals": 50}, "proposals is for faster_rcnn, but architecture is fcos"),
    ],
)
def test_settings_that_contradict_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TypeAdapter(Config).validate_python(SMALL | options)


def test_data_without_boxes_is_refused(digits: Path) -> None:
    from sightline.data.store import SplitStore

    config = TypeAdapter(Config).validate_python(SMALL)
    with pytest.raises(UserError, match="no sample has a box"):
        build_detection(config, Input(size=64), LABELS, "random", SplitStore(digits / "train"))


def test_from_training_to_evaluation(scenes: Path, tmp_path: Path) -> None:
    settings = Model.model_validate(
        {
            "dataset": "scenes",
            "task": SMALL,
            "weights": "random",
            "input": {"size": 64},
            "augment": "light",
            "optimizer": {"name": "adamw", "lr": 2e-3},
            "trainer": {"max_epochs": 2, "batch_size": 8},
        }
    )
    fitted = train(settings, 1, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.curves[1]["train_loss"] < fitted.curves[0]["train_loss"]
    assert {"val_loss", "val_found"} <= set(fitted.curves[0])
    metrics = evaluate_model(tmp_path / "model", scenes, Evaluation(resamples=100), tmp_path)
    rows = pd.read_parquet(tmp_path / "predictions.parquet")
    assert metrics["headline"]["name"] == "mAP50"
    assert not {"label", "predicted"} & set(rows)
    assert {"mAP50", "mAP"} <= set(metrics["interval"])
    curve = pd.read_csv(tmp_path / "precision_recall.csv", dtype={"class": str})
    assert set(curve) == {"class", "recall", "precision", "score"}
    assert len(pd.read_csv(tmp_path / "per_class.csv")) == 10
