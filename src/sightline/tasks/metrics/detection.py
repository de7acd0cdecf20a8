"""How good predicted objects are, boxes or masks: COCO's metrics, precision-recall curves, and what intervals need.

mAP50 is the mean over classes of average precision where an overlap of 0.5 is enough, mAP the mean over the overlaps
0.5, 0.55, ..., 0.95 as well (Lin et al. 2014, and its pycocotools).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pycocotools import mask as coco_masks

from sightline.data.rectangles import upright_corners
from sightline.data.structures import FLOAT32, Prediction
from sightline.tasks.metrics.average_precision import (
    BOOL,
    FLOAT64,
    INT64,
    ClassMatches,
    Curves,
    ResampledClass,
    curves,
    mean_of_classes,
    of_class,
)
from sightline.tasks.metrics.detection_tables import f1_of_images, per_class, precision_recall, told
from sightline.tasks.metrics.matching import OVERLAPS, SIZES, Matches, Shapes, Truth, areas_of, joined, match
from sightline.tasks.metrics.resampling import Metric

Shape = Literal["boxes", "corners", "instances"]
_AT_50, _AT_75 = 0, 5  # places in OVERLAPS
_BITS = 1 << np.arange(len(OVERLAPS))


def measure(
    predictions: Iterable[Prediction], truth: pd.DataFrame, names: Sequence[str], shapes: dict[str, Shape]
) -> tuple[dict[str, float], pd.DataFrame, dict[str, pd.DataFrame]]:
    """Compare predicted objects with the true ones.

    Args:
        predictions: one per row of `truth`, in its order.
        truth: the columns id, source and those of `truths_of`.
        names: of the K classes.
        shapes: what is compared, boxes, corners or instances, each by the prefix that its metrics get; words, the rows'
            `score` and curves are of the first.

    Returns:
        Metrics by name; rows with id, source, told, score and the columns that `metrics_of_rows` needs; the tables
        per_class and precision_recall.
    """
    truths = {prefix: truths_of(truth, shape) for prefix, shape in shapes.items()}
    single: dict[str, list[Matches]] = {prefix: [] for prefix in shapes}
    for place, said in enumerate(predictions):
        for prefix, shape in shapes.items():
            single[prefix].append(_matched(said, shape, truths[prefix][place], len(names)))
    values: dict[str, float] = {}
    columns: dict[str, Any] = {}
    tables: list[pd.DataFrame] = []
    for prefix, ones in single.items():
        matches = joined(ones)
        own, of_classes = summary(matches)
        table = per_class(names, of_classes)
        if not tables:
            thresholds = table["threshold"].to_numpy(float)
            columns = {"told": told(names, matches, thresholds), "score": f1_of_images(matches, thresholds)}
            curve = precision_recall(names, of_classes)
        values |= {prefix + name: value for name, value in own.items()}
        columns |= match_columns(matches, prefix)
        tables.append(table if not tables else table[["AP50", "AP", "AP75"]].add_prefix(prefix))
    rows = pd.DataFrame({"id": truth["id"], "source": truth["source"], **columns})
    return values, rows, {"per_class": pd.concat(tables, axis=1), "precision_recall": curve}


def _matched(said: Prediction, shape: Shape, truth: Truth, classes: int) -> Matches:
    assert said.boxes is not None
    assert said.box_labels is not None
    assert said.box_scores is not None
    own: Shapes = said.instances or []
    if shape != "instances":
        whole = said.boxes if shape == "boxes" else said.corners
        assert whole is not None
        own = whole
    return match(own, said.box_labels, said.box_scores, truth, classes)


def truths_of(truth: pd.DataFrame, shapes: Shape) -> list[Truth]:
    """Return each image's true objects.

    Args:
        truth: the columns box_labels, boxes and, where they are known, corners, instances, area, iscrowd and difficult.
        shapes: the column to compare with, boxes, corners or instances.
    """
    columns = [
        truth[name] if name in truth else [None] * len(truth)
        for name in ("box_labels", "boxes", shapes, "area", "iscrowd", "difficult")
    ]
    return [_truth(shapes, *own) for own in zip(*columns, strict=True)]


def _truth(kind: Shape, labels: Any, boxes: Any, shapes: Any, area: Any, crowds: Any, difficult: Any) -> Truth:
    label_of = np.asarray(_listed(labels), np.int64)
    corners = np.array([list(box) for box in _listed(boxes)], np.float32).reshape(-1, 4)
    areas = np.asarray(_listed(area), np.float64)
    flags = [np.asarray(_listed(values), bool) for values in (crowds, difficult)]
    crowd, hard = (values if len(values) else np.zeros(len(label_of), bool) for values in flags)
    own: Shapes = corners
    if kind == "corners":
        own = upright_corners(corners) if shapes is None else _stacked(shapes)
    if kind == "instances":
        own, crowd = _with_boxes(_listed(shapes), corners, crowd)
    return Truth(own, label_of, areas if len(areas) else areas_of(own), crowd, hard)


def _with_boxes(own: list[Any], corners: FLOAT32, crowd: BOOL) -> tuple[list[Any], BOOL]:
    """Return masks with the box of an object that has nothing else; masks found in it are neither right nor wrong."""
    unknown = np.array([not coco_masks.area(mask) for mask in own], bool)
    filled = list(own)
    for place in np.flatnonzero(unknown):
        left, top, right, bottom = corners[place].tolist()
        height, width = own[place]["size"]
        box = np.array([[left, top, right - left, bottom - top]], np.float64)
        filled[place] = coco_masks.frPyObjects(box, height, width)[0]
    return filled, crowd | unknown


def _stacked(shapes: Any) -> FLOAT32:
    """Return N x 4 x 2 corners as an array; those of a table are nested lists or arrays of arrays."""
    return np.array([[list(point) for point in shape] for shape in shapes], np.float32).reshape(-1, 4, 2)


def _listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def summary(matches: Matches) -> tuple[dict[str, float], list[tuple[ClassMatches, Curves | None]]]:
    """Return COCO's metrics in 0..1, and the curves of each class.

    Metrics are mAP, mAP50, mAP75, mAP of small, medium and large objects (where there are some; the limits are 32 x 32
    and 96 x 96 pixels of the original), and mAR, the mean recall of at most 100 predictions per image and class.
    """
    of_classes = _curves(matches, 0)
    known = [own for _, own in of_classes if own is not None]
    averages = np.array([own.average_precision for own in known]).reshape(-1, len(OVERLAPS))
    recalls = np.array([own.recall[:, -1] if own.recall.size else np.zeros(len(OVERLAPS)) for own in known])
    values = {
        "mAP50": _mean(averages[:, _AT_50]),
        "mAP": _mean(averages),
        "mAP75": _mean(averages[:, _AT_75]),
    }
    for size, name in enumerate(SIZES[1:], start=1):
        sized = [own.average_precision for _, own in _curves(matches, size) if own is not None]
        if sized:
            values[f"mAP_{name}"] = _mean(np.array(sized))
    return values | {"mAR": _mean(recalls)}, of_classes


def _curves(matches: Matches, size: int) -> list[tuple[ClassMatches, Curves | None]]:
    chosen = [of_class(matches, size, label) for label in range(matches.truths.shape[2])]
    return [(own, curves(own)) for own in chosen]


def match_columns(matches: Matches, prefix: str = "") -> dict[str, list[Any]]:
    """Return the matches of objects of all sizes as columns, a row per image, from which `metrics_of_rows` takes them.

    `object_labels` and `object_scores` list an image's predictions, highest score first; in `found` and `ignored` the
    bits
    0..9 of each prediction's number are for the IoUs 0.5..0.95; `truths` counts the true objects of each class.
    """
    ends = np.cumsum(np.bincount(matches.images, minlength=matches.truths.shape[1]))[:-1]
    columns = {
        "object_labels": matches.labels.astype(np.int32),
        "object_scores": matches.scores.astype(np.float32),
        "found": (matches.found[0].T @ _BITS).astype(np.int16),
        "ignored": (matches.ignored[0].T @ _BITS).astype(np.int16),
    }
    listed: dict[str, list[Any]] = {prefix + name: np.split(values, ends) for name, values in columns.items()}
    return listed | {f"{prefix}truths": list(matches.truths[0].astype(np.int32))}


def metrics_of_rows(rows: pd.DataFrame, names: Sequence[str], prefix: str = "") -> dict[str, Metric]:
    """Return mAP50 and mAP under resampling, and AP50 and AP of each class.

    Args:
        rows: the columns of `match_columns`.
        names: of the K classes.
        prefix: of the columns, which the metrics get too.
    """
    matches = _matches_of(rows, prefix)
    classes = [of_class(matches, 0, label) for label in range(len(names))]
    every = range(len(OVERLAPS))
    at_50, averaged = ([ResampledClass(own, overlaps) for own in classes] for overlaps in ((_AT_50,), every))
    metrics = {f"{prefix}mAP50": mean_of_classes(at_50), f"{prefix}mAP": mean_of_classes(averaged)}
    for place, name in enumerate(names):
        metrics |= {f"{prefix}AP50_of_{name}": at_50[place], f"{prefix}AP_of_{name}": averaged[place]}
    return metrics


def _matches_of(rows: pd.DataFrame, prefix: str) -> Matches:
    images = np.repeat(np.arange(len(rows)), [len(own) for own in rows[f"{prefix}object_labels"]])
    names = ("object_labels", "object_scores", "found", "ignored")
    labels, scores, found, ignored = (np.concatenate(rows[prefix + name].to_list()) for name in names)
    return Matches(
        images,
        labels.astype(np.int64),
        scores.astype(np.float64),
        _unpacked(found),
        _unpacked(ignored),
        np.stack(rows[f"{prefix}truths"].to_list())[None].astype(np.int64),
    )


def _unpacked(bits: INT64) -> BOOL:
    """D numbers -> 1 x T x D flags."""
    flags: BOOL = (bits.astype(np.int64) & _BITS[:, None]).astype(bool)[None]
    return flags


def _mean(values: FLOAT64) -> float:
    return float(values.mean()) if values.size else 0.0
