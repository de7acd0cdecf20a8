"""Metrics are in original pixels: what is claimed of an image scores the same, whatever size the network saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import box_convert, box_iou

from sightline.config.datasets import Dataset
from sightline.config.evaluation import Evaluation
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.encoding import decode_rle, encode_png, encode_rle
from sightline.data.images import Placement, Resize, decode, place
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import FLOAT32, Prediction
from sightline.evaluation.evaluate import evaluate_model
from sightline.models.detect.fcos import Fcos
from sightline.models.detect.gaussians import encode
from sightline.models.heatmaps import draw_heatmaps
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.truth import truth_of

INPUTS: tuple[tuple[int, Resize], ...] = ((96, "letterbox"), (131, "stretch"), (200, "letterbox"), (64, "crop"))
WHOLE = INPUTS[:3]  # those that show the whole image
SHAPES = ((90, 150), (160, 100), (128, 128), (100, 200), (75, 100))  # height, width of the originals
NUMBERS = range(len(SHAPES))
CLASSES = ("cat", "dog")
POINTS = ("nose", "left_shoulder", "right_hip", "tail")
DETECTOR = {"backbone": "timm:test_resnet", "strides": [4, 8, 16], "width": 32, "head_convs": 1}
LEFT_PART = np.pad(np.ones((28, 21), np.float32), ((0, 0), (0, 7)))  # a mask relative to its box: three quarters


@dataclass(frozen=True)
class Claims:
    """What is said of one image, in pixels of the original: objects, the surest first."""

    boxes: FLOAT32
    labels: list[int]
    scores: FLOAT32
    points: FLOAT32


def square(shape: tuple[int, int]) -> tuple[int, int, int]:
    """Return left, top and side of the middle square, which is in every input."""
    side = min(shape)
    return (shape[1] - side) // 2, (shape[0] - side) // 2, side


def true_boxes(number: int) -> list[list[int]]:
    """Return left, top, right, bottom of a cat and of a dog."""
    left, top, side = square(SHAPES[number])
    draw = np.random.default_rng(number)
    boxes = []
    for smallest, largest in ((36, 44), (16, 24)):  # on both sides of COCO's bound between small and medium
        width, height = (4 * int(quarter) for quarter in draw.integers(smallest // 4, largest // 4, 2))
        x, y = left + int(draw.integers(6, side - width - 6)), top + int(draw.integers(6, side - height - 6))
        boxes.append([x, y, x + width, y + height])
    return boxes


def true_points(number: int) -> list[list[float]]:
    """Return the key points of the cat."""
    x, y, right, bottom = true_boxes(number)[0]
    shares = np.random.default_rng(50 + number).uniform(0.1, 0.9, (len(POINTS), 2))
    return (shares * (right - x, bottom - y) + (x, y)).tolist()


def claims_of(number: int) -> Claims:
    """Return claims that are more or less right: both objects moved, and at times surer, a cat where the dog is."""
    draw = np.random.default_rng(100 + number)
    cat, dog = true_boxes(number)
    moved = [np.add(box, np.tile(draw.integers(-5, 6, 2), 2)) for box in (cat, dog, dog)]
    points = np.array(true_points(number)) + draw.uniform(-5, 5, (len(POINTS), 2))
    left, top, side = square(SHAPES[number])
    return Claims(
        np.array(moved, np.float32),
        [0, 1, 0],
        np.array([0.9, 0.8, 0.7], np.float32) - 0.08 * number,
        points.clip((left + 2, top + 2), (left + side - 2, top + side - 2)).astype(np.float32),
    )


def write_part(root: Path, split: str, numbers: Sequence[int]) -> None:
    images, annotations = [], []
    for number in numbers:
        (height, width), name = SHAPES[number], f"{split}-{number}.png"
        noise = np.random.default_rng([number, len(split)]).integers(0, 256, (height, width, 3), np.uint8)
        (root / "images" / name).write_bytes(encode_png(noise))
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for label, (left, top, right, bottom) in enumerate(true_boxes(number)):
            annotation = {
                "image_id": number,
                "category_id": label + 1,
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
            }
            if label == 0:
                annotation["keypoints"] = [value for point in true_points(number) for value in (*point, 2)]
            annotations.append(annotation)
    categories = [{"id": 1, "name": "cat", "keypoints": list(POINTS)}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of five shapes with two objects each, all of them in the test split."""
    root = tmp_path_factory.mktemp("raw")
    (root / "images").mkdir()
    for split, numbers in (("train", NUMBERS[:1]), ("val", NUMBERS[1:2]), ("test", NUMBERS)):
        write_part(root, split, numbers)
    parts = {split: f"{split}.json" for split in ("train", "val", "test")}
    section = {"format": "coco", "root": str(root), "annotations": parts, "on_bad_sample": "fail"}
    folder = tmp_path_factory.mktemp("prepared") / "shapes"
    prepare("shapes", TypeAdapter(Dataset).validate_python(section), folder)
    return folder


