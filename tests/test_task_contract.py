"""One contract for every kind of task: what a user may do with one model, a user may do with each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from pydantic import TypeAdapter
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sightline.config.metrics import METRICS, smaller_is_better
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.config.tasks import kinds
from sightline.data.images import place
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Prediction
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.tasks.metrics.by_kind import metrics_of, names_of, resampled
from sightline.training.artifact.folder import ModelCard, read_model, write_model
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.batch import Batch
from sightline.training.datamodule import PreparedData
from sightline.training.truth import truth_of

EIGHT = list(range(8))


@dataclass(frozen=True)
class Entry:
    """A task as the contract tries it.

    Attributes:
        task: its section of params.yaml.
        data: the fixture with its data.
        size, channels: of the input.
        steps: of Adam, within which eight images are learned by heart.
        lr: of Adam.
        least: of the headline metric on those eight images then; of an error the most.
        width: of an input that is no square.
    """

    task: dict[str, Any]
    data: str
    least: float
    size: int = 32
    channels: int = 1
    steps: int = 60
    lr: float = 3e-3
    odd: int = field(default=37)
    width: int | None = None


DETECTOR = {"backbone": "timm:test_resnet", "strides": [4, 8, 16], "width": 32, "head_convs": 1}
CONTRACT = {
    "classification": Entry({"kind": "classification", "architecture": "mnist_cnn"}, "digits", least=0.99),
    "multilabel": Entry({"kind": "multilabel", "architecture": "mnist_cnn"}, "scenes", least=0.95, channels=3),
    "regression": Entry({"kind": "regression", "architecture": "mnist_cnn"}, "scenes", least=0.9, channels=3),
    "localization": Entry({"kind": "localization", "architecture": "mnist_cnn"}, "scenes", least=0.6, channels=3),
    "unet": Entry(
        {"kind": "semantic_segmentation", "depth": 2, "width": 16, "loss": "cross_entropy_dice"},
        "scenes",
        0.3,
        size=64,
        channels=3,
        steps=120,
        lr=1e-2,
    ),
    "semantic_fpn": Entry(
        {
            "kind": "semantic_segmentation",
            "architecture": "semantic_fpn",
            "loss": "cross_entropy_dice",
            "backbone": "timm:test_resnet",
            "strides": [4, 8, 16],
            "width": 32,
        },
        "scenes",
        0.3,
        size=64,
        channels=3,
        steps=120,
        lr=1e-2,
    ),
    "conv_autoencoder": Entry({"kind": "autoencoder"}, "digits", least=15.0),
    "keypoints": Entry(
        {"kind": "keypoints", "backbone": "timm:test_resnet", "width": 32},
        "figures",
        0.8,
        size=64,
        channels=3,
        steps=120,
    ),
    "fcos": Entry({"kind": "detection", **DETECTOR}, "scenes", 0.7, size=64, channels=3, steps=100),
    "oriented": Entry({"kind": "detection", "boxes": "oriented", **DETECTOR}, "turned", 0.7, 64, 3, steps=100),
    "retinanet": Entry(
        {"kind": "detection", "architecture": "retinanet", **DETECTOR}, "scenes", 0.7, size=64, channels=3, steps=100
    ),
    "faster_rcnn": Entry(
        {"kind": "detection", "architecture": "faster_rcnn", **DETECTOR}, "scenes", 0.5, size=64, channels=3, steps=100
    ),
    "sliding_window": Entry(
        {"kind": "sliding_window", "architecture": "mnist_cnn", "window": 32, "stride": 8},
        "scenes",
        0.05,  # its boxes are squares of a few sizes; chance is below 0.01
        size=96,
        channels=3,
        steps=80,
    ),
    "style_network": Entry(
        {
            "kind": "style_network",
            "paintings": str(Path(sklearn.datasets.__file__).with_name("images")),
            "styles": ["china.jpg", "flower.jpg"],
            "width": 8,
            "blocks": 1,
            "loss_network_weights": "random",
            "style_layers": {"features.1": 1.0, "features.3": 1.0},  # the deeper layers of random weights see little
            "content_layers": {"features.3": 1.0},
            "content_weight": 0.05,
            "tv_weight": 0.0,
        },
        "scenes",
        least=0.5,
        channels=3,
        lr=1e-2,
    ),
    "mask_rcnn": Entry({"kind": "instance_segmentation", **DETECTOR}, "scenes", 0.5, size=64, channels=3, steps=100),
    "text_recognition": Entry(
        {"kind": "text_recognition", "width": 8, "hidden": 32},
        "strings",
        0.1,
        channels=3,
        size=32,
        width=64,
        steps=120,
    ),
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


# Fast tests learn by heart with one of each kind of network; these take longer.
SLOW = ("semantic_fpn", "keypoints", "oriented", "retinanet", "faster_rcnn", "mask_rcnn", "sliding_window")


@pytest.fixture(params=list(CONTRACT))
def entry(request: pytest.FixtureRequest) -> Entry:
    return CONTRACT[request.param]


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CONTRACT])
def learner(request: pytest.FixtureRequest) -> tuple[Entry, Path]:
    entry = CONTRACT[request.param]
    return entry, request.getfixturevalue(entry.data)


@pytest.fixture
def prepared(request: pytest.FixtureRequest, entry: Entry) -> Path:
    folder: Path = request.getfixturevalue(entry.data)
    return folder


def made(entry: Entry, prepared: Path, size: int | None = None) -> tuple[Task, Input]:
    image = Input(size=size or entry.size, channels=entry.channels, width=entry.width)  # type: ignore[arg-type]
    config = TypeAdapter(TaskConfig).validate_python(entry.task)
    return build(config, image, load_labels(prepared), train=SplitStore(prepared / "train")), image


def some(task: Task, prepared: Path, image: Input, indices: list[int]) -> Batch:
    data = PreparedData(
        prepared,
        task.targets,
        size=image.extent,
        channels=image.channels,
        resize="letterbox",
        augment="none",
        batch_size=8,
        num_workers=0,
        seed=0,
    )
    return data.data["train"].__getitems__([(0, index) for index in indices])


def predicted(task: Task, prepared: Path, image: Input, batch: Batch, outputs: Any = None) -> list[Prediction]:
    store = SplitStore(prepared / "train")
    shapes = list(zip(store.column("height"), store.column("width"), strict=True))[: len(batch.images)]
    task.eval()
    with torch.inference_mode():
        outputs = task(batch.images) if outputs is None else outputs
        return task.predictions(outputs, [place(*shape, image.extent, "letterbox") for shape in shapes])


def plain(predictions: list[Prediction]) -> list[dict[str, Any]]:
    known = [{name: value for name, value in vars(one).items() if value is not None} for one in predictions]
    return [one | {f"picture {name}": own for name, own in one.pop("pictures", {}).items()} for one in known]


def assert_alike(ours: list[Prediction], theirs: list[Prediction], tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        told = plain([in_order_of(other, one) if tolerance and other.boxes is not None else one, other])
        assert told[0].keys() == told[1].keys()
        for name, value in told[0].items():
            if isinstance(value, np.ndarray) and value.dtype != np.uint8:
                np.testing.assert_allclose(value, told[1][name], atol=tolerance, rtol=tolerance)
            elif isinstance(value, np.ndarray):
                assert (value != told[1][name]).mean() < 0.01
            elif isinstance(value, float):
                assert value == pytest.approx(told[1][name], abs=tolerance, rel=tolerance)
            elif name != "instances":
                assert value == told[1][name]


def in_order_of(reference: Prediction, prediction: Prediction) -> Prediction:
    """Give the objects of a prediction the order of another's: where two scores are alike, rounding decides it."""

    def told(one: Prediction) -> Any:
        return np.column_stack([one.boxes, np.asarray(one.box_labels) * 1000.0, one.box_scores])  # type: ignore[list-item]

    _, order = linear_sum_assignment(cdist(told(reference), told(prediction)))
    assert len(order) == len(reference.box_labels or []) == len(prediction.box_labels or [])
    return replace(
        prediction,
        boxes=prediction.boxes[order],  # type: ignore[index]
        box_labels=[prediction.box_labels[index] for index in order],  # type: ignore[index]
        box_scores=prediction.box_scores[order],  # type: ignore[index]
        corners=None if prediction.corners is None else prediction.corners[order],
    )


