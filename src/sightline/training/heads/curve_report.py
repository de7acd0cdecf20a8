"""`learning_curve.json`: what a head's learning curve and the worth of twice the data are kept as."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.config.heads import Head
from sightline.data.structures import FLOAT32
from sightline.training.features.store import read_table
from sightline.training.heads.doubling import CONFIDENCE, Gain, gain_of_doubling
from sightline.training.heads.fitting import FittedHead
from sightline.training.heads.learning_curve import MOST_LEARNED, MeasuredCurve, measure_curve

_WHAT = (
    "error of this head, fitted on parts of the train split, on train images left out; from it, what twice the train "
    "images (as many more of every class) should gain; the test split is not used"
)
_SEEN = (
    "its features are those of a network that was trained on the same train images, so leaving images out would show "
    "too few errors; a head over other features can tell"
)
_DIGITS = 5


def learning_curve(
    head: Head, layers: Sequence[str], seed: int, features: Path, classes: Sequence[str], fitted: FittedHead, seen: bool
) -> dict[str, Any]:
    """Return the content of `learning_curve.json`.

    Args:
        head: the section.
        layers: whose features are joined.
        seed: of folds, parts, solvers and dropout.
        features: folder of the features; only the train split is read.
        classes: names of the classes.
        fitted: the head, for the settings that were chosen.
        seen: whether the extractor was trained on these images: then there is only a reason.

    Raises:
        UserError: features that are missing or damaged.
    """
    table = read_table(features, "train", layers)
    if seen:
        return {"what": _WHAT, "train_images": len(table.labels), "reason": _SEEN}
    return curve_values(head, fitted.chosen, table.vectors, table.labels, classes, seed)


def curve_values(
    head: Head,
    chosen: dict[str, Any],
    vectors: FLOAT32,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Return the same of N x D features and N class ids; `reason` instead of figures where images are too few."""
    curve = measure_curve(head, chosen, vectors, labels, seed)
    if curve is None:
        reason = "too few train images for a learning curve: a quarter of them needs two of every class on average"
        return {"what": _WHAT, "train_images": len(labels), "reason": reason}
    doubling = gain_of_doubling(curve, len(labels))
    return {
        "what": _WHAT,
        "train_images": len(labels),
        "judged_images": len(curve.labels),
        "most_learned": MOST_LEARNED,
        "confidence": CONFIDENCE,
        "accuracy": round(1 - doubling.error, _DIGITS),
        "twice_the_data": _gain(doubling.overall),
        "curve": _points(curve),
        "classes": [
            {
                "class": classes[one.label],
                "train_images": int((labels == one.label).sum()),
                "judged_images": one.images,
                "recall": round(one.recall, _DIGITS),
                "twice_the_data": _gain(one.gain),
            }
            for one in doubling.classes
        ],
    }


def _gain(gain: Gain) -> dict[str, float]:
    return {
        "gain": round(gain.value, _DIGITS),
        "low": round(gain.low, _DIGITS),
        "high": round(gain.high, _DIGITS),
    }


def _points(curve: MeasuredCurve) -> list[dict[str, float]]:
    """Return the error at each size, with its standard error over images."""
    points = []
    for size, wrong in zip(curve.sizes.tolist(), curve.wrong, strict=True):
        of_images = wrong.mean(0)
        spread = float(of_images.std() / len(of_images) ** 0.5)
        error = float(of_images.mean())
        points.append({"images": round(size), "error": round(error, _DIGITS), "deviation": round(spread, _DIGITS)})
    return points
