"""The metrics of each kind of task that can be resampled, from the rows of an evaluation alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from sightline.config.metrics import OF_ONE, of_kind, own_metrics
from sightline.config.plugins import implementation
from sightline.data.structures import FLOAT32, LabelMap
from sightline.tasks.metrics.resampling import FLOAT64, Metric, mean_of, ratio_of


def names_of(kind: str, labels: LabelMap) -> list[str]:
    """Return the names that `metrics_of` has for a kind of task and a label map, without any rows."""
    whole, single = of_kind(kind)
    named = {"regression": labels.values, "semantic_segmentation": labels.map_classes}.get(kind, labels.classes)
    return [*whole, *(f"{metric}{OF_ONE}{one}" for one in named for metric in single)]


def value_of(metric: Metric, count: int) -> float:
    """Return a metric of N rows as they are; NaN where there is nothing to measure."""
    return float(metric(np.ones((1, count), np.float32))[0])


def metrics_of(kind: str, rows: pd.DataFrame, labels: LabelMap) -> Mapping[str, Metric]:
    """Return each metric of these rows by name: those of all classes, then `METRIC_of_NAME` of single ones.

    Args:
        kind: of task.
        rows: N rows of a measurement, as in `predictions.parquet`.
        labels: names the classes, values and key points.
    """
    own = {name: implementation(one.function)(rows, labels) for name, one in own_metrics(kind).items()}
    return {**_built_in(kind, rows, labels, own), **own}


def _built_in(  # noqa: C901, PLR0912 - one case per kind
    kind: str, rows: pd.DataFrame, labels: LabelMap, own: Collection[str]
) -> Mapping[str, Metric]:
    # Each kind's module is imported where it is needed: some import torch.
    match kind:
        case "classification":
            from sightline.tasks.metrics import classification

            return classification.metrics_of_rows(rows, labels.classes)
        case "multilabel":
            from sightline.tasks.metrics import multilabel

            return multilabel.metrics_of_rows(rows, labels.classes)
        case "regression":
            from sightline.tasks.metrics import regression

            return regression.metrics_of_rows(rows, labels.values)
        case "detection" | "sliding_window":
            from sightline.tasks.metrics import detection

            return detection.metrics_of_rows(rows, labels.classes)
        case "instance_segmentation":
            from sightline.tasks.metrics import detection

            masks, boxes = (detection.metrics_of_rows(rows, labels.classes, own) for own in ("mask_", "box_"))
            return masks | boxes
        case "semantic_segmentation":
            from sightline.tasks.metrics import segmentation

            return segmentation.metrics_of_rows(rows, labels.map_classes)
        case "keypoints":
            from sightline.tasks.metrics import keypoints

            return keypoints.metrics_of_rows(rows)
        case "text_recognition":
            from sightline.tasks.metrics import text

            return text.metrics_of_rows(rows)
        case "localization":
            columns = {"mean_iou": "score", "class_accuracy": "right_class", "localization_accuracy": "located"}
            return {name: mean_of(rows[column].to_numpy(np.float64)) for name, column in columns.items()}
        case "anomaly":
            from sightline.tasks.metrics import anomaly

            return anomaly.metrics_of_rows(rows, labels.classes)
        case "autoencoder":
            return {name: mean_of(rows[name].to_numpy(np.float64)) for name in ("psnr", "ssim", "mse")}
        case "style_network":
            names = ("loss_reduction", "content_distance", "style_distance")
            return {name: mean_of(rows[name].to_numpy(np.float64)) for name in names}
        case _:  # of another package
            return {name: _mean(rows[name]) for name in of_kind(kind)[0] if name not in own}


def _mean(values: pd.Series[float]) -> Metric:
    known = values.notna()
    return ratio_of(values.fillna(0.0), known)


def whole(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Leave out metrics of single classes, values and key points."""
    return {name: metric for name, metric in metrics.items() if OF_ONE not in name}


def resampled(
    kind: str, rows: pd.DataFrame, counts: FLOAT32, labels: LabelMap, wanted: Collection[str] | None = None
) -> dict[str, FLOAT64]:
    """Return R values of each wanted metric; None wants those of all classes.

    Args:
        kind: of task.
        rows: N rows of a measurement.
        counts: R x N, how often each row is drawn in each resample.
        labels: names the classes, values and key points.
        wanted: names of metrics.
    """
    metrics = metrics_of(kind, rows, labels)
    return {name: metrics[name](counts) for name in (whole(metrics) if wanted is None else wanted)}
