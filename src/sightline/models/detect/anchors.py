"""Anchors of a pyramid: boxes of some sizes around points one stride apart, in the middle of what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

USUAL = 3.0  # strides from a point to an edge of its object, about what a map is asked for


class StrideAnchors(AnchorGenerator):  # type: ignore[misc]  # torchvision has no annotations
    """torchvision's generator with given strides and centred points, in float32.

    Its own takes the image's side over the map's, rounded down, which is wrong for odd sides, and puts the points in
    the upper left corners of their squares, so that a mirrored image has other points.

    Args:
        strides: input pixels per pixel of each map.
        sizes: sides of each map's anchors, in strides.
        ratios: heights over widths of the anchors.
    """

    def __init__(self, strides: Sequence[int], sizes: Sequence[float], ratios: Sequence[float]) -> None:
        super().__init__(
            tuple(tuple(side * stride for side in sizes) for stride in strides), (tuple(ratios),) * len(strides)
        )
        self.strides = tuple(strides)

    def forward(self, image_list: Any, feature_maps: Sequence[Tensor]) -> list[Tensor]:
        """Images and maps of a pyramid -> for each image A x 4 float32 xyxy, map by map, row by row."""
        device = feature_maps[0].device
        self.set_cell_anchors(torch.float32, device)
        strides = [[torch.tensor(stride, device=device)] * 2 for stride in self.strides]
        of_maps = self.grid_anchors([one.shape[-2:] for one in feature_maps], strides)
        anchors = torch.cat([own + stride / 2 for own, stride in zip(of_maps, self.strides, strict=True)])
        return [anchors] * len(image_list.image_sizes)
