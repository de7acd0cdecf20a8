"""Key points against the true ones: shares of near ones, distances, and COCO's similarity of whole poses.

Points are N x K x 3: x, y in pixels and visibility (0 absent, 1 hidden, 2 visible); hidden ones count, absent ones do
not. N is the number of images, each with one person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.tasks.metrics.average_precision import ClassMatches, ResampledClass, mean_of_classes
from sightline.tasks.metrics.boxes import box_areas
from sightline.tasks.metrics.matching import OVERLAPS
from sightline.tasks.metrics.resampling import Metric, ratio_of

_BOOL = NDArray[np.bool_]
_FLOAT64 = NDArray[np.float64]
NEAR = 0.2  # of the reference length
FRACTIONS = np.round(np.arange(0, 0.5001, 0.02), 2)  # shares of the reference length at which a curve is reported
_TORSOS = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
# COCO's k / 2 (pycocotools, Params.setKpParams), nose to ankles, and what other points get: their mean.
_COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
_OTHER_SIGMA = 0.067
_FILLED = 0.53  # area of a person as a share of its box, where it is not known (as in xtcocotools)


def reference_lengths(points: _FLOAT64, boxes: _FLOAT64, names: Sequence[str]) -> _FLOAT64:
    """Return N lengths in pixels by which distances are judged.

    It is the torso, from the left shoulder to the right hip (Sapp and Taskar 2013), or the other diagonal where one of
    these is absent; where no torso is known, the larger side of the person's box (Yang and Ramanan 2013).

    Args:
        points: N x K x 3 true ones.
        boxes: N x 4 xyxy.
        names: of the K points.
    """
    lengths: _FLOAT64 = (boxes[:, 2:] - boxes[:, :2]).max(1)
    for first, second in reversed(_TORSOS):
        if first in names and second in names:
            ends = points[:, [names.index(first), names.index(second)]]
            known = (ends[..., 2] > 0).all(1)
            torso = np.hypot(*(ends[:, 0, :2] - ends[:, 1, :2]).T)
            lengths = np.where(known, torso, lengths)
    return lengths


def distances(points: _FLOAT64, predicted: _FLOAT64) -> _FLOAT64:
    """Return N x K distances in pixels between true and predicted points, NaN where a point is absent."""
    apart: _FLOAT64 = np.hypot(*np.moveaxis(points[..., :2] - predicted[..., :2], -1, 0))
    return np.where(points[..., 2] > 0, apart, np.nan)


def near_points(apart: _FLOAT64, lengths: _FLOAT64, fraction: float = NEAR) -> _BOOL:
    """Return N x K: the point is within `fraction` of its image's reference length (PCK, Yang and Ramanan 2013)."""
    near: _BOOL = apart <= fraction * lengths[:, None]  # NaN is not
    return near


def similarities(apart: _FLOAT64, boxes: _FLOAT64, areas: Sequence[float | None]) -> _FLOAT64:
    """Return COCO's object key point similarity of N persons, 0..1; 0 without any point.

    The mean over labelled points of exp(-d^2 / (2 s^2 k^2)), with s^2 the person's area and k twice the deviation of
    people who mark such a point.

    Args:
        apart: N x K distances, NaN where a point is absent.
        boxes: N x 4 xyxy.
        areas: N areas in pixels; where None, a share of the box.
    """
    sigmas = _COCO_SIGMAS if apart.shape[1] == len(_COCO_SIGMAS) else np.full(apart.shape[1], _OTHER_SIGMA)
    filled = _FILLED * box_areas(boxes)
    square = np.array([rest if own is None else own for own, rest in zip(areas, filled, strict=True)], np.float64)
    scale = 2 * (np.maximum(square, np.spacing(1))[:, None] * (2 * sigmas) ** 2)
    alike = np.where(np.isnan(apart), 0.0, np.exp(-(np.nan_to_num(apart) ** 2) / scale))
    means: _FLOAT64 = alike.sum(1) / np.maximum((~np.isnan(apart)).sum(1), 1)
    return means


def pose_matches(similarity: _FLOAT64, sureness: _FLOAT64, labelled: _BOOL) -> ClassMatches:
    """Return whether each pose is found at each of `OVERLAPS`, for average precision over poses.

    Args:
        similarity: N.
        sureness: N, by which poses are ordered.
        labelled: N; images without a labelled person do not count.
    """
    images = np.flatnonzero(labelled)
    images = images[np.argsort(-sureness[images], kind="stable")]
    found = similarity[images] >= np.asarray(OVERLAPS)[:, None]
    return ClassMatches(images, sureness[images], found, np.zeros_like(found), labelled.astype(np.int64))


def matches_of(rows: pd.DataFrame) -> ClassMatches:
    """Return the matches of `pose_matches` from the columns similarity, confidence and points of N rows."""
    similarity, sureness, points = (rows[name].to_numpy(np.float64) for name in ("similarity", "confidence", "points"))
    return pose_matches(similarity, sureness, points > 0)


def metrics_of_rows(rows: pd.DataFrame) -> dict[str, Metric]:
    """Return PCK, mean distance and average precision over poses under resampling.

    Args:
        rows: the columns points, near, error, similarity and confidence.
    """
    matches = matches_of(rows)
    return {
        "pck": ratio_of(rows["near"], rows["points"], 0.0),
        "mean_error": ratio_of(rows["error"], rows["points"], 0.0),
        "oks_ap": mean_of_classes([ResampledClass(matches, range(len(OVERLAPS)))]),
        "oks_ap50": mean_of_classes([ResampledClass(matches, (0,))]),
    }


def near_curve(apart: _FLOAT64, lengths: _FLOAT64) -> pd.DataFrame:
    """Return the share of labelled points within each fraction of the reference length."""
    count = max(1, int((~np.isnan(apart)).sum()))
    return pd.DataFrame(
        {"fraction": FRACTIONS, "share": [near_points(apart, lengths, own).sum() / count for own in FRACTIONS]}
    )


def per_joint(names: Sequence[str], apart: _FLOAT64, near: _BOOL) -> pd.DataFrame:
    """Return for each point how often it is labelled, the share of near ones, and the mean distance in pixels."""
    counts = (~np.isnan(apart)).sum(0)
    return pd.DataFrame(
        {
            "joint": list(names),
            "points": counts,
            "pck": near.sum(0) / np.maximum(counts, 1),
            "mean_error": np.nansum(apart, 0) / np.maximum(counts, 1),
        }
    )
