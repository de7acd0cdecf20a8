"""Grad-CAM: where the maps of a layer speak for a class (Selvaraju et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.layers import heat_layer, map_layers
from sightline.evaluation.explain.targets import surest_targets, target_scores
from sightline.tasks.base import Target, Task, numbers

_BATCH = 16  # images at once


def heat_map(task: Task, pixels: UINT8, target: int | Sequence[Target] | None = None) -> FLOAT32:
    """N x S x S x C uint8 images -> N x S x S float32 in 0..1: where each image speaks for the target, by Grad-CAM.

    It is made of the last layer that has 7 x 7 places or more. The largest value of each map is 1, and all are 0 where
    nothing speaks for the target. Weights and gradients of the task stay as they are.

    Args:
        task: in evaluation mode.
        pixels: of the input's size, as `sightline.data.cache.decoded` makes them.
        target: what is explained: a class id, or a target for each image; None: the most confident class of the
        network.

    Raises:
        UserError: the task has no scores of classes, no such class, or no layer with a spatial map.
    """
    if target is None or isinstance(target, int):
        target = surest_targets(task, pixels, target)
    return grad_cam(task, pixels, target, heat_layer(map_layers(task, pixels)))


def grad_cam(task: Task, pixels: UINT8, targets: Sequence[Target], layer: str) -> FLOAT32:
    """Return ReLU(sum over k of a_k A_k), a_k the mean gradient of the score in map A_k, enlarged and with maximum 1.

    Selvaraju et al. 2017, equations 1 and 2. For maps of classes the score is the mean over the pixels of the class
    (Vinogradova et al. 2020); of a detector it is that of the object's anchor.

    Args:
        task: in evaluation mode.
        pixels: N x S x S x C uint8.
        targets: of each image.
        layer: as `heat_layer` chooses it.

    Returns:
        N x S x S float32 in 0..1.
    """
    found = []
    for start in range(0, len(pixels), _BATCH):
        chosen = targets[start : start + _BATCH]
        coarse = _coarse_maps(task, torch.from_numpy(np.array(pixels[start : start + _BATCH])), chosen, layer)
        found += [_enlarged(task, own, pixels.shape[1], target) for own, target in zip(coarse, chosen, strict=True)]
    return np.stack(found) if found else np.zeros((0, *pixels.shape[1:3]), np.float32)


def _coarse_maps(task: Task, images: Tensor, targets: Sequence[Target], layer: str) -> FLOAT32:
    """Return N x h x w, in the places of the layer, none below 0."""
    kept: list[Tensor] = []

    def cut(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())  # nothing below it needs gradients
        return kept[0].clone()  # later layers may work in place

    hook = task.inner_network.get_submodule(layer).register_forward_hook(cut)
    try:
        with torch.enable_grad():
            scores = target_scores(task, images.to(task.mean.device), targets)
            [gradient] = torch.autograd.grad(scores.sum(), kept)
    finally:
        hook.remove()
    weights = gradient.float().mean((2, 3), keepdim=True)
    return numbers((weights * kept[0].float()).sum(1).relu())


def _enlarged(task: Task, coarse: FLOAT32, size: int, target: Target) -> FLOAT32:
    """Return S x S with maximum 1; the map of a window is at the window's position."""
    if task.window is not None:
        assert target.box is not None
        left, top, right, bottom = (min(size, max(0, round(edge))) for edge in target.box)
        placed = np.zeros((size, size), np.float32)
        placed[top:bottom, left:right] = cv2.resize(coarse, (right - left, bottom - top))
    else:
        placed = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    peak = float(placed.max())
    return placed / np.float32(peak) if peak > 0 else placed
