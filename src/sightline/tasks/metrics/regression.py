"""Metrics of K numbers per image under resampling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from sightline.data.structures import FLOAT32
from sightline.tasks.metrics.resampling import FLOAT64, Metric

_CONSTANT = 1e-12  # variance, relative to the squared values, below which all values of a draw are equal


def metrics_of_rows(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, Metric]:
    """Return R2 and mean absolute error (means over the numbers), root mean squared error, and those of each number.

    R2 is 1 - mean squared error / variance; where all true values of a draw are equal it is 1 without any error and 0
    otherwise, as in scikit-learn.

    Args:
        rows: the columns values and predicted_values.
        names: of the K numbers.
    """
    actual = np.stack(rows["values"].to_list()).astype(np.float64)
    error = np.stack(rows["predicted_values"].to_list()).astype(np.float64) - actual
    middle = actual - actual.mean(0)  # the variance is a difference of sums, which lose digits far from 0
    spread = (middle**2).max(0)

    def determination(counts: FLOAT32, columns: slice) -> FLOAT64:
        share = _shares(counts)
        own, wrong = middle[:, columns], error[:, columns]
        variance = share @ own**2 - (share @ own) ** 2
        squared = share @ wrong**2
        varies = variance > _CONSTANT * spread[columns]
        r2 = 1 - squared / np.where(varies, variance, 1.0)
        values: FLOAT64 = np.where(varies, r2, (squared == 0).astype(np.float64)).mean(1)
        return values

    def absolute(counts: FLOAT32, columns: slice) -> FLOAT64:
        values: FLOAT64 = (_shares(counts) @ np.abs(error[:, columns])).mean(1)
        return values

    def rooted(counts: FLOAT32, columns: slice) -> FLOAT64:
        values: FLOAT64 = np.sqrt((_shares(counts) @ error[:, columns] ** 2).mean(1))
        return values

    kinds = {"r2": determination, "mae": absolute, "rmse": rooted}
    chosen = {"": slice(None)} | {f"_of_{name}": slice(place, place + 1) for place, name in enumerate(names)}
    return {
        kind + whose: partial(metric, columns=columns)
        for whose, columns in chosen.items()
        for kind, metric in kinds.items()
    }


def _shares(counts: FLOAT32) -> FLOAT64:
    wide = counts.astype(np.float64)
    shares: FLOAT64 = wide / wide.sum(1, keepdims=True)
    return shares
