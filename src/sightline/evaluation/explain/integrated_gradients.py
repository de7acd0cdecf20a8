"""Integrated gradients: which pixels make the score, counted from an empty image (Sundararajan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.targets import target_scores
from sightline.tasks.base import Target, Task, numbers

STEPS = 8  # images between an empty one and the whole
_SMOOTH = 64  # the map is blurred by a 64th of its side, as single pixels cannot be seen
_CAPPED = 0.995  # share of pixels below the largest value that is drawn


def integrated_gradients(task: Task, pixels: UINT8, targets: Sequence[Target]) -> FLOAT32:
    """Return the size of each pixel's part in the score, with maximum 1.

    The parts of all pixels sum up to the score less that of an empty image (completeness, proposition 1). Black and
    white serve as empty images and the mean is taken: a black baseline alone never counts black pixels (Sturmfels,
    Lundberg and Lee 2020).

    Args:
        task: in evaluation mode.
        pixels: N x S x S x C uint8.
        targets: of each image.

    Returns:
        N x S x S float32 in 0..1.
    """
    return np.stack(
        [_drawn(np.abs(pixel_parts(task, own, target).sum(2))) for own, target in zip(pixels, targets, strict=True)]
    )


def pixel_parts(task: Task, pixels: UINT8, target: Target, steps: int = STEPS) -> FLOAT32:
    """Return S x S x C parts, of either sign, of the score of one image."""

    def scores(images: Tensor) -> Tensor:
        return target_scores(task, images, [target] * len(images))

    image = torch.from_numpy(np.array(pixels)).to(task.mean.device)[None].float()
    method = IntegratedGradients(scores)
    with torch.enable_grad():
        parts = [
            method.attribute(image, baselines=torch.full_like(image, value), n_steps=steps, internal_batch_size=steps)
            for value in (0.0, 255.0)
        ]
    return numbers(torch.stack(parts).mean(0)[0])


def _drawn(sizes: FLOAT32) -> FLOAT32:
    smooth = cv2.GaussianBlur(sizes, (0, 0), max(0.5, len(sizes) / _SMOOTH))
    peak = float(np.quantile(smooth, _CAPPED))
    capped: FLOAT32 = np.clip(smooth / peak, 0, 1).astype(np.float32) if peak > 0 else smooth
    return capped
