"""Tiles: squares of a large image, where they are and what a network sees of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sightline.data.images import PAD_VALUE, Interpolation, Placement, fit
from sightline.data.structures import UINT8


class Tile(NamedTuple):
    """A square of an image, of which an edge may be beyond the image's.

    Attributes:
        top, left: of its corner in the image, pixels.
        size: side, pixels.
        height, width: of the part of it that the image has; less than `size` where the image ends.
    """

    top: int
    left: int
    size: int
    height: int
    width: int

    def placement(self, side: int) -> Placement:
        """Return where this part of the image is in a network's input of `side` pixels."""
        scale = side / self.size
        return Placement(self.height, self.width, side, scale, scale, 0.0, 0.0)


def tile_at(top: int, left: int, size: int, height: int, width: int) -> Tile:
    """Return the tile with a corner in an image of `height` x `width` pixels."""
    return Tile(top, left, size, min(size, height - top), min(size, width - left))


def tiles_over(height: int, width: int, size: int, overlap: float) -> list[Tile]:
    """Return tiles that cover an image, row after row; every pixel is in one, and neighbours have `overlap` in common.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        size: side of a tile, pixels.
        overlap: least share of a side that two neighbours have in common.
    """
    lefts = list(_starts(width, size, overlap))
    return [tile_at(top, left, size, height, width) for top in _starts(height, size, overlap) for left in lefts]


def _starts(side: int, size: int, overlap: float) -> Iterator[int]:
    """Yield where tiles begin along a side: evenly, the first at its start and the last at its end."""
    last = side - size
    if last <= 0:  # one tile, which the image does not fill
        yield 0
        return
    steps = math.ceil(last / max(1, math.floor(size * (1 - overlap))))
    yield from (number * last // steps for number in range(steps + 1))


def cut(image: UINT8, tile: Tile, side: int, interpolation: Interpolation = None) -> UINT8:
    """Return what a network sees of a tile.

    Args:
        image: H x W x C.
        tile: of it.
        side: of the network's input, pixels.
        interpolation: as for `fit`.

    Returns:
        side x side x C; grey where the image has ended.
    """
    seen = image[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    if seen.shape[:2] != (tile.size, tile.size):
        whole = np.full((tile.size, tile.size, image.shape[2]), PAD_VALUE, np.uint8)
        whole[: tile.height, : tile.width] = seen
        seen = whole
    return np.array(fit(seen, side, "stretch", interpolation))  # and no view of the image, which others see too
