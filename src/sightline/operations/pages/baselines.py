"""Whether a model is better than an answer that does not look at the image: metrics and rows of an evaluation in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sightline.operations.pages.sources import Sources

_NEARLY_NOTHING = 0.05
_RANDOM_ORDER = 0.5
_FROM_NOTHING = ("mAP50", "mAP", "mask_mAP50", "mask_mAP", "box_mAP50", "box_mAP", "pck", "oks_ap", "oks_ap50")


def constant_answer(sources: Sources, metrics: Mapping[str, Any]) -> str:
    """Say that a model is no better than a constant answer, "" if it is better or if this is not known.

    It is no better if the interval of its headline metric reaches what such an answer has. For objects and key points,
    where a constant answer has nearly nothing, the whole interval must be below 0.05.
    """
    own = metrics["headline"]
    name, low, high = own["name"], own.get("low", own["value"]), own.get("high", own["value"])
    if name in _FROM_NOTHING:
        return "next to nothing" if high < _NEARLY_NOTHING else ""
    if name in ("auroc", "pixel_auroc"):
        return "no better than a random order of the images" if low <= _RANDOM_ORDER else ""
    if name == "r2":
        return "no better than always answering the mean" if low <= 0 else ""
    path = sources.evaluation / "predictions.parquet"
    found = _constant(name, pd.read_parquet(path)) if path.is_file() else None
    return f"no better than {found[0]}" if found is not None and low <= found[1] else ""


def _constant(metric: str, rows: pd.DataFrame) -> tuple[str, float] | None:
    """Return an answer that does not look at the image, and its score."""
    if metric == "accuracy" and "label" in rows:
        most = float(rows["label"].value_counts(normalize=True).max())
        return f"always answering the most frequent class, right in {100 * most:.0f} of 100", most
    if metric == "mean_average_precision" and "labels" in rows:
        shares = rows["labels"].explode().dropna().value_counts() / len(rows)
        return "a random order of the images", float(shares.mean()) if len(shares) else 0.0
    if metric == "mIoU" and "actual" in rows:
        pixels = np.stack(rows["actual"].to_list()).sum(0)
        return "giving every pixel the most frequent class", float(pixels.max() / pixels.sum() / (pixels > 0).sum())
    return None
