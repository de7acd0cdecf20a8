"""What makes nearly equal images comparable: a perceptual hash and a thumbnail."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import UINT8

THUMBNAIL = 16  # pixels, both sides
_SIZE = THUMBNAIL * THUMBNAIL  # bytes


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


class Signatures:
    """The signatures of the samples of a source; the thumbnails wait in a file, those of a million are 256 MB.

    Args:
        count: samples of the source.
        folder: for a file without a name, which is gone when the process ends, however it ends.
    """

    def __init__(self, count: int, folder: Path | None = None) -> None:
        self._bits = np.zeros(count, np.uint64)
        self._places = np.zeros(count, np.int64)
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the object
        self._kept = 0

    def keep(self, index: int, signature: Signature) -> None:
        """Keep the signature of sample `index`."""
        self._bits[index], self._places[index] = signature.bits, self._kept
        self._file.write(signature.thumbnail)
        self._kept += 1

    def bits(self, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the hashes of N samples."""
        return self._bits[indices]

    def thumbnails(self, indices: NDArray[np.int64]) -> UINT8:
        """Return N x 256 grey levels."""
        self._file.flush()
        own = [os.pread(self._file.fileno(), _SIZE, place * _SIZE) for place in self._places[indices].tolist()]
        return np.frombuffer(b"".join(own), np.uint8).reshape(-1, _SIZE)
