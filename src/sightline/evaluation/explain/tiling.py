"""Small pictures side by side in one array."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sightline.data.structures import FLOAT32, UINT8

GAP = 3  # pixels between tiles


def tiled(tiles: Sequence[UINT8], columns: int, side: int) -> UINT8:
    """Return h x w x C images as one RGB picture on white, row by row, each enlarged to `side` x `side` pixels."""
    columns = min(columns, max(1, len(tiles)))
    rows = -(-len(tiles) // columns)
    step = side + GAP
    page = np.full((max(1, rows) * step - GAP, columns * step - GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        smaller = max(tile.shape[:2]) > side
        method = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
        own = cv2.resize(tile, (side, side), interpolation=method).reshape(side, side, -1)
        page[row * step : row * step + side, column * step : column * step + side] = own
    return page


def stretched(values: FLOAT32, around: float | None = None) -> UINT8:
    """Return values of any range as 0..255; with `around` that value becomes mid grey, and both sides one scale."""
    if around is not None:
        reach = float(np.abs(values - around).max()) or 1.0
        grey: UINT8 = np.rint(127.5 + 127.5 * (values - around) / reach).astype(np.uint8)
        return grey
    low, high = float(values.min()), float(values.max())
    scaled: UINT8 = np.rint(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)
    return scaled


def coloured(values: FLOAT32) -> UINT8:
    """Return an H x W map in 0..1 as RGB, dark to bright."""
    from matplotlib import colormaps

    colours: UINT8 = np.rint(255 * colormaps["magma"](values)[..., :3]).astype(np.uint8)
    return colours
