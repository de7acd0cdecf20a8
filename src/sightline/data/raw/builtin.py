"""Embedded data: scikit-learn's 1,797 scanned digits."""

from __future__ import annotations

from functools import cache

import numpy as np

from sightline.data.encoding import encode_png
from sightline.data.raw.formats.source import Source
from sightline.data.structures import UINT8, LabelMap, Sample

DIGITS = LabelMap(tuple("0123456789"), tuple("0123456789"))


@cache
def scanned_digits() -> tuple[UINT8, UINT8]:
    """Return 1797 x 8 x 8 grey pixels 0..255, bright ink on black, and their classes.

    scikit-learn's copy of "Optical recognition of handwritten digits" (Alpaydin and Kaynak, 1998) counts ink in 0..16.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    return np.rint(scans.images * (255 / 16)).astype(np.uint8), scans.target.astype(np.uint8)


class DigitsSource(Source):
    """The scanned digits as 8 x 8 grey PNGs."""

    def __init__(self) -> None:
        self.labels, self.ignored = DIGITS, []
        self.images, self.targets = scanned_digits()
        self.sample_labels = self.targets.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def sample(self, index: int) -> Sample:
        """Return one scan."""
        return Sample(f"digit/{index:04}", encode_png(self.images[index]), label=int(self.targets[index]))
