"""Occlusion: the loss of confidence under a grey square at each position (Zeiler and Fergus 2014, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from captum.attr import Occlusion
from torch import Tensor

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.targets import target_chances
from sightline.tasks.base import Target, Task, numbers

SQUARES = 5  # squares that cover the image's side
STEPS = 7  # places of the square along a side, and one or two more to reach the edge
_BATCH = 27  # covered images at once


def occlusion_maps(task: Task, pixels: UINT8, targets: Sequence[Target]) -> FLOAT32:
    """Return what the target's chance loses, at most, in the squares over each pixel's place, with maximum 1.

    The square is filled with the grey that is 0 after normalisation, and a fifth of the image wide.

    Args:
        task: in evaluation mode.
        pixels: N x S x S x C uint8.
        targets: of each image.

    Returns:
        N x S x S float32 in 0..1; all 0 where covering never makes the network less confident.
    """
    return np.stack([_one(task, own, target) for own, target in zip(pixels, targets, strict=True)])


def _one(task: Task, pixels: UINT8, target: Target) -> FLOAT32:
    size, channels = pixels.shape[0], pixels.shape[2]
    side = max(2, round(size / SQUARES))
    stride = max(1, (size - side) // (STEPS - 1))

    def chances(images: Tensor) -> Tensor:
        return target_chances(task, images, [target] * len(images))

    image = torch.from_numpy(np.array(pixels)).to(task.mean.device)[None].float()
    with torch.no_grad():
        lost = Occlusion(chances).attribute(
            image,
            sliding_window_shapes=(side, side, channels),
            strides=(stride, stride, channels),
            baselines=task.mean.permute(1, 2, 0)[None].expand_as(image),
            perturbations_per_eval=_BATCH,
        )
    map_of_losses = numbers(lost[0].mean(-1)).clip(0, None)
    smooth: FLOAT32 = cv2.blur(map_of_losses, (stride, stride))  # the square moved in steps of `stride`
    peak = float(smooth.max())
    return smooth / np.float32(peak) if peak > 0 else smooth
