"""How well defects are found: areas under the ROC of images and of pixels, and the overlap with single defects.

Scores are in units of the threshold. Those of pixels are rounded to 512 levels, a 64th of a doubling apart, so an
image is kept as counts of pixels per level, and every metric can be computed for any part of the images:

    pixel AUROC     chance that a defective pixel has a higher score than a good one; equal ones count half
    PRO             mean over defects of the share of their pixels above a level, as a function of the share of good
                    pixels above it, its area up to a share of 0.3, divided by that (P. Bergmann et al. 2020, Uninformed
                    Students, section 4.1). A defect is a connected region, corners included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, IGNORED, UINT8
from sightline.tasks.metrics.resampling import FLOAT64, Metric, divided, indicator, ratio_of

LEVELS = 512
_PER_DOUBLING = 64
_MOST_FALSE = 0.3  # share of good pixels up to which PRO is integrated
_BARS = 40  # of the table of scores


@dataclass(frozen=True)
class Seen:
    """What was said of an image, and what is true of it.

    Attributes:
        label: class id.
        score: of the image, 1 at the threshold.
        heat: H x W, of its pixels.
        mask: H x W ids, None if not known; 255 does not count.
        good_pixel: the id in the mask that is no defect.
    """

    label: int
    score: float
    heat: FLOAT32
    mask: UINT8 | None
    good_pixel: int


def levels_of(scores: FLOAT32) -> NDArray[np.int64]:
    """Return the level of each score, 0 to 511; those of the threshold are 256."""
    exact = np.log2(np.maximum(scores, 1e-9)) * _PER_DOUBLING + LEVELS // 2
    levels: NDArray[np.int64] = np.rint(exact).clip(0, LEVELS - 1).astype(np.int64)
    return levels


def pixels_of(seen: Seen) -> dict[str, NDArray[Any]]:
    """Return for each level the good pixels, the defective ones, and the sum over defects of their share of pixels."""
    good, defects = (np.zeros(LEVELS, np.int64) for _ in range(2))
    regions = np.zeros(LEVELS)
    if seen.mask is not None:
        levels = levels_of(seen.heat)
        defective = (seen.mask != IGNORED) & (seen.mask != seen.good_pixel)
        good = np.bincount(levels[seen.mask == seen.good_pixel], minlength=LEVELS)
        defects = np.bincount(levels[defective], minlength=LEVELS)
        count, numbered = cv2.connectedComponents(defective.astype(np.uint8), connectivity=8)
        places = numbered[defective].astype(np.int64) * LEVELS + levels[defective]
        each = np.bincount(places, minlength=count * LEVELS).reshape(count, LEVELS)[1:]
        regions = (each / np.maximum(each.sum(1, keepdims=True), 1)).sum(0)
    return {"pixels_good": good, "pixels_defective": defects, "defects": regions}


def measurement(
    images: Iterable[Seen], known: pd.DataFrame, classes: Sequence[str], good: int
) -> tuple[str, dict[str, Any], pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return headline, values, rows and tables of a `Measurement`.

    Args:
        images: N.
        known: N rows of id and source.
        classes: names.
        good: id of the class without a defect.
    """
    labels, scores, pixels = list[int](), list[float](), list[dict[str, NDArray[Any]]]()
    for seen in images:  # one by one: heat maps of all could fill the memory
        labels.append(seen.label)
        scores.append(seen.score)
        pixels.append(pixels_of(seen))
    label, score = np.array(labels, np.int64), np.array(scores, np.float64)
    anomalous, flagged = label != good, score > 1
    columns = {
        "told": [_told(classes[own], value) for own, value in zip(labels, scores, strict=True)],
        "score": np.where(anomalous, score - 1, 1 - score),
        "class_id": label,
        "anomalous": anomalous,
        "anomaly_score": score,
        "flagged": flagged,
        **{name: [own[name] for own in pixels] for name in ("pixels_good", "pixels_defective", "defects")},
    }
    rows = pd.concat([known.reset_index(drop=True), pd.DataFrame(columns)], axis=1)
    found = metrics_of_rows(rows, classes)
    once = np.ones((1, len(rows)), np.float32)
    measured = {name: float(metric(once)[0]) for name, metric in found.items()}
    values = {name: measured[name] for name in ("auroc", "pixel_auroc", "pro", "false_alarms", "missed")}
    per_class = pd.DataFrame(
        {
            "class": list(classes),
            "samples": np.bincount(label, minlength=len(classes)),
            "recall": [measured[f"recall_of_{name}"] for name in classes],
            "auroc": [measured[f"auroc_of_{name}"] for name in classes],
        }
    )
    tables = {"per_class": per_class, "scores": _score_table(score, anomalous), "roc": _roc(score, anomalous)}
    return "auroc", {name: value for name, value in values.items() if np.isfinite(value)}, rows, tables


