"""What makes nearly equal images comparable: a perceptual hash and a thumbnail."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from sightline.data.structures import UINT8

THUMBNAIL = 16  # pixels, both sides


class Signature(NamedTuple):
    """64 bits that stay nearly the same under scaling and recompression, and 16 x 16 grey pixels as bytes."""

    bits: int
    thumbnail: bytes


def sign(grey: UINT8) -> Signature:
    """Return the signature of an H x W grey image.

    The bits say which of the 8 x 8 lowest frequencies of a 32 x 32 DCT are above their median
    (C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010, section 3.2.1).
    """
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    median = np.sort(low[1:])[31]  # of 63; the first is the mean brightness
    bits = np.packbits(low > median)
    thumbnail = cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return Signature(int.from_bytes(bits.tobytes(), "big"), thumbnail.tobytes())
