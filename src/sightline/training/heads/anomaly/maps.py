"""From features of places to one vector for each, and from scores of places to a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from sightline.data.structures import FLOAT32
from sightline.training.features.base import MapShape


@dataclass(frozen=True)
class Layout:
    """How the maps of some layers become P vectors of C numbers.

    Attributes:
        shapes: channels, height and width of each layer's map.
        neighbourhood: places along each side over which features are averaged, odd; 1: not averaged.
    """

    shapes: tuple[MapShape, ...]
    neighbourhood: int

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest map."""
        return max(((height, width) for _, height, width in self.shapes), key=lambda sides: sides[0] * sides[1])

    @property
    def places(self) -> int:
        """P, the places of the finest map."""
        return self.grid[0] * self.grid[1]

    @property
    def channels(self) -> int:
        """C, the channels of all maps."""
        return sum(shape[0] for shape in self.shapes)

    def patches(self, layers: Sequence[FLOAT32]) -> FLOAT32:
        """Vectors of each layer, N x D -> N x P x C: averaged over neighbours, coarser maps made larger, joined.

        PatchCore (Roth et al. 2022), section 3.1, with means over the neighbourhood as the aggregation.
        """
        joined = []
        for vectors, shape in zip(layers, self.shapes, strict=True):
            maps = torch.from_numpy(np.array(vectors, np.float32)).reshape(-1, *shape)
            side = self.neighbourhood
            if side > 1:
                maps = F.avg_pool2d(maps, side, 1, side // 2, count_include_pad=False)
            if shape[1:] != self.grid:
                maps = F.interpolate(maps, size=self.grid, mode="bilinear", align_corners=False)
            joined.append(maps.flatten(2))
        patches: FLOAT32 = np.ascontiguousarray(torch.cat(joined, 1).mT.numpy())
        return patches


def heat_of(scores: FLOAT32, grid: tuple[int, int], size: int, blur: float) -> FLOAT32:
    """Return maps of the input's size from scores of places, between which they are linear.

    Args:
        scores: N x P, row by row.
        grid: height and width of the places.
        size: S, pixels of the input, both sides.
        blur: standard deviation of the Gaussian that smooths them, pixels; 0: none.

    Returns:
        N x S x S.
    """
    maps = []
    for own in scores.reshape(-1, *grid):
        large = cv2.resize(own, (size, size), interpolation=cv2.INTER_LINEAR)
        maps.append(cv2.GaussianBlur(large, (0, 0), blur) if blur else large)
    heat: FLOAT32 = np.stack(maps).astype(np.float32, copy=False)
    return heat
