"""Compares an exported network with its original on the same images: outputs, predictions and metric.

Two predictions are the same if nobody who acts on them would notice: the same class or set of classes; of objects
with a confidence above 0.5 each has one of its class in the other, with an IoU of at least 0.9; of class maps 99.9 %
of the
pixels agree; sure key points are less than a pixel apart; numbers differ by a thousandth, pictures by a grey level;
texts do not differ.

At most one prediction in a thousand may differ. Few images cannot show that, so a network is refused only where so many
mismatches would be rare (less than 1 %) if one in a thousand were the truth, and never for a single one: 2 are allowed
of 250 images, 4 of 1,000, 18 of 10,000. Those few are left out of the comparison of the headline metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import binom

from sightline.data import rectangles
from sightline.data.images import Placement
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.tasks.base import Measurement, Task
from sightline.tasks.metrics.by_kind import metrics_of, value_of
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.sight import Pixels, Run, of_whole_images

HEADLINE_TOLERANCE = 1e-3
MOST_DIFFERENT, RARE = 1e-3, 0.01
_SAME_PIXELS = 0.999
_SURE, _NEARLY_SURE, _OVERLAP = 0.5, 0.49, 0.9
_SAME_PLACE = 0.01  # pixels between the edges of equal boxes
_MOST = 1e30  # what a difference from not-a-number counts, as JSON has no infinity

Batch = tuple[Pixels, Sequence[Placement]]
Compared = Callable[[Task, Sequence[Run], Pixels, Sequence[Placement]], list[list[Prediction]]]  # `Sight.compared`


def compare_engines(
    task: Task,
    onnx: OnnxNetwork,
    batches: Iterable[Batch],
    truth: pd.DataFrame,
    bins: int,
    measured: Measurement,
    compared: Compared = of_whole_images,
) -> dict[str, Any]:
    """Run both networks over the same images, batch by batch, and return how much they differ.

    Args:
        task: with the original network, on the CPU.
        onnx: the exported one.
        batches: all images in the order of `truth`, as pixels and placements.
        truth: as `Task.measure` takes it.
        bins: of calibration.
        measured: the original's measurement on the same images.
        compared: runs both networks in turn on the same pixels, and makes predictions of what they say.

    Returns:
        Plain values: `headline` of the exported network, `headline_difference`, `largest_output_difference`, `same`
        (share of samples with the same prediction), and `agrees`: no more differ than `allowed_mismatches`, and the
        headlines differ by at most 1e-3 (of their value, where that is more than 1) on all samples, or on those with
        the same prediction.
    """
    largest = 0.0
    same: list[bool] = []

    said: Any = None

    def ours(pixels: UINT8) -> Any:
        nonlocal said
        said = task(torch.from_numpy(pixels))
        return said

    def theirs(pixels: UINT8) -> Any:
        nonlocal largest
        outputs = onnx(pixels)
        largest = max(largest, output_difference(said, outputs))
        return outputs

    def predictions() -> Iterator[Prediction]:
        for pixels, placements in batches:
            with torch.inference_mode():
                pairs = compared(task, [ours, theirs], pixels, placements)
            same.extend(is_same(one, other) for one, other in pairs)
            yield from (exported for _, exported in pairs)

    again = task.measure(predictions(), truth, bins)
    headline, original = (headline_value(task, own, measured.headline) for own in (again, measured))
    headline = (
        headline if np.isfinite(headline) else 0.0
    )  # precision of a class that the exported network never predicts
    difference = abs(headline - original)
    few = same.count(False) <= allowed_mismatches(len(same))
    rest = difference if all(same) or not few else _difference(task, measured, again, same)
    tolerance = HEADLINE_TOLERANCE * max(1.0, abs(original))
    return {
        "headline": headline,
        "headline_difference": difference,
        "largest_output_difference": largest,
        "same": float(np.mean(same)),
        "agrees": bool(few and min(difference, rest) <= tolerance),
    }


def allowed_mismatches(samples: int) -> int:
    """Return how many of the samples may have another prediction, as this module's first lines define it."""
    return max(1, int(binom.ppf(1 - RARE, samples, MOST_DIFFERENT)))


def headline_value(task: Task, measured: Measurement, metric: str) -> float:
    """Return a metric of a measurement, as the task gives it or else from the rows; NaN where nothing is measured."""
    if metric in measured.values:
        return float(measured.values[metric])
    return value_of(metrics_of(task.kind, measured.rows, task.labels)[metric], len(measured.rows))


