"""Segmenters of every kind: shapes, losses against slow loops, original pixels, statistics, a whole training."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.config.tasks.semantic_segmentation import SemanticSegmentation as Config
from sightline.data.images import place
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.predictor import load_predictor
from sightline.models.detect.fcos import build_fcos
from sightline.models.segment.dense_networks import pool_with_places, unpool
from sightline.models.segment.segmenters import build_segmenter
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.tasks.metrics.segmentation import confusion, overlap_of, stacked
from sightline.tasks.semantic_segmentation import SemanticSegmentation, cross_entropy, dice_loss
from sightline.training import train

NAMES = ("sky", "road", "car")
Array = np.ndarray[Any, Any]
OWN: list[dict[str, Any]] = [
    {"architecture": "full_resolution", "width": 4, "depth": 3},
    {"architecture": "fcn", "width": 2},
    {"architecture": "segnet", "width": 2, "depth": 3},
    {"architecture": "unet", "width": 2, "depth": 3},
    {"architecture": "unet", "width": 2, "depth": 2, "upsampling": "transposed", "stride": 2},
]
LIBRARY: list[dict[str, Any]] = [
    {"architecture": "semantic_fpn", "backbone": "timm:resnet10t", "width": 32, "strides": [4, 8, 16]},
    {"architecture": "smp:Unet", "backbone": "timm:resnet10t", "width": 1, "depth": 4},
    {"architecture": "smp:FPN", "backbone": "smp:mobilenet_v2", "width": 4},
    {"architecture": "smp:DeepLabV3Plus", "backbone": "smp:mobilenet_v2", "width": 1},
]


def told(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def task(network: nn.Module | None = None, **options: Any) -> SemanticSegmentation:
    labels = LabelMap(NAMES, NAMES)
    return SemanticSegmentation(network or nn.Identity(), "head", labels, [0.5] * 3, [0.5] * 3, **options)


@pytest.mark.parametrize("options", OWN + LIBRARY, ids=told)
def test_any_size_and_a_batch_of_one(options: dict[str, Any]) -> None:
    network = build_segmenter(channels=3, size=37, classes=4, **options)
    scores = network(torch.randn(1, 3, 37, 37))
    assert scores.shape == (1, 4, 37, 37)
    scores.square().mean().backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not still, "every weight learns"
    assert any(name.startswith("head.") for name, _ in network.named_parameters())
    network.eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 70, 45)).shape == (2, 4, 70, 45)


@pytest.mark.parametrize("architecture", ["full_resolution", "fcn", "segnet", "unet"])
def test_grey_images_in_half_precision(architecture: str) -> None:
    network = build_segmenter(architecture, 1, 32, 3, width=2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.randn(2, 1, 32, 32))
    truth = torch.randint(0, 3, (2, 32, 32)).to(torch.uint8)
    loss = task(loss="cross_entropy_dice").loss(outputs, {"semantic": truth})
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)


def test_pixels_say_what_is_at_their_own_place() -> None:
    network = build_segmenter("unet", 3, 64, 4, width=2, depth=2, stride=2).eval()
    image = torch.zeros(1, 3, 64, 64)
    changed = image.clone()
    changed[..., 41, 11] = 9.0
    with torch.no_grad():
        moved = (network(changed) - network(image)).abs().sum((0, 1))
    rows, columns = np.nonzero(moved.numpy() > moved.max().item() / 2)
    assert abs(rows.mean() - 41) < 4
    assert abs(columns.mean() - 11) < 4


def test_unpooling_is_that_of_torch() -> None:
    maps = torch.randn(2, 3, 8, 6)
    maps[0, 0, :2, :2] = 1.0  # a tie: the first one is taken
    pooled, places = pool_with_places(maps)
    expected, indices = F.max_pool2d(maps, 2, return_indices=True)
    assert torch.equal(pooled, expected)
    assert torch.equal(unpool(pooled, places), F.max_unpool2d(expected, indices, 2))


def test_the_u_net_of_the_paper_has_its_size() -> None:
    """As counted for a well-known implementation with batch normalisation, github.com/milesial/Pytorch-UNet."""
    network = build_segmenter("unet", 3, 64, 1, width=64, upsampling="transposed")
    assert sum(weight.numel() for weight in network.parameters()) == 31_037_633


def some_scores() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(2, 3, 4, 5, generator=generator)
    truth = torch.randint(0, 2, (2, 4, 5), generator=generator)  # class 2 is nowhere
    truth[0, :2] = 255
    return scores, truth


def test_the_scores_of_a_batch_are_those_of_an_evaluation() -> None:
    scores, truth = some_scores()
    found = task().scores(scores, {"semantic": truth})
    pairs = zip(truth.numpy().astype(np.uint8), scores.argmax(1).numpy().astype(np.uint8), strict=True)
    overlap = stacked([overlap_of(confusion(*pair, 3)) for pair in pairs]).summed()
    assert float(found["mIoU"]) == pytest.approx(float(overlap.mean_iou), rel=1e-6)
    assert float(found["pixel_accuracy"]) == pytest.approx(float(overlap.pixel_accuracy), rel=1e-6)


@pytest.mark.parametrize("focus", [0.0, 2.0])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 3.0)])
def test_cross_entropy_and_focal_loss_are_those_of_a_slow_loop(focus: float, weights: tuple[float, ...] | None) -> None:
    scores, truth = some_scores()
    losses, importance = [], []
    for n, y, x in np.argwhere(truth.numpy() != 255).tolist():
        label = int(truth[n, y, x])
        right = float(scores[n, :, y, x].softmax(0)[label])
        weight = weights[label] if weights else 1.0
        losses.append(-weight * (1 - right) ** focus * np.log(right))
        importance.append(weight)
    own = cross_entropy(scores, truth, None if weights is None else torch.tensor(weights), focus)
    assert float(own) == pytest.approx(sum(losses) / sum(importance), rel=1e-5)
    if not focus:
        expected = F.cross_entropy(scores, truth, None if weights is None else torch.tensor(weights), ignore_index=255)
        torch.testing.assert_close(own, expected)


def test_dice_loss_is_that_of_a_slow_loop() -> None:
    scores, truth = some_scores()
    losses = []
    for k in range(2):
        common = total = 0.0
        for n, y, x in np.argwhere(truth.numpy() != 255).tolist():
            probability, wanted = float(scores[n, :, y, x].softmax(0)[k]), float(truth[n, y, x] == k)
            common += probability * wanted
            total += probability + wanted
        losses.append(1 - 2 * common / total)
    assert float(dice_loss(scores, truth)) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "focal", "cross_entropy_dice"])
def test_images_without_any_class_teach_nothing(loss: Any) -> None:
    scores, truth = some_scores()
    scores.requires_grad_()
    nothing = task(loss=loss).loss(scores, {"semantic": torch.full_like(truth, 255)})
    nothing.backward()
    assert nothing.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()
    assert float(task(loss=loss).loss(scores, {"semantic": truth})) > 0.1


def test_maps_come_in_original_pixels() -> None:
    """Two halves on a wide image, letterboxed: the border lies where it was, and the padding is gone."""
    spot = place(30, 90, 48, "letterbox")
    original = np.zeros((30, 90), np.uint8)
    original[:, 40:] = 2
    inside = spot.map_into_input(original, 1)
    scores = F.one_hot(torch.from_numpy(inside.astype(np.int64)), 3).permute(2, 0, 1)[None].float()
    said = task().predictions(scores, [spot])[0].semantic
    assert said is not None
    assert said.shape == (30, 90)
    assert said.dtype == np.uint8
    assert (said != original).sum() <= 30, "at most one column"
    assert (said[3:-3] != original[3:-3]).mean() < 0.02


def measured(truth: Array, predicted: Array) -> Measurement:
    ids = [f"{i:04d}" for i in range(len(truth))]
    encoded = [cv2.imencode(".png", one)[1].tobytes() for one in truth]
    frame = pd.DataFrame({"id": ids, "source": ids, "semantic": encoded})
    own = task()
    said = own.predictions(
        F.one_hot(torch.from_numpy(predicted).long(), 3).permute(0, 3, 1, 2), [place(8, 8, 8, "stretch")] * len(truth)
    )
    return own.measure(iter(said), frame, bins=15)


def some_maps(count: int = 20) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 255], p=[0.6, 0.3, 0.02, 0.08], size=(count, 8, 8)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(0, 3, truth.shape)) % 3
    return truth, predicted.astype(np.uint8)


def test_rows_carry_the_headline_and_tables_the_classes() -> None:
    truth, predicted = some_maps()
    result = measured(truth, predicted)
    assert result.headline == "mIoU"
    table = result.tables["per_class"]
    assert table["class"].tolist() == list(NAMES)
    assert table["iou"].mean() == pytest.approx(result.values["mIoU"])
    assert table["pixels"].sum() == (truth != 255).sum()
    assert result.tables["pixels"][list(NAMES)].to_numpy().sum() == (truth != 255).sum()
    assert "→" in result.rows["told"][0]
    assert not {"label", "predicted"} & set(result.rows.columns)


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    truth, predicted = some_maps()
    rows = measured(truth, predicted).rows
    counts = np.concatenate(list(resampled_counts(len(truth), 10)))
    fast = resampled("semantic_segmentation", rows, counts, task().labels)
    assert set(fast) == {"mIoU", "dice", "pixel_accuracy"}
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(len(truth)), drawn)
        slow = measured(truth[again], predicted[again]).values
        for name, values in fast.items():
            assert values[index] == pytest.approx(slow[name], abs=1e-6)


def test_a_perfect_network_reaches_one() -> None:
    truth, _ = some_maps()
    assert measured(truth, np.where(truth == 255, 0, truth)).values["mIoU"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"architecture": "smp:Unet"}, "needs a backbone"),
        ({"architecture": "unet", "backbone": "timm:resnet18"}, "does not use a backbone"),
        ({"architecture": "segnet", "upsampling": "nearest"}, "upsampling is for unet"),
        ({"architecture": "fcn", "depth": 4}, "depth: fcn has a fixed depth; leave it out"),
        ({"architecture": "semantic_fpn"}, "semantic_fpn needs a backbone"),
        ({"architecture": "semantic_fpn", "backbone": "smp:mobilenet_v2"}, "takes torchvision:NAME or timm:NAME"),
        ({"architecture": "smp:Unet", "backbone": "torchvision:mobilenet_v2"}, "takes timm:NAME or smp:NAME"),
        ({"architecture": "semantic_fpn", "backbone": "timm:resnet18", "width": 12}, "groups of 8 channels, got 12"),
        ({"architecture": "semantic_fpn", "backbone": "timm:resnet18", "strides": [4, 16]}, "twice the previous one"),
        ({"architecture": "unet", "strides": [4, 8]}, "strides is for semantic_fpn, but architecture is unet"),
        ({"architecture": "unet", "depth": 9}, "6 times at most"),
        ({"architecture": "smp:Unet", "backbone": "timm:resnet18", "stride": 2}, "stride is for"),
        ({"loss": "dice", "class_weights": "balanced"}, "class_weights is for cross entropy"),
        ({"architecture": "vgg"}, "pattern"),
    ],
)
def test_options_that_do_not_fit_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Config).validate_python({"kind": "semantic_segmentation", **wrong})


@pytest.mark.parametrize(
    ("architecture", "backbone", "message"),
    [
        ("smp:Unett", "timm:resnet18", "did you mean Unet"),
        ("smp:Unet", "timm:resnet99", "no such network in timm"),
        ("smp:Unet", "smp:mobilenet_v3", "did you mean mobilenet_v2"),
        ("smp:Linknet", "timm:resnet10t", "task.width: 4: smp:Linknet defines it"),
        ("smp:FPN", "timm:vit_tiny_patch16_224", "task: smp:FPN over timm:vit_tiny_patch16_224 with depth 5"),
        ("smp:DPT", "timm:resnet10t", "smp:DPT: not available"),
    ],
)
def test_names_that_do_not_exist_are_told(architecture: str, backbone: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_segmenter(architecture, 3, 64, 2, backbone=backbone, width=4)


def test_weights_of_an_encoder_for_other_classes_or_grey_images(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v2

    donor = mobilenet_v2()
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    options: dict[str, Any] = {"backbone": "smp:mobilenet_v2", "weights": tmp_path / "donor.pth", "width": 1}
    encoder = build_segmenter("smp:Unet", 1, 64, 5, **options).encoder.state_dict()
    first = "features.0.0.weight"
    torch.testing.assert_close(encoder[first], donor.state_dict()[first].sum(1, keepdim=True))
    torch.testing.assert_close(encoder["features.5.conv.0.0.weight"], donor.features[5].conv[0][0].weight.data)
    with pytest.raises(UserError, match="does not fit the encoder of smp:Unet over timm:resnet10t"):
        build_segmenter("smp:Unet", 3, 64, 5, **options | {"backbone": "timm:resnet10t"})


def detector_of(backbone: str, path: Path) -> nn.Module:
    options: dict[str, Any] = {"score_threshold": 0.05, "nms_iou": 0.5, "max_objects": 9}
    detector = build_fcos(backbone, 3, 64, 4, "random", width=32, strides=[4, 8, 16], head_convs=1, **options)
    torch.save(detector.state_dict(), path)
    return detector


def test_an_encoder_goes_on_from_a_detectors_body(tmp_path: Path) -> None:
    detector = detector_of("timm:resnet10t", tmp_path / "detector.pth")
    options: dict[str, Any] = {"backbone": "timm:resnet10t", "depth": 4}  # as deep as the detector's body
    network = build_segmenter("smp:Unet", 3, 64, 4, weights=tmp_path / "detector.pth", **options)
    known = [value for value in detector.get_submodule("body").state_dict().values() if value.ndim == 4]
    own = [value for value in network.get_submodule("encoder").state_dict().values() if value.ndim == 4]
    assert len(own) == len(known) > 8
    assert all(torch.equal(one, other) for one, other in zip(own, known, strict=True))


def test_a_body_that_is_too_short_is_told(tmp_path: Path) -> None:
    detector_of("torchvision:mobilenet_v2", tmp_path / "detector.pth")
    with pytest.raises(UserError, match=r"detector\.pth: does not fit the encoder of smp:Unet.*missing features"):
        build_segmenter("smp:Unet", 3, 64, 4, backbone="smp:mobilenet_v2", weights=tmp_path / "detector.pth")


def test_semantic_fpn_goes_on_from_a_detectors_body_and_pyramid(tmp_path: Path) -> None:
    detector = detector_of("timm:resnet10t", tmp_path / "detector.pth")
    options: dict[str, Any] = {"backbone": "timm:resnet10t", "strides": [4, 8, 16], "width": 32}
    network = build_segmenter("semantic_fpn", 3, 64, 4, weights=tmp_path / "detector.pth", **options)
    for part in ("body", "head.backbone"):
        own, known = network.get_submodule(part).state_dict(), detector.get_submodule(part).state_dict()
        assert own.keys() == known.keys()
        assert all(torch.equal(own[key], known[key]) for key in known)
    with pytest.raises(UserError, match=r"detector\.pth: does not fit a pyramid of strides.*width 64.*other shape"):
        build_segmenter("semantic_fpn", 3, 64, 4, weights=tmp_path / "detector.pth", **options | {"width": 64})
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    again = build_segmenter("semantic_fpn", 3, 64, 9, weights=tmp_path / "whole.pth", **options)
    assert torch.equal(again.state_dict()["head.steps.1.0.weight"], network.state_dict()["head.steps.1.0.weight"])


def test_weights_of_the_same_network_for_other_classes(tmp_path: Path) -> None:
    donor = build_segmenter("unet", 3, 32, 7, width=2)
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    network = build_segmenter("unet", 3, 32, 4, width=2, weights=tmp_path / "donor.pth")
    assert torch.equal(network.state_dict()["encoder.1.0.weight"], donor.state_dict()["encoder.1.0.weight"])
    assert network(torch.zeros(1, 3, 32, 32)).shape[1] == 4
    with pytest.raises(UserError, match="other shape"):
        build_segmenter("unet", 3, 32, 7, width=3, weights=tmp_path / "donor.pth")


def test_balanced_weights_count_pixels(scenes: Path) -> None:
    from sightline.tasks import build

    labels, store = load_labels(scenes), SplitStore(scenes / "train")
    assert labels.map_classes == ("background", *labels.classes)
    model = config(class_weights="balanced")
    built = build(model.task, model.input, labels, "random", store)
    assert isinstance(built, SemanticSegmentation)
    weights = built.class_weights
    assert weights is not None
    assert len(weights) == 11
    assert weights[0] < 0.2, "the background is nearly all"
    assert (weights[1:] > 2).all()


def test_data_without_maps_are_refused(digits: Path) -> None:
    from sightline.tasks import build

    model = config()
    with pytest.raises(UserError, match="has no map of classes"):
        build(model.task, model.input, load_labels(digits), "random", SplitStore(digits / "train"))


def config(**options: Any) -> Model:
    return Model.model_validate(
        {
            "dataset": "scenes",
            "task": {
                "kind": "semantic_segmentation",
                "architecture": "unet",
                "width": 4,
                "depth": 2,
                "stride": 2,
                "loss": "cross_entropy_dice",
                **options,
            },
            "weights": "random",
            "input": {"size": 49, "channels": 3},
            "augment": "light",
            "optimizer": {"name": "adamw", "lr": 0.01},
            "trainer": {"max_epochs": 2, "batch_size": 13},
        }
    )


def test_a_training_and_its_evaluation(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fitted = train(config(), 3, scenes, tmp_path / "model")
    assert {"val_mIoU", "val_pixel_accuracy"} <= set(fitted.curves[0])
    assert fitted.curves[-1]["train_loss"] < fitted.curves[0]["train_loss"]
    (tmp_path / "report").mkdir()
    metrics = evaluate_model(tmp_path / "model", scenes, Evaluation(resamples=100), tmp_path / "report")
    assert metrics["headline"]["name"] == "mIoU"
    assert 0 < metrics["headline"]["low"] <= metrics["mIoU"] <= metrics["headline"]["high"] < 1
    image = bytes(SplitStore(scenes / "test").image(0))
    told = load_predictor(tmp_path / "model").predict([image])[0]["pixels"]
    assert sum(told.values()) == 96 * 96
    assert next(iter(told)) == "background"


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "segnet", "width": 2, "depth": 1},
        *(pytest.param(options, marks=pytest.mark.slow) for options in OWN + LIBRARY),
    ],
    ids=told,
)
def test_networks_become_graphs(options: dict[str, Any], tmp_path: Path) -> None:
    import onnxruntime

    from sightline.training.artifact.onnx import write_onnx

    network = build_segmenter(channels=3, size=37, classes=3, **options)
    own = task(network).eval()
    write_onnx(own, 37, 3, tmp_path / "model.onnx")
    images = torch.randint(0, 256, (3, 37, 37, 3), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    with torch.no_grad():
        expected = own(images).numpy()
    (scores,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(scores, expected, atol=1e-4)
