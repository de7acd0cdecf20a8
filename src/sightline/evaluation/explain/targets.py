"""The one number that a heat map explains: the score of a class, where the task has places also at one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.structures import UINT8
from sightline.models.detect.dense_detector import DenseDetector
from sightline.system.errors import UserError
from sightline.tasks.base import Task
from sightline.tasks.classification import Classification
from sightline.tasks.detection import Detection
from sightline.tasks.localization import Localization
from sightline.tasks.multilabel import Multilabel
from sightline.tasks.semantic_segmentation import SemanticSegmentation
from sightline.tasks.sliding_window import SlidingWindow

_BATCH = 32  # images at once where no gradient is needed
_LEAST = 0.02  # share of an image's pixels that stand for a class which wins none

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Target:
    """What is explained of one image.

    Attributes:
        label: class id; of maps of classes, id in the map.
        name: of the class.
        sureness: what the network gives it, 0..1.
        place: of a detector the number of the anchor or window, else -1.
        box: of a detector xyxy in pixels of the input, None where there is none.
        region: of a segmenter the pixels of the class, S x S, else None.
    """

    label: int
    name: str
    sureness: float
    place: int = -1
    box: Box | None = None
    region: NDArray[np.bool_] | None = None


def has_targets(task: Task) -> bool:
    """Return whether single classes of this task can be explained by heat maps."""
    if isinstance(task, Detection):
        return isinstance(task.network, DenseDetector)
    return isinstance(task, Classification | Localization | Multilabel | SemanticSegmentation | SlidingWindow)


def require_targets(task: Task) -> None:
    """Refuse a task without scores of classes.

    Raises:
        UserError: naming those that have them.
    """
    if not has_targets(task):
        raise UserError(
            f"task.kind: {task.kind}: heat maps explain the score of a class, which this network does not give for "
            "whole images; use classification, multilabel, localization, detection (fcos, retinanet), sliding_window "
            "or semantic_segmentation"
        )


def surest_targets(task: Task, pixels: UINT8, label: int | None = None) -> list[Target]:
    """Return what the network is surest of in each of N x S x S x C uint8 images.

    Args:
        task: in evaluation mode.
        pixels: of the input's size.
        label: class id to explain instead (0..K-1; of maps of classes, id in the map); None: the surest one.

    Raises:
        UserError: the task has no scores of classes, or no such class.
    """
    require_targets(task)
    names = task.labels.map_classes if isinstance(task, SemanticSegmentation) else task.labels.classes
    if label is not None and not 0 <= label < len(names):
        raise UserError(f"target: {label}: there is no such class; use 0 to {len(names) - 1}")
    found: list[Target] = []
    for start in range(0, len(pixels), _BATCH):
        with torch.no_grad():
            outputs = task(torch.from_numpy(np.array(pixels[start : start + _BATCH])).to(task.mean.device))
        found += [_surest(task, own, names, label) for own in _single(outputs)]
    return found


def _single(outputs: Any) -> list[Any]:
    if isinstance(outputs, dict):
        count = len(next(iter(outputs.values())))
        return [{name: values[n : n + 1] for name, values in outputs.items()} for n in range(count)]
    return [outputs[n : n + 1] for n in range(len(outputs))]


def _surest(task: Task, outputs: Any, names: Sequence[str], label: int | None) -> Target:
    """Choose from the outputs of a single image."""
    if isinstance(task, SemanticSegmentation):
        return _surest_region(outputs[0], names, int(bool(task.labels.semantic)), label)
    if isinstance(task, Detection):
        chances = outputs["cls_logits"][0].sigmoid()
        if "bbox_ctrness" in outputs:  # FCOS multiplies by how central the point lies in its box
            chances = (chances * outputs["bbox_ctrness"][0].sigmoid()).sqrt()
    elif isinstance(task, SlidingWindow):
        chances = outputs[0].softmax(1)[:, :-1]
    else:
        logits = outputs["classes"] if isinstance(task, Localization) else outputs
        chances = logits.sigmoid() if isinstance(task, Multilabel) else logits.softmax(1)
    if label is not None:
        others = torch.arange(chances.shape[1]) != label
        chances = chances.masked_fill(others.to(chances.device), -1.0)
    place, chosen = divmod(int(chances.argmax()), chances.shape[1])
    sure = float(chances[place, chosen])
    if isinstance(task, Detection):
        boxes = task.network.detections(outputs)[0]
        own = boxes["boxes"][boxes["labels"] == chosen][:1].tolist()
        return Target(chosen, names[chosen], sure, place, tuple(own[0]) if own else None)
    if isinstance(task, SlidingWindow):
        return Target(chosen, names[chosen], sure, place, tuple(task.network.boxes[place].tolist()))
    return Target(chosen, names[chosen], sure)


def _surest_region(logits: Tensor, names: Sequence[str], background: int, label: int | None) -> Target:
    """K x S x S scores -> the class with the most sureness in its pixels, never the background, and these pixels."""
    chances = logits.float().softmax(0)
    won = chances.argmax(0)
    mass = [float(chances[k][won == k].sum()) if k >= background else -1.0 for k in range(len(names))]
    chosen = int(np.argmax(mass)) if label is None else label
    region = won == chosen
    if not bool(region.any()):  # the pixels that come nearest
        chosen = int(chances[background:].mean((1, 2)).argmax()) + background if label is None else label
        region = chances[chosen] >= chances[chosen].flatten().quantile(1 - _LEAST)
    return Target(chosen, names[chosen], float(chances[chosen][region].mean()), region=region.cpu().numpy())


def target_scores(task: Task, images: Tensor, targets: Sequence[Target]) -> Tensor:
    """N x S x S x C images, uint8 or float in 0..255 -> N scores before softmax or sigmoid, differentiable."""
    return _values(task, images, targets, chances=False)


def target_chances(task: Task, images: Tensor, targets: Sequence[Target]) -> Tensor:
    """N x S x S x C images, uint8 or float in 0..255 -> N numbers in 0..1: what the network gives each target."""
    return _values(task, images, targets, chances=True)


def _values(task: Task, images: Tensor, targets: Sequence[Target], chances: bool) -> Tensor:
    rows = torch.arange(len(targets), device=images.device)
    labels = torch.tensor([target.label for target in targets], device=images.device)
    if isinstance(task, SlidingWindow):
        logits = look_through_windows(task, images, targets)
        return (logits.softmax(1) if chances else logits)[rows, labels]
    outputs = task(images)
    if isinstance(task, SemanticSegmentation):
        own = (outputs.softmax(1) if chances else outputs)[rows, labels]
        regions = torch.from_numpy(np.stack([_region(target) for target in targets])).to(own)
        mean: Tensor = (own * regions).sum((1, 2)) / regions.sum((1, 2)).clamp_min(1)
        return mean
    if isinstance(task, Detection):
        places = torch.tensor([target.place for target in targets], device=images.device)
        logits = outputs["cls_logits"][rows, places]
    else:
        logits = outputs["classes"] if isinstance(task, Localization) else outputs
    if chances:
        logits = logits.sigmoid() if isinstance(task, Multilabel | Detection) else logits.softmax(1)
    chosen: Tensor = logits[rows, labels]
    return chosen


def look_through_windows(task: SlidingWindow, images: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return the N x (K + 1) scores of the targets' windows alone."""
    pixels = (images.permute(0, 3, 1, 2).to(task.mean.dtype) - task.mean) / task.std
    windows = [task.network.boxes[target.place][None] for target in targets]
    return task.network.look(pixels, windows)


def _region(target: Target) -> NDArray[np.bool_]:
    assert target.region is not None
    return target.region
