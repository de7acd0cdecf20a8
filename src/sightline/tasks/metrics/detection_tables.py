"""What a reader wants to see of detection: a row per class, curves, and a few words per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sightline.tasks.metrics.average_precision import BOOL, FLOAT64, INT64, RECALLS, ClassMatches, Curves
from sightline.tasks.metrics.counts import f1
from sightline.tasks.metrics.matching import Matches

_AT_50, _AT_75 = 0, 5  # places in OVERLAPS
_TOLD = 4  # classes named in a few words


def per_class(names: Sequence[str], of_classes: Sequence[tuple[ClassMatches, Curves | None]]) -> pd.DataFrame:
    """Return a row per class: true objects, average precisions, and the best F1 at an overlap of 0.5 with its score.

    Empty where a class has no true object.
    """
    rows = []
    for name, (own, curve) in zip(names, of_classes, strict=True):
        row: dict[str, Any] = {"class": name, "objects": int(own.truths.sum()), "images": int((own.truths > 0).sum())}
        if curve is not None:
            averages = curve.average_precision
            row |= {"AP50": averages[_AT_50], "AP": averages.mean(), "AP75": averages[_AT_75]}
            row |= dict(zip(("precision", "recall", "f1", "threshold"), best_f1(own), strict=True))
        rows.append(row)
    columns = ["class", "objects", "images", "AP50", "AP", "AP75", "precision", "recall", "f1", "threshold"]
    return pd.DataFrame(rows, columns=columns)


def best_f1(matches: ClassMatches) -> tuple[float, float, float, float]:
    """Return precision, recall and F1 at an overlap of 0.5, and the least score to be counted, where F1 is best."""
    hits = np.cumsum(matches.found[_AT_50])
    claims = np.cumsum(~matches.ignored[_AT_50])
    total = matches.truths.sum()
    last = np.flatnonzero(np.diff(matches.scores, append=-np.inf))  # equal scores are all counted or none
    at_score = f1(hits[last], total, claims[last])
    if not at_score.any():
        return 0.0, 0.0, 0.0, 1.0  # nothing is found at any score
    best = last[at_score.argmax()]
    return (
        float(hits[best] / max(claims[best], 1)),
        float(hits[best] / total),
        float(at_score.max()),
        float(matches.scores[best]),
    )


def precision_recall(names: Sequence[str], of_classes: Sequence[tuple[ClassMatches, Curves | None]]) -> pd.DataFrame:
    """Return precision over recall at an overlap of 0.5: 101 rows per class, and the least score that reaches it."""
    tables = [
        pd.DataFrame(
            {
                "class": name,
                "recall": RECALLS,
                "precision": curve.level_precision[_AT_50],
                "score": curve.level_scores[_AT_50],
            }
        )
        for name, (_, curve) in zip(names, of_classes, strict=True)
        if curve is not None
    ]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["class", "recall", "precision", "score"])


def f1_of_images(matches: Matches, thresholds: FLOAT64) -> FLOAT64:
    """Return N times F1 at an overlap of 0.5, of the objects with at least their class's threshold.

    It is 1 where there is not an object, and none is predicted.
    """
    counts = matches.truths.shape[1]
    said = _said(matches, thresholds)
    hits = np.bincount(matches.images[said & matches.found[0, _AT_50]], minlength=counts)
    claims = np.bincount(matches.images[said & ~matches.ignored[0, _AT_50]], minlength=counts)
    return f1(hits, matches.truths[0].sum(1), claims, 1.0)


def _said(matches: Matches, thresholds: FLOAT64) -> BOOL:
    """D flags: the score reaches the threshold of the class, 0.5 where that is unknown."""
    said: BOOL = matches.scores >= np.nan_to_num(thresholds, nan=0.5)[matches.labels]
    return said


def told(names: Sequence[str], matches: Matches, thresholds: FLOAT64) -> list[str]:
    """Say for each image which objects are there and which were predicted with at least their class's threshold."""
    said = _said(matches, thresholds)
    counts = np.zeros(matches.truths.shape[1:], np.int64)
    np.add.at(counts, (matches.images[said], matches.labels[said]), 1)
    return [f"{_counted(names, a)} → {_counted(names, b)}" for a, b in zip(matches.truths[0], counts, strict=True)]


def _counted(names: Sequence[str], counts: INT64) -> str:
    most = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    parts = [names[label] if counts[label] == 1 else f"{counts[label]} x {names[label]}" for label in most]
    return (", ".join(parts[:_TOLD]) + (", ..." if len(parts) > _TOLD else "")) or "nothing"
