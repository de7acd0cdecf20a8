"""Maps of overlapping tiles as one map of the image: a weighted mean of probabilities where tiles overlap.

A tile knows least at its border, where it does not see what is beyond. U-Net's overlap-tile strategy (Ronneberger,
Fischer and Brox 2015, figure 2) uses the middle of each tile alone; here weights fall off towards the borders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sightline.data.structures import FLOAT32, Prediction
from sightline.data.tiles import Tile
from sightline.tasks.base import Task, numbers


class TileMaps:
    """Adds up the maps of an image's tiles, of which only the rows that more tiles may touch are in memory.

    Args:
        height, width: of the image, pixels.
        side: of the network's input, pixels.
    """

    def __init__(self, height: int, width: int, side: int) -> None:
        self.width, self.side = width, side
        self._classes = np.zeros((height, width), np.uint8)
        self._top = 0  # row of the image where the sums begin
        self._sums = np.zeros((0, width, 0), np.float32)

    def add(self, task: Task, outputs: Tensor, tiles: Sequence[Tile]) -> None:
        """Take N x K x S x S scores of N tiles; tiles come row after row."""
        chances = numbers(outputs.float().softmax(1)).transpose(0, 2, 3, 1)
        for own, tile in zip(chances, tiles, strict=True):
            if tile.top > self._top or self._sums.shape[2] == 0:
                self._settle(tile.top)
            self._make_room(tile.top + tile.height - self._top, own.shape[2])
            seen = own[: tile.height, : tile.width]  # where a tile has its pixels
            if tile.size != self.side:
                seen = tile.placement(self.side).map_into_original(own, linear=True)
                seen = seen.reshape(tile.height, tile.width, own.shape[2])
            rows = slice(tile.top - self._top, tile.top - self._top + tile.height)
            self._sums[rows, tile.left : tile.left + tile.width] += seen * weights(tile)[..., None]

    def prediction(self) -> Prediction:
        """Return the class of each pixel."""
        self._settle(len(self._classes))
        return Prediction(semantic=self._classes)

    def _settle(self, top: int) -> None:
        """Decide about the rows above `top`, which no further tile touches."""
        done = self._sums[: top - self._top]
        if done.size:
            self._classes[self._top : self._top + len(done)] = done.argmax(2)
        self._sums, self._top = self._sums[top - self._top :], top

    def _make_room(self, rows: int, classes: int) -> None:
        missing = rows - len(self._sums)
        if missing > 0:
            more = np.zeros((missing, self.width, classes), np.float32)
            self._sums = np.concatenate([self._sums, more]) if len(self._sums) else more


def weights(tile: Tile) -> FLOAT32:
    """Return the weight of each pixel: the product of how far the nearest borders are, as shares; never 0."""
    places = np.arange(tile.size, dtype=np.float32)
    falling = np.minimum(places + 1, tile.size - places) / np.float32(tile.size / 2)
    found: FLOAT32 = np.outer(falling[: tile.height], falling[: tile.width]).astype(np.float32)
    return found
