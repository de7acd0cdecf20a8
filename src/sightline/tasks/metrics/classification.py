"""Metrics of one class per image: tables of a measurement, and metrics under resampling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import pandas as pd

from sightline.data.structures import FLOAT32
from sightline.tasks.metrics.counts import COUNTS, f1, precision, recall
from sightline.tasks.metrics.resampling import FLOAT64, Metric, divided, indicator, mean_of, ratio_of

TOP = 5
LEAST_PROBABILITY = 1e-12  # in a log loss


def per_class(confusion: COUNTS, names: Sequence[str]) -> pd.DataFrame:
    """Precision, recall and F1 from a K x K matrix of counts (rows true, columns predicted); 0 where undefined."""
    hits, actual, claimed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return pd.DataFrame(
        {
            "class": list(names),
            "samples": actual,
            "precision": precision(hits, claimed),
            "recall": recall(hits, actual),
            "f1": f1(hits, actual, claimed),
        }
    )


def reliability(confidence: FLOAT32, correct: FLOAT32, bins: int) -> pd.DataFrame:
    """Mean confidence and accuracy in equal bins of confidence (reliability diagram, DeGroot and Fienberg 1983)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    frame = pd.DataFrame({"bin": bin_of, "confidence": confidence, "accuracy": correct})
    grouped = frame.groupby("bin")
    return grouped.mean().assign(samples=grouped.size()).reset_index()


def metrics_of_rows(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Metric]:
    """Return accuracy, top-5 and balanced accuracy, macro F1, log loss, and each class's recall, precision and F1.

    Means over classes leave out those without a true sample in a draw.

    Args:
        rows: the columns label, predicted and rank; for the log loss also probabilities.
        classes: names of the K classes.
    """
    label, predicted = rows["label"].to_numpy(np.int64), rows["predicted"].to_numpy(np.int64)
    right, count = label == predicted, len(classes)
    true, said, hit = indicator(label, count), indicator(predicted, count), indicator(label, count, right)

    def balanced_accuracy(counts: FLOAT32) -> FLOAT64:
        actual = counts @ true
        return divided(recall(counts @ hit, actual).sum(1), (actual > 0).sum(1), np.nan)

    def macro_f1(counts: FLOAT32) -> FLOAT64:
        actual = counts @ true
        of_class = f1(counts @ hit, actual, counts @ said)
        return divided((of_class * (actual > 0)).sum(1), (actual > 0).sum(1), np.nan)

    @cache  # all probabilities are read only where this metric is wanted
    def mean_loss() -> Metric:
        probabilities = np.stack(rows["probabilities"].to_list())[np.arange(len(label)), label]
        return mean_of(-np.log(np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, 1)))

    def log_loss(counts: FLOAT32) -> FLOAT64:
        return mean_loss()(counts)

    metrics: dict[str, Metric] = {
        "accuracy": mean_of(right),
        "top5": mean_of(rows["rank"].to_numpy() < TOP),
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
    }
    if "probabilities" in rows:
        metrics["log_loss"] = log_loss

    def figure(counts: FLOAT32, kind: str, place: int) -> FLOAT64:  # of a thousand classes few are asked for
        mine, claimed = label == place, predicted == place
        whole = {"recall": mine, "precision": claimed, "f1": (mine.astype(np.float64) + claimed) / 2}[kind]
        return ratio_of(mine & claimed, whole)(counts)

    return metrics | {
        f"{kind}_of_{name}": partial(figure, kind=kind, place=place)
        for place, name in enumerate(classes)
        for kind in ("recall", "precision", "f1")
    }
