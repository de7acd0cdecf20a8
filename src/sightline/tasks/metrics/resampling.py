"""Metrics under resampling: how often each sample is drawn in, the metric of each draw out.

A metric of one set of rows is a function from R x N counts to R values, so intervals, slices and the comparison of two
models need no network and treat means, mAP and R2 the same way (B. Efron and R. J. Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 6 and 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from sightline.data.structures import FLOAT32

FLOAT64 = NDArray[np.float64]
# R x N, how often each of N rows is drawn -> R values, NaN where a draw has nothing to measure.
Metric = Callable[[FLOAT32], FLOAT64]
_NUMBERS_AT_ONCE = 4_000_000  # held while resampling: 32 MB


def resampled_counts(count: int, resamples: int, seed: int = 0) -> Iterator[FLOAT32]:
    """Yield R' x N counts of how often each of N samples is drawn with replacement, `resamples` rows in all.

    The same seed and N give the same draws, in whatever parts they come.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    per_chunk = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, resamples, per_chunk):
        rows = min(per_chunk, resamples - start)
        drawn = generator.integers(0, count, (rows, count), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float32)


def mean_of(values: ArrayLike) -> Metric:
    """Return the metric that is the mean of N values."""
    return ratio_of(values, np.ones(np.shape(values)))


def ratio_of(part: ArrayLike, whole: ArrayLike, empty: float = np.nan) -> Metric:
    """Return the metric that is the sum of N parts over the sum of N wholes, `empty` where that is 0.

    It holds the two as they are given, and is exact for whole numbers.
    """

    def ratio(counts: FLOAT32) -> FLOAT64:
        both = np.stack([np.asarray(part, np.float64), np.asarray(whole, np.float64)], 1)
        above, below = (counts @ both).T
        return divided(above, below, empty)

    return ratio


def divided(part: FLOAT64, whole: FLOAT64, empty: float = 0.0) -> FLOAT64:
    """Return part / whole, `empty` where the whole is 0."""
    ratio: FLOAT64 = np.divide(part, whole, out=np.full(np.shape(part), empty), where=np.asarray(whole) > 0)
    return ratio


def indicator(classes: NDArray[Any], count: int, weights: NDArray[Any] | None = None) -> sparse.csr_array:
    """Return N x K with a 1, or a weight, at the class of each of N rows: memory grows with N alone."""
    places = np.arange(len(classes) + 1)
    values = np.ones(len(classes)) if weights is None else np.asarray(weights, np.float64)
    return sparse.csr_array((values, np.asarray(classes, np.int64), places), shape=(len(classes), count))
