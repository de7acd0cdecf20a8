"""Predictions over an image and its mirror image: the same by torch, ONNX and in evaluation, not in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks import Classification, Multilabel
from sightline.data.images import place
from sightline.data.structures import LabelMap
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.predictor import load_predictor
from sightline.models.detect.box_fusion import fused
from sightline.tasks import build
from sightline.tasks.base import Target
from sightline.tasks.views import mean_of_classes, mean_of_presences
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.fit import train

LABELS = LabelMap(tuple("abcde"), tuple("abcde"))
IMAGE = Input(size=16, channels=3)


def pixels(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (6, 16, 16, 3), np.uint8))


def settings(kind: str, views: str) -> Any:
    section = Classification if kind == "classification" else Multilabel
    return section.model_validate({"kind": kind, "architecture": "mlp", "views": views})


def test_means_are_of_probabilities() -> None:
    """Also of scores that are far apart, where a probability is 0 in float32."""
    first, second = torch.randn(7, 5) * 60, torch.randn(7, 5) * 60
    torch.testing.assert_close(
        mean_of_classes(first, second).softmax(1), (first.softmax(1) + second.softmax(1)) / 2, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        mean_of_presences(first, second).sigmoid(), (first.sigmoid() + second.sigmoid()) / 2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_both_views_count_the_same_everywhere(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    task = build(settings(kind, "mirror"), IMAGE, LABELS).eval()
    with torch.inference_mode():
        both = task.class_chances(task(pixels()))
        each = [task.class_chances(task.look_inside(own)) for own in (pixels(), pixels().flip(2))]
        turned = task.class_chances(task(pixels().flip(2)))
    torch.testing.assert_close(both, (each[0] + each[1]) / 2, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(both, turned, rtol=1e-5, atol=1e-6)
    assert (each[0] - each[1]).abs().max() > 1e-3
    task.train()
    torch.testing.assert_close(task(pixels()), task.look_inside(pixels()))

    write_model(tmp_path / "model", task, ModelCard(settings(kind, "mirror"), IMAGE, LABELS, "32", False, 1, "d" * 64))
    assert "graph(" not in capfd.readouterr().out, "traced: the other exporter takes ten times as long"
    assert json.loads((tmp_path / "model/model.json").read_text())["task"]["views"] == "mirror"
    placements = [place(16, 16, 16, "letterbox")] * 6
    for engine in ("torch", "onnx"):
        predictor = load_predictor(tmp_path / "model", engine=engine)
        said = predictor.predict_pixels(pixels().numpy(), placements)
        found = np.stack([one.probabilities for one in said if one.probabilities is not None])
        np.testing.assert_allclose(found, both.numpy(), rtol=1e-4, atol=1e-5)


SIDE = 64
NAMES = ("nose", "left_hand", "right_hand")
KINDS: dict[str, dict[str, Any]] = {
    "detection": {"backbone": "timm:test_resnet", "strides": [8, 16], "score_threshold": 0.0, "max_objects": 5},
    "oriented": {
        "kind": "detection",
        "boxes": "oriented",
        "backbone": "timm:test_resnet",
        "strides": [8, 16],
        "score_threshold": 0.0,
        "max_objects": 5,
    },
    "retinanet": {"kind": "detection", "architecture": "retinanet", "backbone": "timm:test_resnet", "strides": [8, 16]},
    "faster_rcnn": {
        **{"kind": "detection", "architecture": "faster_rcnn", "backbone": "timm:test_resnet", "strides": [8, 16]},
        **{"score_threshold": 0.0, "max_objects": 5},
    },
    "sliding_window": {"architecture": "mlp", "stride": 7, "score_threshold": 0.0, "max_objects": 5},
    "keypoints": {"backbone": "timm:test_resnet", "width": 32},
    "semantic_segmentation": {"architecture": "unet", "depth": 2},
    "localization": {"architecture": "mlp"},
    "regression": {"architecture": "mlp"},
    "autoencoder": {"depth": 2},
}


def _section(name: str, views: str) -> Model:
    return Model.model_validate(
        {
            "dataset": "d",
            "task": {"kind": name, **KINDS[name], "views": views},
            "weights": "random",
            "input": {"size": SIDE, "channels": 3},
        }
    )


def _task_of(name: str, views: str) -> Any:
    labels = LabelMap(("a", "b"), ("a", "b"), values=("x",), keypoints=NAMES, mirrored=(0, 2, 1))
    section = _section(name, views)
    torch.manual_seed(0)
    task = build(section.task, section.input, labels).eval()
    for layer in task.modules():  # the heads of new detectors find nothing anywhere
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.2)
    return task


def _turned(said: Any) -> Any:
    """What is said of a mirrored image, in the image: by the pixels of predictions, not of raw outputs."""
    if said.boxes is not None:
        said.boxes = SIDE - said.boxes[:, [2, 1, 0, 3]] * [1, -1, 1, -1] - [0, SIDE, 0, SIDE]
    if said.corners is not None:
        said.corners = [SIDE, 0] - said.corners[:, [1, 0, 3, 2]] * [1, -1]
    if said.keypoints is not None:
        said.keypoints = said.keypoints[:, [0, 2, 1]] * [-1, 1, 1] + [SIDE, 0, 0]
    for name in ("semantic", "image"):
        if getattr(said, name) is not None:
            setattr(said, name, getattr(said, name)[:, ::-1])
    return said


@pytest.mark.parametrize("name", KINDS)
def test_of_every_kind_the_mirror_image_is_told_the_mirrored_answer(name: str) -> None:
    images = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8))
    placements = [place(SIDE, SIDE, SIDE, "letterbox")] * 2
    differ = []
    for views in ("mirror", "one"):
        task = _task_of(name, views)
        with torch.inference_mode():
            plain, mirror = (task.predictions(task(own), placements) for own in (images, images.flip(2)))
        turned = [_turned(said) for said in mirror]
        fields = ("boxes", "box_scores", "keypoints", "semantic", "image", "values")
        gaps = [
            np.abs(np.asarray(getattr(a, field), float) - np.asarray(getattr(b, field), float)).max()
            for a, b in zip(plain, turned, strict=True)
            for field in fields
            if getattr(a, field) is not None
        ]
        assert gaps
        differ.append(max(gaps))
    assert differ[0] < 0.05, "rounding, and where a peak lies between two cells"
    assert differ[1] > 2 * differ[0]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "faster_rcnn"])
def test_of_every_kind_the_exported_network_sees_both_views(name: str, tmp_path: Path) -> None:
    """Of another number of images than it was traced with."""
    task = _task_of(name, "mirror")
    card = ModelCard(_section(name, "mirror").task, Input(size=SIDE, channels=3), task.labels, "32", False, 1, "d" * 64)
    write_model(tmp_path / "model", task, card)
    onnx = load_predictor(tmp_path / "model", engine="onnx").onnx
    assert onnx is not None
    for count in (1, 3):
        images = np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        with torch.inference_mode():
            wanted = task(torch.from_numpy(images))
        said = onnx(images)
        pairs = [(said[key], wanted[key]) for key in wanted] if isinstance(wanted, dict) else [(said, wanted)]
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, theirs, rtol=5e-3, atol=2e-2)  # large weights, large numbers


def slowly_fused(boxes: list[list[float]], labels: list[int], scores: list[float]) -> list[tuple[int, float, Any]]:
    """Weighted boxes fusion of two views, cluster by cluster, each fused anew from its members."""
    clusters: list[list[int]] = []

    def mean_box(members: list[int]) -> Any:
        return np.average([boxes[m] for m in members], axis=0, weights=[scores[m] for m in members])

    def overlap(a: Any, b: Any) -> float:
        common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
        return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)

    for n in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        own = [(overlap(mean_box(c), boxes[n]), place) for place, c in enumerate(clusters) if labels[c[0]] == labels[n]]
        best = max(own, default=(0.0, 0))
        if best[0] > 0.55:
            clusters[best[1]].append(n)
        else:
            clusters.append([n])
    told = [(labels[c[0]], float(np.mean([scores[m] for m in c])) * min(2, len(c)) / 2, mean_box(c)) for c in clusters]
    return sorted(told, key=lambda one: -one[1])


@pytest.mark.parametrize("seed", range(4))
def test_boxes_of_both_views_are_fused_as_in_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.tile(rng.uniform(0, 60, (15, 2)), (2, 1)) + rng.uniform(-2, 2, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(15, 22, (30, 2))], 1).astype(np.float32)
    labels, scores = np.tile(rng.integers(0, 2, 15), 2), rng.permutation(np.linspace(0.1, 0.9, 30)).astype(np.float32)
    views = [
        {"boxes": torch.tensor(boxes[own]), "labels": torch.tensor(labels[own]), "scores": torch.tensor(scores[own])}
        for own in (slice(0, 15), slice(15, 30))
    ]
    wanted = [one for one in slowly_fused(boxes.tolist(), labels.tolist(), scores.tolist()) if one[1] >= 0.2][:12]
    found = fused(*views, 0.2, 12)
    assert found["labels"].tolist() == [label for label, _, _ in wanted]
    np.testing.assert_allclose(found["scores"], [score for _, score, _ in wanted], rtol=1e-5)
    np.testing.assert_allclose(found["boxes"], [box for _, _, box in wanted], rtol=1e-5)
    empty = {name: values[:0] for name, values in views[0].items()}
    assert fused(empty, empty, 0.2, 12)["boxes"].shape == (0, 4)
    alone = fused({name: values[:1] for name, values in views[0].items()}, empty, 0.0, 100)
    assert float(alone["scores"][0]) == pytest.approx(float(views[0]["scores"][0]) / 2), "one of two views counts half"


def test_views_that_have_no_mean_are_refused() -> None:
    with pytest.raises(ValueError, match="that 32, the coarsest stride, divides, got 300; use 288"):
        Model.model_validate(
            {"dataset": "d", "task": {"kind": "detection", "views": "mirror"}, "input": {"size": 300, "channels": 3}}
        )


def test_one_view_is_not_written_down(tmp_path: Path) -> None:
    """A model.json without the key is that of models from before there was one."""
    task = build(settings("classification", "one"), IMAGE, LABELS)
    write_model(
        tmp_path / "model", task, ModelCard(settings("classification", "one"), IMAGE, LABELS, "32", False, 1, "")
    )
    assert "views" not in json.loads((tmp_path / "model/model.json").read_text())["task"]
    assert load_predictor(tmp_path / "model").task.views == "one"


def test_explanations_look_at_the_image_itself() -> None:
    torch.manual_seed(0)
    task = build(settings("classification", "mirror"), IMAGE, LABELS).eval()
    targets = [Target(2, "c", 0.5)] * 6
    with torch.inference_mode():
        alone = task.look_inside(pixels())[:, 2]
        torch.testing.assert_close(task.target_values(pixels(), targets, chances=False), alone)


def test_training_is_the_same_and_evaluation_agrees(digits: Path, tmp_path: Path) -> None:
    """Views change the choice of the epoch, so the last one is kept."""
    weights = []
    for views in ("one", "mirror"):
        model = Model.model_validate(
            {
                "dataset": "digits",
                "task": {"kind": "classification", "architecture": "mlp", "views": views},
                "input": {"size": 8, "channels": 1},
                "trainer": {"max_epochs": 1, "keep": "last", "threads": 1},
            }
        )
        folder = tmp_path / views
        folder.mkdir()
        train(model, 1, digits, folder / "model", resume_root=folder / "resume")
        weights.append((folder / "model/weights.safetensors").read_bytes())
        metrics = evaluate_model(folder / "model", digits, Evaluation(resamples=100), folder)
        assert metrics["onnx"]["agrees"]
    assert weights[0] == weights[1]
