"""One box against another: overlaps of pairs, and which object of an image is meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_FLOAT64 = NDArray[np.float64]
LEVELS = np.round(np.arange(0, 1.0001, 0.05), 2)  # IoUs at which a curve is reported


def box_areas(boxes: _FLOAT64) -> _FLOAT64:
    """Return N areas of N x 4 xyxy boxes, 0 where an edge is on the wrong side."""
    areas: _FLOAT64 = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    return areas


def paired_overlaps(boxes: _FLOAT64, others: _FLOAT64) -> _FLOAT64:
    """Return N overlaps, intersection over union, of N x 4 xyxy boxes with N others; 0 for empty ones."""
    common = np.concatenate([np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])], 1)
    shared = box_areas(common)
    union = box_areas(boxes) + box_areas(others) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def largest_object(boxes: Sequence[Sequence[float]] | None, crowds: Sequence[bool] | None) -> int | None:
    """Return the place of the largest box of an image, the first of equal ones; None without any.

    Args:
        boxes: N xyxy boxes, or None.
        crowds: N flags of boxes that hold several objects and so are none; may be empty or None.
    """
    if boxes is None or not len(boxes):
        return None
    areas = box_areas(np.asarray([list(box) for box in boxes], np.float64))
    if crowds is not None and len(crowds):
        areas[np.asarray(crowds, bool)] = -1
    place = int(areas.argmax())
    return place if areas[place] >= 0 else None


def overlap_curve(overlaps: _FLOAT64) -> pd.DataFrame:
    """Return the share of images that reach each overlap: the success plot of Wu, Lim and Yang 2013, section 4.2.

    The area below the curve approaches the mean overlap.
    """
    shares = [(overlaps >= level).mean() if len(overlaps) else 0.0 for level in LEVELS]
    return pd.DataFrame({"iou": LEVELS, "share": shares})
