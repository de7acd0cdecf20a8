"""Precision, recall, F1 and the confusion of classes, from counts of samples, objects, labels or pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.metrics.resampling import FLOAT64, divided

COUNTS = NDArray[np.int64]
NUMBERS = NDArray[Any]  # whole numbers, or float64 where they are resampled


def confusion(truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int) -> COUNTS:
    """Count each pair of classes.

    Args:
        truth: N class ids less than `classes`.
        predicted: N class ids less than `classes`.
        classes: K.

    Returns:
        K x K int64; rows are true classes, columns predicted ones.
    """
    pairs = truth.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def precision(hits: NUMBERS, claimed: NUMBERS, empty: float = 0.0) -> FLOAT64:
    """Share of what was predicted that is right; `empty` where nothing was predicted."""
    return divided(hits, claimed, empty)


def recall(hits: NUMBERS, actual: NUMBERS, empty: float = 0.0) -> FLOAT64:
    """Share of what is there that was predicted; `empty` where nothing is there."""
    return divided(hits, actual, empty)


def f1(hits: NUMBERS, actual: NUMBERS, claimed: NUMBERS, empty: float = 0.0) -> FLOAT64:
    """Return 2 hits / (actual + claimed); `empty` where nothing is there and nothing was predicted."""
    return divided(2 * hits, actual + claimed, empty)
