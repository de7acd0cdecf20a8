"""Metrics of any number of classes per image under resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from sightline.data.structures import FLOAT32
from sightline.tasks.metrics.counts import f1
from sightline.tasks.metrics.resampling import FLOAT64, Metric, divided, mean_of, ratio_of

BOOL = NDArray[np.bool_]


def metrics_of_rows(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Metric]:
    """Return mean average precision, macro and micro F1, exact matches, and each class's figures.

    Average precision is without interpolation, as in scikit-learn; means over classes leave out those without a true
    sample in a draw.

    Args:
        rows: the columns probabilities, labels and predicted_labels.
        classes: names of the K classes.
    """
    probabilities = np.stack(rows["probabilities"].to_list())
    actual = presences([list(own) for own in rows["labels"]], len(classes))
    said = presences([list(own) for own in rows["predicted_labels"]], len(classes))
    hits, both = (actual & said).astype(np.float64), actual.astype(np.float64) + said
    groups = [_Groups(probabilities[:, place], actual[:, place]) for place in range(len(classes))]

    def mean_average_precision(counts: FLOAT32) -> FLOAT64:
        averages = np.stack([own.average_precision(counts) for own in groups], 1)
        return _mean(averages, ~np.isnan(averages))

    def macro_f1(counts: FLOAT32) -> FLOAT64:
        return _mean(f1(counts @ hits, counts @ actual, counts @ said), counts @ actual > 0)

    metrics: dict[str, Metric] = {
        "mean_average_precision": mean_average_precision,
        "macro_f1": macro_f1,
        "micro_f1": ratio_of(2 * hits.sum(1), both.sum(1), 0.0),
        "exact_match": mean_of((actual == said).all(1)),
    }
    for place, name in enumerate(classes):
        metrics[f"average_precision_of_{name}"] = groups[place].average_precision
        metrics[f"recall_of_{name}"] = ratio_of(hits[:, place], actual[:, place])
        metrics[f"precision_of_{name}"] = ratio_of(hits[:, place], said[:, place])
        metrics[f"f1_of_{name}"] = ratio_of(2 * hits[:, place], both[:, place])
    return metrics


class _Groups:
    """One class's samples in the order of their probability; those of equal ones form a group and count together.

    Only groups with a positive sample have a precision that matters, so others are counted between those.
    """

    def __init__(self, probability: FLOAT32, actual: BOOL) -> None:
        _, group = np.unique(-probability, return_inverse=True)
        kept = np.unique(group[actual])
        chosen = np.flatnonzero(group <= (kept[-1] if len(kept) else -1))
        place = np.searchsorted(kept, group)
        shape = (len(kept), len(actual))
        self._claims = _ones(place[chosen], chosen, shape)
        self._hits = _ones(place[actual], np.flatnonzero(actual), shape)

    def average_precision(self, counts: FLOAT32) -> FLOAT64:
        """R x N counts -> R, NaN where no positive sample is drawn."""
        drawn = counts.T.astype(np.float64)
        found = self._hits @ drawn
        precision = divided(np.cumsum(found, 0), np.cumsum(self._claims @ drawn, 0))
        return divided((found * precision).sum(0), found.sum(0), np.nan)


def _ones(rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _mean(values: FLOAT64, counted: BOOL) -> FLOAT64:
    """Mean over the last axis where counted; 0 without any."""
    return divided(np.where(counted, values, 0.0).sum(1), counted.sum(1).astype(np.float64))


def f1_of_images(actual: BOOL, said: BOOL) -> FLOAT64:
    """N x K -> N: F1 of the classes of each image; 1 where there is none, and none is predicted."""
    return f1((actual & said).sum(1), actual.sum(1), said.sum(1), 1.0)


def presences(labels: Sequence[Sequence[int]], classes: int) -> BOOL:
    """Lists of class ids -> N x K."""
    presence = np.zeros((len(labels), classes), bool)
    for row, own in zip(presence, labels, strict=True):
        row[list(own)] = True
    return presence
