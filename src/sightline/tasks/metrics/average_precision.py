"""Average precision of matched predictions, for one set of images and for many resamples of them.

Precision is made monotone from the right and read at 101 levels of recall, 0, 0.01, ..., 1; their mean is the average
precision (pycocotools, `COCOeval.accumulate`; Lin et al. 2014). Its mean over classes is mAP.

Matching happens within an image, so a resample only changes how often each match counts. A resample is taken as if the
copies of an image stood side by side; predictions with equal scores in one image and class keep together too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sightline.data.structures import FLOAT32
from sightline.tasks.metrics.matching import Matches
from sightline.tasks.metrics.resampling import Metric

BOOL = NDArray[np.bool_]
FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
RECALLS = np.linspace(0, 1, 101)
_AT_ONCE = 2**20  # numbers of a block of resamples, which stay in the cache


@dataclass(frozen=True)
class ClassMatches:
    """The predictions of one class in all images, most confident first.

    Attributes:
        images: D places of their images.
        scores: D.
        found: T x D: matches a true object that counts.
        ignored: T x D: neither right nor wrong.
        truths: N true objects of each image that count.
    """

    images: INT64
    scores: FLOAT64
    found: BOOL
    ignored: BOOL
    truths: INT64


@dataclass(frozen=True)
class Curves:
    """Precision over recall of one class at T overlaps.

    Attributes:
        precision: T x D, monotone, at each prediction.
        recall: T x D.
        level_precision: T x 101 at `RECALLS`, 0 where a recall is never reached.
        level_scores: T x 101 least score that reaches each recall, 0 where it is never reached.
    """

    precision: FLOAT64
    recall: FLOAT64
    level_precision: FLOAT64
    level_scores: FLOAT64

    @property
    def average_precision(self) -> FLOAT64:
        """T."""
        averages: FLOAT64 = self.level_precision.mean(1)
        return averages


def of_class(matches: Matches, size: int, label: int) -> ClassMatches:
    """Choose one class and one size of objects (place in `SIZES`); predictions of equal scores keep their order."""
    own = np.flatnonzero(matches.labels == label)
    own = own[np.argsort(-matches.scores[own], kind="stable")]
    return ClassMatches(
        matches.images[own],
        matches.scores[own],
        matches.found[size][:, own],
        matches.ignored[size][:, own],
        matches.truths[size, :, label],
    )


def curves(matches: ClassMatches) -> Curves | None:
    """Return precision over recall; None if no true object counts."""
    total = int(matches.truths.sum())
    if not total:
        return None
    hits = np.cumsum(matches.found, 1)
    claims = np.cumsum(~matches.ignored, 1)
    recall = hits / total
    precision = np.maximum.accumulate((hits / np.maximum(claims, 1))[:, ::-1], 1)[:, ::-1]
    count = len(matches.scores)
    levels, scores = np.zeros((2, len(recall), len(RECALLS)))
    for place in range(len(recall)):
        first = np.searchsorted(recall[place], RECALLS)
        reached = first < count
        levels[place, reached] = precision[place, first[reached]]
        scores[place, reached] = matches.scores[first[reached]]
    return Curves(precision, recall, levels, scores)


class ResampledClass:
    """Average precision of one class under resampling, prepared once for all draws.

    Precision matters only where a prediction is right: others are counted between those.
    """

    def __init__(self, matches: ClassMatches, overlaps: Sequence[int]) -> None:
        """Prepare for some overlaps, ascending places in `OVERLAPS`."""
        self._found = matches.found[np.asarray(overlaps)]
        kept = np.flatnonzero(self._found.any(0))
        self._found = self._found[:, kept]
        self._truths = matches.truths.astype(np.float64)
        self._images = matches.images[kept]
        images, everything = len(matches.truths), np.ones(len(matches.images), bool)
        if len(kept):
            self._claims = _counts_up_to(kept, matches.images, everything, images)
            ignored = matches.ignored[np.asarray(overlaps)]
            self._ignored = [_counts_up_to(kept, matches.images, own, images) for own in ignored]

    def __call__(self, counts: FLOAT32) -> FLOAT64:
        """R x N counts -> R averages over the overlaps, NaN where no true object is drawn."""
        truths = counts @ self._truths
        averages = np.zeros(len(counts))
        rows = max(1, _AT_ONCE // max(1, len(self._images)))
        if len(self._images):
            for start in range(0, len(counts), rows):
                block = slice(start, start + rows)
                averages[block] = self._block(counts[block].T.astype(np.float64, order="C"), truths[block])
        return np.where(truths > 0, averages, np.nan)

    def _block(self, drawn: FLOAT64, truths: FLOAT64) -> FLOAT64:
        """N x R counts, R true objects -> R averages."""
        claimed = np.cumsum(self._claims @ drawn, 0)
        weights = drawn[self._images]
        total = np.zeros(drawn.shape[1])
        for right, ignored in zip(self._found, self._ignored, strict=True):
            if not right.any():
                break  # what is not found at one overlap is not found at a larger one
            hits = np.cumsum(weights[right], 0)
            counted = claimed[right]
            if ignored.nnz:
                counted = counted - np.cumsum(ignored @ drawn, 0)[right]
            precision = np.maximum.accumulate((hits / np.maximum(counted, 1))[::-1], 0)[::-1]
            levels = _levels_reached(hits / np.maximum(truths, 1))
            levels[1:] -= levels[:-1].copy()
            total += (precision * levels).sum(0) / len(RECALLS)
        return total / len(self._found)


def mean_of_classes(classes: Sequence[ResampledClass]) -> Metric:
    """Return mean average precision: classes without a true object in a draw do not count there; 0 without any."""

    def mean(counts: FLOAT32) -> FLOAT64:
        total, counted = np.zeros((2, len(counts)))
        for own in classes:
            averages = own(counts)
            total += np.nan_to_num(averages)
            counted += ~np.isnan(averages)
        return total / np.maximum(counted, 1)

    return mean


def _counts_up_to(kept: INT64, images: INT64, chosen: BOOL, count: int) -> sparse.csr_array:
    """Return C x N: how many of the chosen predictions of each image are after one kept position and up to the next."""
    own = np.flatnonzero(chosen[: kept[-1] + 1])
    gaps = np.searchsorted(kept, own)
    return sparse.csr_array((np.ones(len(own)), (gaps, images[own])), shape=(len(kept), count))


def _levels_reached(recall: FLOAT64) -> FLOAT64:
    """Return how many of `RECALLS` each recall reaches: 1 + floor(100 recall), compared as floating point does."""
    last = np.minimum(np.floor(100 * recall + 1e-9).astype(np.int64), 100)
    reached: FLOAT64 = 1.0 + last - (RECALLS[last] > recall)
    return reached