def metrics_of_rows(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Metric]:
    """Return AUROC of images and pixels, PRO, false alarms and misses under resampling, and each class's figures.

    AUROC of a class is that of its images against the good ones, recall the share of its images that are judged right.

    Args:
        rows: the columns class_id, anomalous, anomaly_score, flagged, pixels_good, pixels_defective, defects.
        classes: names of the classes.
    """
    anomalous, flagged = (rows[name].to_numpy(bool) for name in ("anomalous", "flagged"))
    label, score = rows["class_id"].to_numpy(np.int64), rows["anomaly_score"].to_numpy(np.float64)
    good, defective, defects = (
        np.stack([np.asarray(own, np.float64) for own in rows[name]])
        for name in ("pixels_good", "pixels_defective", "defects")
    )

    def pixel_auroc(counts: FLOAT32) -> FLOAT64:
        drawn = counts.astype(np.float64)
        return area(drawn @ defective, drawn @ good)

    def pro(counts: FLOAT32) -> FLOAT64:
        drawn = counts.astype(np.float64)
        return overlap_area(drawn @ defects, drawn @ good)

    right = flagged == anomalous
    metrics: dict[str, Metric] = {
        "auroc": _image_auroc(score, anomalous, ~anomalous),
        "pixel_auroc": pixel_auroc,
        "pro": pro,
        "false_alarms": ratio_of(flagged & ~anomalous, ~anomalous),
        "missed": ratio_of(~flagged & anomalous, anomalous),
    }
    for number, name in enumerate(classes):
        own = label == number
        metrics[f"auroc_of_{name}"] = _image_auroc(score, own & anomalous, ~anomalous)
        metrics[f"recall_of_{name}"] = ratio_of(right & own, own)
    return metrics


def area(positive: FLOAT64, negative: FLOAT64) -> FLOAT64:
    """Return the area under the ROC from R x L weights of positives and negatives at rising levels; NaN without either.

    It is the chance that a positive is above a negative, equal ones counting half (Hanley and McNeil 1982).
    """
    below = np.cumsum(negative, 1) - negative / 2
    return divided((positive * below).sum(1), positive.sum(1) * negative.sum(1), np.nan)


def overlap_area(defects: FLOAT64, good: FLOAT64) -> FLOAT64:
    """Return PRO from R x L shares of defects and numbers of good pixels at rising levels; NaN without either."""
    found, false = (_above(weights) for weights in (defects, good))
    left, right = false[:, :-1], false[:, 1:]
    step = np.maximum(right - left, 1e-300)
    inside = np.clip((_MOST_FALSE - left) / step, 0, 1)  # share of a step that is below the limit
    end = found[:, :-1] + inside * (found[:, 1:] - found[:, :-1])
    areas = (found[:, :-1] + end) / 2 * inside * (right - left)
    total: FLOAT64 = areas.sum(1) / _MOST_FALSE
    return total


def _above(weights: FLOAT64) -> FLOAT64:
    """Return the share of R x L weights above each level, from none to all, R x (L + 1); NaN where there are none."""
    sums = np.cumsum(weights[:, ::-1], 1)
    shares = divided(sums, np.broadcast_to(sums[:, -1:], sums.shape), np.nan)
    return np.concatenate([np.where(np.isnan(shares[:, :1]), np.nan, 0.0), shares], axis=1)


def _image_auroc(score: FLOAT64, positive: NDArray[np.bool_], negative: NDArray[np.bool_]) -> Metric:
    values, group = np.unique(score, return_inverse=True)
    positives, negatives = (indicator(group, len(values), own) for own in (positive, negative))

    def auroc(counts: FLOAT32) -> FLOAT64:
        drawn = counts.astype(np.float64)
        return area(drawn @ positives, drawn @ negatives)

    return auroc


def _told(name: str, score: float) -> str:
    return f"{name} → {'defective' if score > 1 else 'good'}, {score:.2f}"


def _score_table(score: FLOAT64, anomalous: NDArray[np.bool_]) -> pd.DataFrame:
    """Count images by their score."""
    edges = np.linspace(min(score.min(), 1.0), max(score.max(), 1.0) + 1e-9, _BARS + 1)
    counts = {
        name: np.histogram(score[own], edges)[0] for name, own in (("good", ~anomalous), ("defective", anomalous))
    }
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], **counts})


def _roc(score: FLOAT64, anomalous: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the share of defective images above each score over that of good ones."""
    values, group = np.unique(-score, return_inverse=True)
    shares = [
        np.cumsum(np.bincount(group, own.astype(np.float64), len(values))) / max(own.sum(), 1)
        for own in (~anomalous, anomalous)
    ]
    return pd.DataFrame(
        {
            "score": np.concatenate([[np.inf], -values]),
            "false_alarms": np.concatenate([[0.0], shares[0]]),
            "found": np.concatenate([[0.0], shares[1]]),
        }
    )
