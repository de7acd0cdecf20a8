"""Heat maps by any method, and whether to believe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.grad_cam import grad_cam
from sightline.evaluation.explain.integrated_gradients import integrated_gradients
from sightline.evaluation.explain.layers import heat_layer, map_layers
from sightline.evaluation.explain.occlusion import occlusion_maps
from sightline.tasks.base import Target, Task

HeatMethod = Literal["grad_cam", "occlusion", "integrated_gradients"]


def heat_maps(
    method: HeatMethod, task: Task, pixels: UINT8, targets: Sequence[Target], layer: str | None = None
) -> FLOAT32:
    """Return a map for each image.

    Args:
        method: by which.
        task: in evaluation mode.
        pixels: N x S x S x C uint8.
        targets: of each image.
        layer: of Grad-CAM; None: the last with 7 x 7 places or more.

    Returns:
        N x S x S float32 in 0..1.

    Raises:
        UserError: no such layer, or none with a spatial map.
    """
    match method:
        case "grad_cam":
            return grad_cam(task, pixels, targets, heat_layer(map_layers(task, pixels), layer))
        case "occlusion":
            return occlusion_maps(task, pixels, targets)
        case "integrated_gradients":
            return integrated_gradients(task, pixels, targets)
        case _:
            assert_never(method)
