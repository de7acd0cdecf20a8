"""How good a model is on each single sample, by which the worst are found.

Metrics such as mAP belong to a whole test set and say nothing of one sample, so samples are judged by what else their
rows hold; the column `score` of an evaluation's rows breaks ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.tasks.metrics.counts import f1
from sightline.tasks.metrics.segmentation import Overlap

FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
MARKED = 12  # samples called the worst
_AT_50 = 1  # bit of an overlap of 0.5 in the columns found and ignored
UNKNOWN = 0.5  # the threshold of classes without a true object


@dataclass(frozen=True)
class Quality:
    """How good predictions of N samples are, one by one.

    Attributes:
        name: of the measure.
        values: N, larger is better; NaN where there was nothing to find.
        ends: least and largest possible value, None if unbounded.
        unit: with a space before it.
        told: whether the column `told` of the rows names it.
    """

    name: str
    values: FLOAT64
    ends: tuple[float, float] | None = (0.0, 1.0)
    unit: str = ""
    told: bool = False

    def of(self, place: int) -> str:
        """Say how good one sample is; nothing where the words on it say so already."""
        if self.told:
            return ""
        value = self.values[place]
        return "nothing to find" if np.isnan(value) else f"{self.name} {value:.2f}{self.unit}"


@dataclass(frozen=True)
class Worst:
    """Samples by how bad they are.

    Attributes:
        order: places of samples, the worst first.
        title: what they are, in words.
        marked: indices of those that are highlighted.
        name: of these.
    """

    order: INT64
    title: str
    marked: INT64
    name: str


def quality_of(rows: pd.DataFrame, thresholds: FLOAT64 | None) -> Quality:
    """Judge each sample by the columns that its row has.

    Args:
        rows: one row per sample.
        thresholds: K least scores of objects that count, by class; NaN where unknown. None if the model has none.
    """
    if "hits" in rows:
        overlap = Overlap(*(_stacked(rows[name]) for name in ("hits", "actual", "claimed")))
        there = (overlap.actual > 0).any(1)
        return Quality("mean IoU", np.where(there, overlap.mean_iou, np.nan))
    if "similarity" in rows:
        similarity = rows["similarity"].where(rows["points"] > 0).to_numpy(np.float64)
        return Quality("key point similarity (OKS)", similarity)
    found = next((name for name in map(str, rows) if name.endswith("found")), None)
    if found is not None and thresholds is not None:
        return Quality("F1 of objects", _f1_of_objects(rows, found.removesuffix("found"), thresholds))
    if "predicted_labels" in rows:
        return Quality("F1 of labels", _f1_of_labels(rows))
    if "label" in rows:
        pairs = zip(rows["probabilities"], rows["label"], strict=True)
        return Quality("probability of the true class", np.array([own[label] for own, label in pairs], np.float64))
    score = rows["score"].to_numpy(np.float64)
    if "anomalous" in rows:
        return Quality("distance to the threshold", score, None, told=True)
    if "psnr" in rows:
        return Quality("peak signal-to-noise ratio", score, None, " dB", told=True)
    if "edits" in rows:
        return Quality("share of characters right", score)
    if "located" in rows:
        return Quality("overlap (IoU)", score, told=True)
    return Quality("score", score, None)


def worst_first(rows: pd.DataFrame, quality: Quality) -> Worst:
    """Order samples as they are shown.

    Of classifiers only errors are shown, those made with most confidence first; of others all samples, the worst first.
    """
    ids = rows["id"].to_numpy(str)
    if "label" in rows:
        wrong = np.flatnonzero(rows["score"] == 0)
        order = wrong[np.lexsort((ids[wrong], -rows["confidence"].to_numpy()[wrong]))]
        title = f"most confident errors, true → predicted, of {len(wrong):,}" if len(wrong) else "no errors"
        return Worst(order, title, wrong, "errors")
    order = np.lexsort((ids, rows["score"].to_numpy(), quality.values))  # NaN comes last
    marked = order[: min(MARKED, int((~np.isnan(quality.values)).sum()))]
    return Worst(order, f"the worst of {len(rows):,} samples by {quality.name}", marked, f"the worst {len(marked)}")


def _f1_of_objects(rows: pd.DataFrame, prefix: str, thresholds: FLOAT64) -> FLOAT64:
    """F1 at an overlap of 0.5 of the objects with enough score; 1 where there is none, and none is predicted."""
    least = np.nan_to_num(thresholds, nan=UNKNOWN)
    columns = ("object_labels", "object_scores", "found", "ignored", "truths")
    counts = []
    for labels, scores, found, ignored, truths in zip(*(rows[prefix + name] for name in columns), strict=True):
        told = np.asarray(scores) >= least[np.asarray(labels, np.int64)].astype(np.float32)
        right = (np.asarray(found, np.int64) & _AT_50 > 0) & told
        claims = (np.asarray(ignored, np.int64) & _AT_50 == 0) & told
        counts.append((right.sum(), np.sum(truths), claims.sum()))
    hits, actual, claimed = np.array(counts, np.int64).reshape(-1, 3).T
    return f1(hits, actual, claimed, 1.0)


def _f1_of_labels(rows: pd.DataFrame) -> FLOAT64:
    """F1 of the classes of each image; 1 where there is none, and none is predicted."""
    pairs = zip(rows["labels"], rows["predicted_labels"], strict=True)
    counts = [(len(set(actual) & set(told)), len(actual), len(told)) for actual, told in pairs]
    hits, actual, claimed = np.array(counts, np.int64).reshape(-1, 3).T
    return f1(hits, actual, claimed, 1.0)


def _stacked(column: pd.Series[Any]) -> NDArray[Any]:
    return np.stack(column.to_list())