def test_eight_images_are_learned_by_heart_saved_loaded_and_exported(
    learner: tuple[Entry, Path], tmp_path: Path
) -> None:
    entry, prepared = learner
    task, image = made(entry, prepared)
    batch = some(task, prepared, image, EIGHT)
    optimizer = torch.optim.Adam(task.parameters(), entry.lr)
    task.train()
    losses = []
    for _ in range(entry.steps):
        loss = task.training_loss(batch.images, batch.targets)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    task.eval()
    if task.calibrates:
        with torch.inference_mode():
            task.calibrate(task(batch.images), batch.targets)
    before = predicted(task, prepared, image, batch)
    truth = truth_of(SplitStore(prepared / "train"), task).iloc[:8]
    measured = task.measure(iter(before), truth, bins=15)
    sign = -1 if smaller_is_better(measured.headline) else 1
    assert sign * measured.values[measured.headline] >= sign * entry.least, (losses[0], losses[-1])
    assert {"id", "source", "told", "score"} <= set(measured.rows)
    config = TypeAdapter(TaskConfig).validate_python(entry.task)
    write_model(tmp_path / "model", task, ModelCard(config, image, task.labels, "32", False, 2, "0" * 64))
    loaded, _ = read_model(tmp_path / "model")
    assert_alike(predicted(loaded, prepared, image, batch), before, 0)
    if not task.exports:
        return
    network = OnnxNetwork(tmp_path / "model" / "model.onnx")
    assert network.labels == task.labels
    outputs = network(batch.images.numpy())
    assert_alike(predicted(task, prepared, image, batch, outputs), before, 2e-3)
    one = network(batch.images[:1].numpy())
    assert len(one if isinstance(one, torch.Tensor) else next(iter(one.values()))) == 1


