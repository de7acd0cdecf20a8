"""The one number that a heat map explains: the score of a class, where the task has places also at one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.structures import UINT8
from sightline.system.errors import UserError
from sightline.tasks.base import Target, Task

_BATCH = 32  # images at once where no gradient is needed


def require_targets(task: Task) -> None:
    """Refuse a task without scores of classes.

    Raises:
        UserError: naming those that have them.
    """
    if not task.explains:
        raise UserError(
            f"task.kind: {task.kind}: heat maps explain the score of a class, which this network does not give for "
            "whole images; use classification, multilabel, localization, detection (fcos, retinanet), sliding_window "
            "or semantic_segmentation"
        )


def surest_targets(task: Task, pixels: UINT8, label: int | None = None) -> list[Target]:
    """Return what the network is most confident about in each of N x S x S x C uint8 images.

    Args:
        task: in evaluation mode.
        pixels: of the input's size.
        label: class id to explain instead (0..K-1; of maps of classes, id in the map); None: the most confident one.

    Raises:
        UserError: the task has no scores of classes, or no such class.
    """
    require_targets(task)
    if label is not None and not 0 <= label < len(task.class_names):
        raise UserError(f"target: {label}: there is no such class; use 0 to {len(task.class_names) - 1}")
    found: list[Target] = []
    for start in range(0, len(pixels), _BATCH):
        with torch.no_grad():
            outputs = task(torch.from_numpy(np.array(pixels[start : start + _BATCH])).to(task.mean.device))
        found += [task.surest_target(own, label) for own in _single(outputs)]
    return found


def _single(outputs: Any) -> list[Any]:
    """Divide the outputs of a batch into those of its images."""
    if isinstance(outputs, dict):
        count = len(next(iter(outputs.values())))
        return [{name: values[n : n + 1] for name, values in outputs.items()} for n in range(count)]
    return [outputs[n : n + 1] for n in range(len(outputs))]


def target_scores(task: Task, images: Tensor, targets: Sequence[Target]) -> Tensor:
    """N x S x S x C images, uint8 or float in 0..255 -> N scores before softmax or sigmoid, differentiable."""
    return task.target_values(images, targets, chances=False)


def target_chances(task: Task, images: Tensor, targets: Sequence[Target]) -> Tensor:
    """N x S x S x C images, uint8 or float in 0..255 -> N numbers in 0..1: what the network gives each target."""
    return task.target_values(images, targets, chances=True)
