"""Overlap of semantic maps, from counts of pixels that are kept per image.

A pixel whose truth is 255 never counts, regardless of the prediction. For class k, with pixels added up over images:

    hits      truth k and prediction k
    actual    truth k
    claimed   prediction k
    union     actual + claimed - hits

    IoU = hits / union (Jaccard 1912)          Dice = 2 hits / (actual + claimed) (Dice 1945; it is the F1 of pixels)

Means over classes leave out those that are neither in the truth nor in the predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.data.structures import IGNORED, UINT8
from sightline.tasks.metrics import counts
from sightline.tasks.metrics.counts import COUNTS
from sightline.tasks.metrics.resampling import FLOAT64, Metric, divided, ratio_of

PIXELS = counts.NUMBERS


@dataclass(frozen=True)
class Overlap:
    """Pixels of each of K classes; ... x K of any shape in front, whole numbers or resampled sums."""

    hits: PIXELS
    actual: PIXELS
    claimed: PIXELS

    @property
    def union(self) -> PIXELS:
        """Pixels of a class in truth or prediction."""
        return self.actual + self.claimed - self.hits

    @property
    def iou(self) -> FLOAT64:
        """Intersection over union of each class in 0..1; NaN where the class is nowhere."""
        return divided(self.hits, self.union, np.nan)

    @property
    def dice(self) -> FLOAT64:
        """Dice coefficient of each class in 0..1; NaN where the class is nowhere."""
        return counts.f1(self.hits, self.actual, self.claimed, np.nan)

    @property
    def pixel_accuracy(self) -> FLOAT64:
        """Share of pixels whose class is right, ... without K; 0 without any pixel."""
        return divided(self.hits.sum(-1), self.actual.sum(-1))

    @property
    def mean_iou(self) -> FLOAT64:
        """Mean IoU of the classes that are somewhere, ... without K; 0 without any."""
        return _mean(self.iou)

    @property
    def mean_dice(self) -> FLOAT64:
        """Mean Dice coefficient of the classes that are somewhere, ... without K; 0 without any."""
        return _mean(self.dice)

    def summed(self) -> Overlap:
        """Add up the first axis, the images."""
        return Overlap(self.hits.sum(0), self.actual.sum(0), self.claimed.sum(0))

    def resampled(self, samples: NDArray[np.floating]) -> Overlap:
        """Add up N x K counts as often as images are drawn, R x N; R x K."""
        drawn = samples.astype(np.float64)  # sums of pixels outgrow the 24 bits of float32
        return Overlap(drawn @ self.hits, drawn @ self.actual, drawn @ self.claimed)


def confusion(truth: UINT8, predicted: UINT8, classes: int) -> COUNTS:
    """Count the pixels of each pair of classes in one image.

    Args:
        truth: H x W class ids, 255 = ignored.
        predicted: H x W class ids less than `classes`.
        classes: K.

    Returns:
        K x K int64; rows are true classes, columns predicted ones.
    """
    counted = truth != IGNORED
    return counts.confusion(truth[counted], predicted[counted], classes)


def overlap_of(confusions: COUNTS) -> Overlap:
    """Return the counts per class of ... x K x K pairs."""
    return Overlap(np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(-1), confusions.sum(-2))


def stacked(images: Sequence[Overlap]) -> Overlap:
    """Return N images' K counts as N x K."""
    return Overlap(*(np.stack([getattr(one, name) for one in images]) for name in ("hits", "actual", "claimed")))


def metrics_of_rows(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Metric]:
    """Return mean IoU, mean Dice and pixel accuracy under resampling, and each class's figures.

    Args:
        rows: the columns hits, actual and claimed, K pixel counts each.
        classes: names of the K classes.
    """
    images = Overlap(*(np.stack(rows[name].to_list()) for name in ("hits", "actual", "claimed")))
    metrics: dict[str, Metric] = {
        "mIoU": lambda drawn: images.resampled(drawn).mean_iou,
        "dice": lambda drawn: images.resampled(drawn).mean_dice,
        "pixel_accuracy": lambda drawn: images.resampled(drawn).pixel_accuracy,
    }
    for name, hits, actual, claimed in zip(classes, images.hits.T, images.actual.T, images.claimed.T, strict=True):
        metrics[f"iou_of_{name}"] = ratio_of(hits, actual + claimed - hits)
        metrics[f"dice_of_{name}"] = ratio_of(2 * hits, actual + claimed)
        metrics[f"recall_of_{name}"] = ratio_of(hits, actual)
        metrics[f"precision_of_{name}"] = ratio_of(hits, claimed)
    return metrics


def _mean(values: FLOAT64) -> FLOAT64:
    """Mean over the last axis without NaN; 0 where all are."""
    there = ~np.isnan(values)
    mean: FLOAT64 = np.nan_to_num(values).sum(-1) / np.maximum(there.sum(-1), 1)
    return mean