def made(prepared: Path, size: int, task: dict[str, Any]) -> Task:
    config = TypeAdapter(TaskConfig).validate_python(task)
    return build(config, Input(size=size, channels=3), load_labels(prepared)).eval()


def truth_by_number(prepared: Path, task: Task) -> pd.DataFrame:
    """Return what `evaluate` gives to `measure`, in the order of the images' numbers."""
    return truth_of(SplitStore(prepared / "test"), task).sort_values("source", ignore_index=True)


def placements(size: int, resize: Resize) -> list[Placement]:
    return [place(*shape, size, resize) for shape in SHAPES]


def affine(number: int, size: int, resize: Resize) -> tuple[FLOAT32, FLOAT32]:
    """Return scale and shift of x and y from an original to the input, without the project's own placement."""
    height, width = SHAPES[number]
    match resize:
        case "stretch":
            return np.array([size / width, size / height], np.float32), np.zeros(2, np.float32)
        case "crop":
            left, top, side = square((height, width))
            return np.full(2, size / side, np.float32), -np.array([left, top], np.float32) * size / side
        case "letterbox":
            new = np.array([round(side * size / max(height, width)) for side in (width, height)], np.float32)
            return new / (width, height), (size - new) // 2


def inside(number: int, size: int, resize: Resize, values: FLOAT32) -> Tensor:
    """... x 2 points or ... x 4 boxes of an original -> of the input."""
    scale, shift = (np.tile(own, values.shape[-1] // 2) for own in affine(number, size, resize))
    return torch.from_numpy(np.asarray(values * scale + shift, np.float32))


def outside(number: int, size: int, resize: Resize, boxes: FLOAT32) -> FLOAT32:
    """N x 4 boxes of the input -> of an original, clipped to it."""
    scale, shift = (np.tile(own, 2) for own in affine(number, size, resize))
    height, width = SHAPES[number]
    return np.asarray(((boxes - shift) / scale).clip(0, (width, height, width, height)), np.float32)


# Raw outputs that stand for the claims in an input of a size.


def localized(task: Any, size: int, resize: Resize) -> dict[str, Tensor]:
    boxes = torch.cat([inside(number, size, resize, claims_of(number).boxes[:1]) for number in NUMBERS])
    logits = torch.tensor([[2.0, 0.0] if number % 3 else [0.0, 2.0] for number in NUMBERS])
    return {"classes": logits, "boxes": box_convert(boxes / size, "xyxy", "cxcywh")}


def densely_detected(task: Any, size: int, resize: Resize) -> dict[str, Tensor]:
    """Let the point nearest to each claim tell it, and no other."""
    anchors, coder, dense = task.network.anchors, task.network.head.box_coder, isinstance(task.network, Fcos)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    logits = torch.full((len(NUMBERS), len(anchors), len(CLASSES)), -9.0)
    codes = torch.zeros(len(NUMBERS), len(anchors), 4)
    for number in NUMBERS:
        claims, taken = claims_of(number), []
        boxes = inside(number, size, resize, claims.boxes)
        for box, label, score in zip(boxes, claims.labels, claims.scores, strict=True):
            apart = (centres - (box[:2] + box[2:]) / 2).norm(dim=1)
            apart[taken] = torch.inf
            nearest = int(apart.argmin())
            taken.append(nearest)
            logits[number, nearest, label] = float(np.log(score / (1 - score)))
            pair = box[None], anchors[nearest][None]
            codes[number, nearest] = coder.encode(*pair[::-1]) if dense else coder.encode_single(*pair)
    outputs = {"cls_logits": logits, "bbox_regression": codes}
    if dense:
        outputs["bbox_ctrness"] = torch.full((len(NUMBERS), len(anchors), 1), 9.0)
    return outputs


def turned_detected(task: Any, size: int, resize: Resize) -> dict[str, Tensor]:
    """Let the point nearest to each claim tell it as an oriented box, and no other."""
    points, strides = task.network.points, task.network.sides
    logits = torch.full((len(NUMBERS), len(points), len(CLASSES)), -9.0)
    codes = torch.zeros(len(NUMBERS), len(points), 5)
    for number in NUMBERS:
        claims, taken = claims_of(number), []
        boxes = box_convert(inside(number, size, resize, claims.boxes), "xyxy", "cxcywh")
        for box, label, score in zip(F.pad(boxes, (0, 1)), claims.labels, claims.scores, strict=True):
            apart = (points - box[:2]).norm(dim=1)
            apart[taken] = torch.inf
            nearest = int(apart.argmin())
            taken.append(nearest)
            logits[number, nearest, label] = float(np.log(score**2 / (1 - score**2)))
            codes[number, nearest] = encode(box[None], points[nearest][None], strides[nearest][None])
    central = torch.full((len(NUMBERS), len(points), 1), 30.0)
    return {"cls_logits": logits, "bbox_regression": codes, "bbox_ctrness": central}


def detected(task: Any, size: int, resize: Resize) -> dict[str, Tensor]:
    """Return what a detector in two stages gives out, filled up to four objects."""
    claims = [claims_of(number) for number in NUMBERS]
    boxes = torch.stack([inside(number, size, resize, claims[number].boxes) for number in NUMBERS])
    masks = torch.from_numpy(LEFT_PART).expand(*boxes.shape[:2], 28, 28)
    return {
        "boxes": F.pad(boxes, (0, 0, 0, 1)),
        "labels": F.pad(torch.tensor([own.labels for own in claims]), (0, 1), value=-1),
        "scores": F.pad(torch.tensor(np.stack([own.scores for own in claims])), (0, 1)),
        "masks": F.pad(masks, (0, 0, 0, 0, 0, 1)),
    }


def drawn_points(task: Any, size: int, resize: Resize) -> Tensor:
    side = -(-size // task.stride)
    points = torch.stack([inside(number, size, resize, claims_of(number).points) for number in NUMBERS])
    maps = draw_heatmaps(points / task.stride - 0.5, side, side, task.sigma)
    return maps * torch.tensor([sureness(number) for number in NUMBERS])[:, None, None, None]


def sureness(number: int) -> float:
    """Return how high an image's peaks are: average precision depends on which pose is surest."""
    return 1 - 0.1 * number


def scored_pixels(task: Any, size: int, resize: Resize) -> Tensor:
    """Return scores that grow evenly to the right, so that stripes of classes have the same edges in every size."""
    scores = []
    for number in NUMBERS:
        scale, shift = affine(number, size, resize)
        x = (torch.arange(size) + 0.5 - float(shift[0])) / float(scale[0])
        first, second = stripes(SHAPES[number][1])
        levels = torch.stack([0 * x, x - first, 2 * x - first - second])  # the largest changes at first and second
        scores.append(levels[:, None].expand(-1, size, -1))
    return torch.stack(scores)


def stripes(width: int) -> tuple[int, int]:
    """Return where the claimed background ends and cats begin, and where dogs do."""
    return width // 2 - 3, width // 2 + 20


# The same claims as predictions, without any network.


def claimed_objects(number: int) -> Prediction:
    own = claims_of(number)
    masks = []
    for left, top, right, bottom in own.boxes.astype(int).tolist():
        mask = np.zeros(SHAPES[number], bool)
        mask[top:bottom, left : left + (right - left) * 3 // 4] = True
        masks.append(encode_rle(mask))
    return Prediction(boxes=own.boxes, box_labels=own.labels, box_scores=own.scores, instances=masks)


def claimed_turned(number: int) -> Prediction:
    own = claims_of(number)
    corners = own.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    return Prediction(boxes=own.boxes, corners=corners, box_labels=own.labels, box_scores=own.scores)


def claimed_box(number: int) -> Prediction:
    own = claims_of(number)
    return Prediction(boxes=own.boxes[:1], box_labels=[int(number % 3 == 0)], box_scores=own.scores[:1])


def claimed_points(number: int) -> Prediction:
    points = claims_of(number).points
    sure = np.full((len(points), 1), sureness(number), np.float32)
    return Prediction(keypoints=np.concatenate([points, sure], 1)[None])


def claimed_map(number: int) -> Prediction:
    height, width = SHAPES[number]
    x = np.arange(width) + 0.5
    first, second = stripes(width)
    row = (x > first).astype(np.uint8) + (x > second)
    return Prediction(semantic=np.tile(row.astype(np.uint8), (height, 1)))


@dataclass(frozen=True)
class Case:
    """A task, the raw outputs that stand for claims, and the claims; `inputs` can show what is claimed."""

    task: dict[str, Any]
    outputs: Callable[[Any, int, Resize], Any]
    claimed: Callable[[int], Prediction]
    inputs: tuple[tuple[int, Resize], ...] = INPUTS
    tolerance: float = 1e-5


CASES = {
    "localization": Case({"kind": "localization", "architecture": "mlp"}, localized, claimed_box),
    "fcos": Case({"kind": "detection", "architecture": "fcos"} | DETECTOR, densely_detected, claimed_objects),
    "oriented": Case(
        {"kind": "detection", "boxes": "oriented"} | DETECTOR, turned_detected, claimed_turned, tolerance=1e-3
    ),
    "retinanet": Case(
        {"kind": "detection", "architecture": "retinanet", **DETECTOR}, densely_detected, claimed_objects
    ),
    "faster_rcnn": Case({"kind": "detection", "architecture": "faster_rcnn"} | DETECTOR, detected, claimed_objects),
    "mask_rcnn": Case({"kind": "instance_segmentation"} | DETECTOR, detected, claimed_objects),
    "keypoints": Case(
        {"kind": "keypoints", "backbone": "timm:test_resnet", "width": 8, "stride": 2, "backbone_stride": 8},
        drawn_points,
        claimed_points,
        tolerance=1e-3,  # a peak is read from cells
    ),
    "semantic_segmentation": Case(
        {"kind": "semantic_segmentation", "width": 2, "depth": 1}, scored_pixels, claimed_map, inputs=WHOLE
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_claims_score_the_same_at_every_size(name: str, prepared: Path) -> None:
    case = CASES[name]
    task = made(prepared, 64, case.task)
    wanted = task.measure(map(case.claimed, NUMBERS), truth_by_number(prepared, task), bins=15)
    assert 0.1 < wanted.values[wanted.headline] < 0.9, "half right, so that a shift changes it"
    for size, resize in case.inputs:
        task = made(prepared, size, case.task)
        said = task.predictions(case.outputs(task, size, resize), placements(size, resize))
        measured = task.measure(iter(said), truth_by_number(prepared, task), bins=15)
        assert measured.values == pytest.approx(wanted.values, abs=case.tolerance), (size, resize)
        np.testing.assert_allclose(measured.rows["score"], wanted.rows["score"], atol=case.tolerance)


def sliding_window(size: int) -> dict[str, Any]:
    """Return a task whose windows are the same parts of the input whatever its size, a multiple of 16."""
    windows = {"window": size // 4, "stride": size // 16, "scales": [1.0, 2.0]}
    return {"kind": "sliding_window", "architecture": "mlp", **windows}


def best_windows(number: int, windows: FLOAT32) -> list[int]:
    """Return the windows, given in pixels of the original, that overlap the image's objects most."""
    overlaps = box_iou(torch.tensor(true_boxes(number)).float(), torch.from_numpy(windows))
    return [int(place) for place in overlaps.argmax(1)]


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_the_same_windows_score_the_same_at_every_size(resize: Resize, prepared: Path) -> None:
    told = []
    for size in (80, 160, 240):  # of these, letterboxes of all shapes have whole sides
        task: Any = made(prepared, size, sliding_window(size))
        windows = [outside(number, size, resize, task.network.boxes.numpy()) for number in NUMBERS]
        scores = torch.zeros(len(NUMBERS), len(task.network.boxes), len(CLASSES) + 1)
        scores[..., -1] = 20
        wanted = []
        for number, own in enumerate(windows):
            best, labels = best_windows(number, own), [0, int(number != 2)]  # of one image both are called cats
            sure = torch.tensor([21.0, 20.5]) - 0.1 * number
            scores[number, best, labels] = sure
            wanted.append(Prediction(boxes=own[best], box_labels=labels, box_scores=sure.numpy() / 100))
        truth = truth_by_number(prepared, task)
        claimed = task.measure(iter(wanted), truth, bins=15)
        measured = task.measure(iter(task.predictions(scores, placements(size, resize))), truth, bins=15)
        assert measured.values == pytest.approx(claimed.values, abs=1e-6)
        told.append(measured.values)
    assert 0.1 < told[0]["mAP50"] < 0.9
    assert told[1:] == [pytest.approx(told[0], abs=1e-6)] * 2


@pytest.mark.parametrize("name", CASES)
def test_the_truth_is_what_was_drawn(name: str, prepared: Path) -> None:
    truth = truth_by_number(prepared, made(prepared, 64, CASES[name].task))
    assert list(zip(truth["height"], truth["width"], strict=True)) == list(SHAPES)
    given = set(truth) & {"boxes", "instances", "keypoints", "semantic"}
    assert given
    for number, row in truth.iterrows():
        boxes = true_boxes(int(number))
        if "boxes" in given:
            np.testing.assert_array_equal(row["boxes"], boxes)
        if "area" in truth:
            assert list(row["area"]) == [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
        if "instances" in given:
            for (left, top, right, bottom), encoded in zip(boxes, row["instances"], strict=True):
                mask = decode_rle(encoded)
                assert mask.shape == SHAPES[int(number)]
                assert mask.sum() == mask[top:bottom, left:right].sum() == (right - left) * (bottom - top)
        if "keypoints" in given:
            np.testing.assert_allclose(np.array(row["keypoints"][0])[:, :2], true_points(int(number)), rtol=1e-6)
        if "semantic" in given:
            pixels = decode(row["semantic"], 1)[..., 0]
            assert pixels.shape == SHAPES[int(number)]
            (left, top, right, bottom) = boxes[1]
            assert (pixels[top:bottom, left:right] == 2).all(), "the dog is smaller, so it lies on the cat"


@pytest.mark.parametrize(("size", "resize"), INPUTS)
def test_a_model_directory_is_evaluated_in_original_pixels(
    size: int, resize: Resize, prepared: Path, tmp_path: Path
) -> None:
    section = {"kind": "localization", "architecture": "mlp", "hidden": []}
    task = made(prepared, size, section)
    middle = torch.tensor([0.5, 0.45, 0.3, 0.4])  # what it says of every image: x, y, width, height
    with torch.no_grad():
        for weights in task.parameters():
            weights.zero_()
        task.network.get_submodule(task.head).bias[-4:] = torch.logit(middle)
    card = ModelCard(
        TypeAdapter(TaskConfig).validate_python(section),
        Input(size=size, resize=resize),
        task.labels,
        "32",
        False,
        1,
        "0" * 64,
    )
    write_model(tmp_path / "model", task, card)
    (tmp_path / "report").mkdir()
    metrics = evaluate_model(tmp_path / "model", prepared, Evaluation(resamples=100), tmp_path / "report")
    said = box_convert(middle[None], "cxcywh", "xyxy").numpy() * size
    boxes = [outside(number, size, resize, said) for number in NUMBERS]
    actual = [torch.tensor([true_boxes(number)[0]]).float() for number in NUMBERS]
    overlaps = [float(box_iou(torch.from_numpy(a), b)) for a, b in zip(boxes, actual, strict=True)]
    assert metrics["mean_iou"] == pytest.approx(np.mean(overlaps), abs=1e-5)
    rows = pd.read_parquet(tmp_path / "report" / "predictions.parquet").sort_values("source")
    np.testing.assert_allclose(np.stack(rows["box"].to_list()), np.concatenate(boxes), atol=1e-3)
