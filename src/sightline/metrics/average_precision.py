"""Average precision of matched predictions, for one set of images and for many resamples of them.

Precision is made monotone from the right and read at 101 levels of recall, 0, 0.01, ..., 1; their mean is the average
precision (pycocotools, `COCOeval.accumulate`; Lin et al. 2014). Its mean over classes is mAP.

Matching happens within an image, so a resample only changes how often each match counts. A resample is taken as if the
copies of an image stood side by side; predictions with equal scores in one image and class keep together too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sightline.metrics.matching import OVERLAPS, Matches
from sightline.structures import FLOAT32

BOOL = NDArray[np.bool_]
FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
RECALLS = np.linspace(0, 1, 101)
_AT_ONCE = 2**20  # numbers of a block of resamples, which stay in the cache


@dataclass(frozen=True)
class ClassMatches:
    """The predictions of one class in all images, the surest first.

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
    """Return precision over recall; None where no true object counts."""
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


def image_shares(matches: ClassMatches, of: Curves, overlap: int, images: int) -> FLOAT64:
    """Divide a class's average precision among its images: N numbers whose sum it is.

    Each prediction that is right has a share in proportion to the precision there. (Without levels of recall, average
    precision is just the sum of these over the number of true objects.)
    """
    earned = np.where(matches.found[overlap], of.precision[overlap], 0.0)
    total = earned.sum()
    if not total:
        return np.zeros(images)
    shares = np.bincount(matches.images, earned / total, minlength=images)
    divided: FLOAT64 = shares * of.average_precision[overlap]
    return divided


def resampled_precision(classes: list[ClassMatches], samples: FLOAT32) -> FLOAT64:
    """Return mean average precision over classes under resampling.

    Args:
        classes: the predictions of each class.
        samples: R x N, how often each image is drawn.

    Returns:
        R x T; classes without a true object in a resample do not count there, and 0 is for resamples without any.
    """
    drawn = samples.astype(np.float64)
    total = np.zeros((len(samples), len(OVERLAPS)))
    counted = np.zeros((len(samples), 1))
    for matches in classes:
        if matches.truths.any():
            averages, there = _resampled_class(matches, drawn)
            total += averages
            counted += there[:, None]
    return total / np.maximum(counted, 1)


def _resampled_class(matches: ClassMatches, samples: FLOAT64) -> tuple[FLOAT64, BOOL]:
    """Return R x T average precisions, 0 where there is no true object, and R flags whether there is one."""
    truths = samples @ matches.truths
    averages = np.zeros((len(samples), len(OVERLAPS)))
    # Precision matters only where a prediction is right: others are counted between those.
    kept = np.flatnonzero(matches.found.any(0))
    rows = max(1, _AT_ONCE // max(1, len(kept)))
    if len(kept):
        claims = _counts_up_to(kept, matches.images, np.ones(len(matches.images), bool), samples.shape[1])
        ignored = [_counts_up_to(kept, matches.images, own, samples.shape[1]) for own in matches.ignored]
        for start in range(0, len(samples), rows):
            block = slice(start, start + rows)
            averages[block] = _block(matches, kept, claims, ignored, samples[block].T, truths[block])
    return averages, truths > 0


def _block(
    matches: ClassMatches,
    kept: INT64,
    claims: sparse.csr_array,
    ignored: list[sparse.csr_array],
    drawn: FLOAT64,
    truths: FLOAT64,
) -> FLOAT64:
    """Return R x T average precisions of a block of resamples, N x R."""
    claimed = np.cumsum(claims @ drawn, 0)
    weights = drawn[matches.images[kept]]
    averages = np.zeros((drawn.shape[1], len(OVERLAPS)))
    for place in range(len(OVERLAPS)):
        right = matches.found[place, kept]
        if not right.any():
            break  # what is not found at one overlap is not found at a larger one
        hits = np.cumsum(weights[right], 0)
        counted = claimed[right]
        if ignored[place].nnz:
            counted = counted - np.cumsum(ignored[place] @ drawn, 0)[right]
        precision = np.maximum.accumulate((hits / np.maximum(counted, 1))[::-1], 0)[::-1]
        levels = _levels_reached(hits / np.maximum(truths, 1))
        levels[1:] -= levels[:-1].copy()
        averages[:, place] = (precision * levels).sum(0) / len(RECALLS)
    return averages


def _counts_up_to(kept: INT64, images: INT64, chosen: BOOL, count: int) -> sparse.csr_array:
    """Return C x N: how many of the chosen predictions of each image lie behind one kept place and up to the next."""
    own = np.flatnonzero(chosen[: kept[-1] + 1])
    gaps = np.searchsorted(kept, own)
    return sparse.csr_array((np.ones(len(own)), (gaps, images[own])), shape=(len(kept), count))


def _levels_reached(recall: FLOAT64) -> FLOAT64:
    """Return how many of `RECALLS` each recall reaches: 1 + floor(100 recall), compared as floating point does."""
    last = np.minimum(np.floor(100 * recall + 1e-9).astype(np.int64), 100)
    reached: FLOAT64 = 1.0 + last - (RECALLS[last] > recall)
    return reached