def _difference(task: Task, one: Measurement, other: Measurement, chosen: Sequence[bool]) -> float:
    """Return by how much the headline metrics differ on the chosen samples; infinity where they cannot be measured."""
    counts = np.array([chosen], np.float32)
    pair = [metrics_of(task.kind, own.rows, task.labels)[one.headline](counts)[0] for own in (one, other)]
    difference = abs(float(pair[0] - pair[1]))
    return difference if np.isfinite(difference) else float("inf")


def output_difference(ours: Any, theirs: Any) -> float:
    """Return the largest absolute difference of raw outputs: tensors, or tensors by name."""
    if isinstance(ours, Mapping):
        return max(output_difference(ours[name], theirs[name]) for name in ours)
    apart = torch.where(ours == theirs, 0.0, (ours.float() - theirs.float()).abs())
    return float(apart.nan_to_num(_MOST, _MOST).clamp(max=_MOST).max()) if apart.numel() else 0.0


def is_same(one: Prediction, other: Prediction) -> bool:
    """Return whether two predictions for an image are the same, as this module's first lines define it."""
    if one.label != other.label or set(one.labels or []) != set(other.labels or []):
        return False
    if one.text != other.text or not _same_crop(one, other):
        return False
    if one.values is not None and not np.allclose(one.values, other.values, rtol=1e-3, atol=1e-3):  # type: ignore[arg-type]
        return False
    if one.semantic is not None and np.mean(one.semantic == other.semantic) < _SAME_PIXELS:
        return False
    if one.image is not None and np.abs(one.image.astype(np.int16) - other.image).mean() > 1:  # type: ignore[operator]
        return False
    if not _same_heat(one, other):
        return False
    if one.pictures is not None and not _same_pictures(one.pictures, other.pictures or {}):
        return False
    if one.boxes is not None:
        return _has_counterparts(one, other) and _has_counterparts(other, one)
    return one.keypoints is None or _same_points(one.keypoints, other.keypoints)


def _same_crop(one: Prediction, other: Prediction) -> bool:
    """Return whether two predictions were made from the same part of the image, but for a pixel."""
    if one.crop is None or other.crop is None:
        return one.crop is other.crop
    return bool(np.abs(np.subtract(one.crop.region, other.crop.region)).max() <= 1)


def _same_heat(one: Prediction, other: Prediction) -> bool:
    """Return whether two predictions call the same image, and nearly the same pixels, defective."""
    if one.anomaly is not None and (one.anomaly > 1) != (other.anomaly > 1):  # type: ignore[operator]
        return False
    return one.heat is None or bool(np.mean((one.heat > 1) == (other.heat > 1)) >= _SAME_PIXELS)  # type: ignore[operator]


def _same_pictures(one: Mapping[str, UINT8], other: Mapping[str, UINT8]) -> bool:
    """Return whether pictures have the same names, and differ by at most a grey level in the mean."""
    if list(one) != list(other):
        return False
    return all(np.abs(own.astype(np.int16) - other[name]).mean() <= 1 for name, own in one.items())


def _has_counterparts(one: Prediction, other: Prediction) -> bool:
    """Return whether each sure object of one is found in the other."""
    if one.box_scores is None or one.box_labels is None:  # a single box next to its class
        return bool(np.all(np.diag(_overlaps(one, other)) >= _OVERLAP))
    sure, nearly = np.asarray(one.box_scores) >= _SURE, np.asarray(other.box_scores) >= _NEARLY_SURE
    alike = np.equal.outer(np.asarray(one.box_labels), np.asarray(other.box_labels))
    found = alike & nearly[None] & (_overlaps(one, other) >= _OVERLAP)
    return bool(found.any(1)[sure].all())


def _overlaps(one: Prediction, other: Prediction) -> FLOAT32:
    if one.corners is not None and other.corners is not None:
        return rectangles.overlaps(one.corners, other.corners).astype(np.float32)
    from torchvision.ops import box_iou  # seconds of imports that only boxes need

    ours, theirs = (torch.from_numpy(np.asarray(own.boxes, np.float32)) for own in (one, other))
    apart = torch.cdist(ours, theirs, p=torch.inf)  # boxes without an area overlap nothing, not even themselves
    overlaps: FLOAT32 = torch.where(apart < _SAME_PLACE, 1.0, box_iou(ours, theirs).nan_to_num(0.0)).numpy()
    return overlaps


def _same_points(one: FLOAT32, other: FLOAT32 | None) -> bool:
    if other is None or one.shape != other.shape:
        return False
    sure = (one[..., 2] >= _SURE) | (other[..., 2] >= _SURE)
    apart: FLOAT32 = np.abs(one[..., :2] - other[..., :2]).max(-1)
    return not bool((sure & (apart >= 1)).any())
