"""How like two images are: peak signal-to-noise ratio, structural similarity."""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from sightline.data.structures import UINT8

WHITE = 255
MOST_DECIBEL = 60.0  # of equal images, whose ratio is infinite; an error of a quarter of a grey level
_REACH = 5  # pixels from the middle of the window of 11 to its edge


def mean_squared_error(image: UINT8, other: UINT8) -> float:
    """Mean over H x W x C of the squared difference, white = 1."""
    return float(((image.astype(np.float64) - other) ** 2).mean() / WHITE**2)


def peak_signal_to_noise(error: float) -> float:
    """Return -10 log10 of a mean squared error (white = 1), in decibel, at most 60."""
    return min(MOST_DECIBEL, float(-10 * np.log10(max(error, 1e-12))))


def structural_similarity(image: UINT8, other: UINT8) -> float:
    """Mean structural similarity of two H x W x C images, at most 1 (Wang et al. 2004, with its Gaussian window).

    The window is around each pixel, with images reflected at their edges; very small ones are first enlarged with them.
    """
    if min(image.shape[:2]) <= _REACH:  # too few pixels to reflect
        margin = ((_REACH, _REACH), (_REACH, _REACH), (0, 0))
        image, other = np.pad(image, margin, "edge"), np.pad(other, margin, "edge")
    first, second = (torch.from_numpy(one.astype(np.float64)).movedim(-1, 0)[None] for one in (image, other))
    similarity = structural_similarity_index_measure(first, second, data_range=float(WHITE))
    assert isinstance(similarity, torch.Tensor)
    return float(similarity)
