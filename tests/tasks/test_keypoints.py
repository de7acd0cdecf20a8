"""Key points: heat maps and what is read from them, the loss, metrics under resampling, small drawn figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from sightline.config.datasets import Figures
from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.keypoints import Keypoints as Config
from sightline.data.images import place
from sightline.data.raw.preparation import prepare
from sightline.data.structures import LabelMap, Prediction
from sightline.evaluation.evaluate import evaluate_model
from sightline.models.heatmaps import draw_heatmaps, read_heatmaps
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.base import Measurement
from sightline.tasks.keypoints import Keypoints, largest_poses
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.training.fit import train

NAMES = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "nose")
LABELS = LabelMap(("person",), ("1",), keypoints=NAMES)


def task() -> Keypoints:
    return Keypoints(nn.Identity(), "", LABELS, [0.5], [0.5], stride=4, sigma=1.5)


def test_heat_maps_equal_a_slow_loop() -> None:
    points = torch.tensor([[[3.3, 5.0], [-1.0, 2.5]]])
    maps = draw_heatmaps(points, 8, 7, 1.5)
    assert maps.shape == (1, 2, 8, 7)
    for k, (x, y) in enumerate(points[0].tolist()):
        for row in range(8):
            for column in range(7):
                expected = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 1.5**2))
                assert float(maps[0, k, row, column]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_peaks_are_found_between_cells(sigma: float) -> None:
    draw = np.random.default_rng(0)
    points = torch.tensor(draw.uniform(2, 21, (4, 9, 2)), dtype=torch.float32)
    read = read_heatmaps(draw_heatmaps(points, 24, 24, sigma))
    error = (read[..., :2] - points).norm(dim=-1)
    assert float(error.max()) < 0.03, "a cell alone would be up to 0.7 away"
    assert ((read[..., 2] > 0.7) & (read[..., 2] <= 1)).all()


def test_noise_moves_peaks_little_and_flat_maps_are_read_too() -> None:
    draw = torch.Generator().manual_seed(0)
    points = 4 + 14 * torch.rand(1, 60, 2, generator=draw)
    noisy = 0.8 * draw_heatmaps(points, 24, 24, 2.0) + 0.03 * torch.randn(1, 60, 24, 24, generator=draw)
    assert float((read_heatmaps(noisy)[..., :2] - points).norm(dim=-1).mean()) < 0.2
    assert torch.isfinite(read_heatmaps(torch.zeros(1, 2, 5, 5))).all()
    assert torch.isfinite(read_heatmaps(-torch.ones(1, 2, 5, 5))).all()


def person(points: list[list[float]]) -> Tensor:
    return torch.tensor([points])


POSE = [[20.0, 10, 2], [10, 12, 1], [19, 30, 2], [12, 31, 2], [0, 0, 0]]


def targets(*poses: Tensor) -> dict[str, Any]:
    boxes = [torch.tensor([[5.0, 5, 25, 35]])[: len(pose)] for pose in poses]
    return {"boxes": boxes, "keypoints": list(poses)}


def wanted(pose: Tensor, sigma: float = 1.5) -> Tensor:
    return draw_heatmaps(pose[..., :2] / 4 - 0.5, 10, 10, sigma)


def test_hidden_points_count_in_the_loss_and_absent_ones_do_not() -> None:
    pose = person(POSE)
    right = wanted(pose)
    assert float(task().loss(right, targets(pose))) == pytest.approx(0, abs=1e-9)
    absent, hidden = right.clone(), right.clone()
    absent[:, 4] = 7
    hidden[:, 1] += 0.5
    assert float(task().loss(absent, targets(pose))) == pytest.approx(0, abs=1e-9)
    assert float(task().loss(hidden, targets(pose))) == pytest.approx(0.25 / 4), "one of four labelled points"
    assert float(task().scores(right, targets(pose))["mean_error"]) < 0.7


def test_images_without_a_person_teach_nothing() -> None:
    maps = torch.rand(2, 5, 10, 10, requires_grad=True)
    nobody = {"boxes": [torch.zeros(0, 4), torch.rand(3, 4)], "keypoints": [torch.zeros(0, 5, 3), torch.zeros(3, 0, 3)]}
    loss = task().loss(maps, nobody)
    loss.backward()
    assert loss.item() == 0
    assert maps.grad is not None
    assert not maps.grad.any()
    assert task().scores(maps, nobody)["mean_error"].item() == 0


def test_the_largest_labelled_person_is_learned() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 9, 9], [0, 0, 30, 30]])
    points = torch.zeros(3, 5, 3)
    points[0], points[1] = 2, 1
    poses = largest_poses([boxes], [points], 5)
    assert (poses == 1).all(), "the third is larger, but nobody marked its points"


def test_points_come_back_in_the_originals_pixels_and_within_it() -> None:
    placements = [place(60, 120, 40, "letterbox"), place(200, 100, 40, "stretch")]
    original = np.array([[[60, 30], [30, 10], [90, 50]], [[50, 100], [30, 40], [80, 160]]], np.float32)
    inside = np.stack([spot.into_input(own) for spot, own in zip(placements, original, strict=True)])
    maps = draw_heatmaps(torch.from_numpy(inside) / 4 - 0.5, 10, 10, 1.5)
    for prediction, own in zip(task().predictions(maps, placements), original, strict=True):
        assert prediction.keypoints is not None
        np.testing.assert_allclose(prediction.keypoints[0, :, :2], own, atol=0.5)  # a cell is 12 or 20 of these
        assert prediction.keypoints[0, :, 2].min() > 0.7
    edge = torch.zeros(1, 3, 10, 10)
    edge[..., 0, 0] = 1
    told = task().predictions(edge, placements[:1])[0].keypoints
    assert told is not None
    assert told[..., 1].min() >= 0, "the upper quarter of this input is padding"


def some(count: int = 40) -> tuple[list[Prediction], pd.DataFrame]:
    draw = np.random.default_rng(0)
    said, boxes, keypoints = [], [], []
    for number in range(count):
        corners = draw.uniform(0, 30, (number % 3, 2))
        own = np.concatenate([corners, corners + draw.uniform(20, 60, corners.shape)], 1)
        points = np.zeros((len(own), 5, 3))
        points[..., :2] = draw.uniform(0, 90, (*points.shape[:2], 2))
        points[..., 2] = draw.integers(0, 3, points.shape[:2])
        guess = points[:1].copy() if len(points) else np.zeros((1, 5, 3))
        guess[..., :2] += draw.normal(0, draw.uniform(0.1, 5), (1, 5, 2))
        guess[..., 2] = draw.uniform(0, 1, (1, 5))
        said.append(Prediction(keypoints=guess.astype(np.float32)))
        boxes.append(own.tolist())
        keypoints.append(points.tolist() if number % 7 else None)
    ids = [f"{number:03}" for number in range(count)]
    columns = {"boxes": boxes, "keypoints": keypoints, "iscrowd": None, "area": None}
    return said, pd.DataFrame({"id": ids, "source": ids, **columns})


def measured(said: list[Prediction], truth: pd.DataFrame) -> Measurement:
    return task().measure(said, truth, bins=15)


def test_the_headline_is_the_mean_of_the_scores() -> None:
    result = measured(*some())
    assert result.headline == "pck"
    assert 0.1 < result.values["pck"] < 0.9
    assert 0.1 < result.values["oks_ap"] < result.values["oks_ap50"] < 1
    assert result.tables["per_joint"]["joint"].tolist() == list(NAMES)
    assert (result.rows["told"] == "no points").sum() >= 12
    assert {"label", "predicted"}.isdisjoint(result.rows)


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    said, truth = some()
    rows = measured(said, truth).rows
    counts = np.concatenate(list(resampled_counts(len(rows), 12)))
    fast = resampled("keypoints", rows, counts, task().labels)
    assert set(fast) == {"pck", "mean_error", "oks_ap", "oks_ap50"}
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(len(rows)), drawn)
        slow = measured([said[at] for at in again], truth.iloc[again]).values
        for name, values in fast.items():
            assert values[index] == pytest.approx(slow[name], rel=1e-4), name


def test_metrics_exist_without_any_point() -> None:
    said, truth = some()
    nothing = truth.assign(keypoints=[None] * len(truth))
    result = measured(said, nothing)
    assert set(result.values.values()) == {0.0}
    fast = resampled("keypoints", result.rows, np.ones((3, len(truth)), np.float32), task().labels)
    assert not any(values.any() for values in fast.values())


@pytest.mark.parametrize(
    ("backbone", "size", "stride", "backbone_stride", "channels"),
    [
        ("timm:test_resnet", 64, 4, 32, 3),
        ("timm:test_resnet", 97, 4, 16, 1),
        ("torchvision:mobilenet_v2", 97, 8, 32, 3),
        ("torchvision:squeezenet1_1", 64, 8, 8, 3),
    ],
)
def test_any_backbone_draws_maps(backbone: str, size: int, stride: int, backbone_stride: int, channels: int) -> None:
    config = Config.model_validate(
        {
            "kind": "keypoints",
            "backbone": backbone,
            "width": 8,
            "stride": stride,
            "backbone_stride": backbone_stride,
        }
    )
    image = Input.model_validate({"size": size, "channels": channels})
    own = build(config, image, LABELS).eval()
    with torch.inference_mode():
        maps = own(torch.zeros(1, size, size, channels, dtype=torch.uint8))
    side = -(-size // stride)
    assert maps.shape == (1, 5, side, side)
    assert maps.dtype == torch.float32


def test_it_exports() -> None:
    config = Config(kind="keypoints", backbone="timm:test_resnet", width=8)
    own = build(config, Input(size=97), LABELS).eval()
    images = torch.randint(0, 256, (2, 97, 97, 3), dtype=torch.uint8)
    graph = torch.export.export(own, (images,)).module()
    torch.testing.assert_close(graph(images), own(images))


def test_what_does_not_fit_is_refused(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train: has no key points.*kind: keypoints"):
        train(model(max_epochs=1), 0, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    config = Config(kind="keypoints", backbone="timm:test_resnet", stride=8)
    with pytest.raises(UserError, match=r"input\.size: 24: too small for task\.stride: 8, which needs at least 32 px"):
        build(config, Input(size=24), LABELS)


def model(**trainer: Any) -> Model:
    return Model.model_validate(
        {
            "dataset": "figures",
            "task": {"kind": "keypoints", "backbone": "timm:test_resnet", "width": 16, "backbone_stride": 16},
            "weights": "random",
            "augment": "none",
            "input": {"size": 64},
            "optimizer": {"name": "adamw", "lr": 3e-3},
            "trainer": {"batch_size": 16, **trainer},
        }
    )


def test_it_trains_and_is_measured(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    prepare("figures", Figures(format="figures", root="data/embedded", count=80, size=64), folder)
    fitted = train(model(max_epochs=4), 0, folder, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.curves[-1]["train_loss"] < 0.8 * fitted.curves[0]["train_loss"]
    assert fitted.curves[-1]["val_mean_error"] < fitted.curves[0]["val_mean_error"]
    (tmp_path / "report").mkdir()
    metrics = evaluate_model(tmp_path / "model", folder, Evaluation(resamples=100), tmp_path / "report")
    assert metrics["headline"]["name"] == "pck"
    assert metrics["headline"]["low"] <= metrics["headline"]["value"] <= metrics["headline"]["high"]
