"""Brings decoded values of other ranges, as the 10 to 16 bits of cameras, to 8 bits."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import UINT8
from sightline.data.tiff_tags import PHOTOMETRIC, find_tag

_RANGES = (8, 12, 16)  # bits
_PNM_HEADER = re.compile(rb"P[2356](?:\s+|#[^\n]*\n)*\d+(?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+(\d+)\s")
_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000: SOC and SIZ


def to_8_bits(image: NDArray[Any], encoded: bytes, kind: str) -> tuple[UINT8, int | None, int]:
    """Return 8-bit values, the greatest stored value of 16-bit ones, and the value that became 255.

    PNM and, below 16 bits, JPEG 2000 declare their white. Otherwise it is the end of the least range of 8, 12
    and 16 bits that holds the file's values: 12-bit cameras store 0..4095 in 16 bits, which would be black. The ranges
    are so far apart that images of one camera hardly ever fall into two of them.
    """
    white = _told_white(encoded, kind)
    if image.dtype == np.uint8:
        if white is None or white >= 255:
            return image, None, 255
        return cv2.LUT(image, np.minimum((np.arange(256) * 255 + white // 2) // white, 255).astype(np.uint8)), None, 255
    highest = int(image.max())
    bits = next(bits for bits in _RANGES if highest < 1 << bits)
    if white is None or highest > white:
        white = (1 << bits) - 1
    if kind == "TIFF" and (tag := find_tag(encoded, PHOTOMETRIC)) is not None and tag.value == 0:
        image = np.uint16(white) - image  # 0 is white; OpenCV knows that of 8 bits only
    if white + 1 == 1 << white.bit_length():
        return (image >> (white.bit_length() - 8)).astype(np.uint8), highest, white
    return (image.astype(np.uint32) * 255 // white).astype(np.uint8), highest, white


def _told_white(encoded: bytes, kind: str) -> int | None:
    """Return the greatest value that the file says it can hold, where it does and that can be believed."""
    if kind == "PPM":
        found = _PNM_HEADER.match(bytes(encoded[:1024]))
        told = int(found[1][:5]) if found else 0
        as_text = bytes(encoded[:2]) in (b"P2", b"P3")  # of which OpenCV scales those of 8 bits itself
        return told if (0 if not as_text else 255) < told < 65535 else None
    if kind == "JPEG2000":
        head = bytes(encoded[:65536])
        place = head.find(_CODESTREAM) + 42  # behind sizes and offsets stands the precision of the first component
        bits = (head[place] & 0x7F) + 1 if 42 <= place < len(head) else 16
        return (1 << bits) - 1 if 8 < bits < 16 else None
    return None