def test_statistics_name_metrics_and_agree_with_them(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared)
    predictions = predicted(task, prepared, image, some(task, prepared, image, EIGHT))
    measured = task.measure(iter(predictions), truth_of(SplitStore(prepared / "train"), task).iloc[:8], bins=15)
    whole = resampled(task.kind, measured.rows, np.ones((1, 8), np.float32), task.labels)
    assert measured.headline in whole
    assert set(names_of(task.kind, task.labels)) == set(metrics_of(task.kind, measured.rows, task.labels))
    for name, values in whole.items():
        assert values[0] == pytest.approx(measured.values[name], abs=1e-4), name
    for prediction in predictions:
        import json

        json.dumps(prediction.to_json(task.labels), allow_nan=False)


def test_batches_bring_what_the_loss_reads(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared)
    missing = set(task.targets) - set(some(task, prepared, image, [0]).targets)
    assert not missing, f"training.datamodule.WHOLE, or data.vary.geometry.SPATIAL and as_tensors: {missing}"


def test_losses_are_finite_in_bf16_for_one_image_and_odd_sizes(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared, size=entry.odd)
    for indices in (EIGHT[:3], [0]):
        batch = some(task, prepared, image, indices)
        if len(indices) == 1:
            task.eval()  # batch normalisation cannot learn from one image of one pixel
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.training_loss(batch.images, batch.targets)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        loss.backward()
        gradients = [p.grad for p in task.parameters() if p.grad is not None]
        assert gradients
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        predicted(task, prepared, image, batch)


def test_images_without_a_target_are_taken(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared)
    batch = some(task, prepared, image, EIGHT[:2])
    for name, value in batch.targets.items():
        if isinstance(value, list):
            batch.targets[name] = [one[:0] for one in value]
        elif name == "semantic":
            batch.targets[name] = torch.full_like(value, 255)
        elif name == "labels":
            batch.targets[name] = torch.zeros_like(value)
        elif name == "text":
            batch.targets[name] = torch.full_like(value, -1)
    loss = task.training_loss(batch.images, batch.targets)
    assert torch.isfinite(loss)
    loss.backward()


def test_every_kind_is_in_the_contract() -> None:
    files = {path.stem for path in Path(__file__).parents[1].joinpath("src/sightline/tasks").glob("[a-z]*.py")}
    tried = {entry.task["kind"] for entry in CONTRACT.values()}
    assert files - {"base", "views"} == set(kinds()), "config.tasks.Task"
    assert set(kinds()) == tried, "CONTRACT"
    assert set(kinds()) | {"anomaly"} == set(METRICS), "config.metrics; anomaly is what heads do"
