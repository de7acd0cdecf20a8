"""Pixels to bytes and back: PNG, and COCO's run lengths of masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.structures import UINT8


def encode_png(image: UINT8) -> bytes:
    """Return H x W grey or H x W x 3 RGB uint8 as PNG, the same bytes for the same pixels."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return bytes(encoded.tobytes())


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an H x W mask as COCO's compressed run lengths `{"size": [h, w], "counts": str}`.

    Runs go down the columns and begin with background. Each is written as the difference to the run two before it, in
    groups of 5 bits from the lowest, bit 6 set where more follow, plus 48 (pycocotools, `rleToString` in maskApi.c).
    """
    flat = mask.ravel(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat, prepend=np.int8(0))).tolist()
    runs = np.diff([0, *changes, flat.size]).tolist()
    counts: list[str] = []
    for place, run in enumerate(runs):
        value = run - (runs[place - 2] if place > 2 else 0)
        more = True
        while more:
            group, value = value & 0x1F, value >> 5
            more = value != (-1 if group & 0x10 else 0)
            counts.append(chr((group | 0x20 if more else group) + 48))
    return {"size": list(mask.shape), "counts": "".join(counts)}


def decode_rle(encoded: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the H x W mask that `encode_rle` took."""
    runs: list[int] = []
    value = shift = 0
    for character in encoded["counts"]:
        group = ord(character) - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            if group & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    inside = np.arange(len(runs)) % 2 == 1
    height, width = encoded["size"]
    return np.repeat(inside, runs).reshape(width, height).T
