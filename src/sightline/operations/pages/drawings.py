"""The charts of a model's page: tables of its evaluation and training in, SVG out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sightline.evaluation.report import TABLES, read_table
from sightline.evaluation.report.classes import average_precisions
from sightline.evaluation.report.curves import training_panels
from sightline.evaluation.report.quality import Quality, Worst, quality_of, worst_first
from sightline.evaluation.report.values import distribution
from sightline.operations.pages.charts import Chart, chart, page_style
from sightline.operations.pages.words import number
from sightline.system.words import count_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LESS = 1 - 1e-5  # thresholds are written with six digits, and no score may fall below its threshold


@dataclass(frozen=True)
class _Words:
    """What a table's chart is called, what there is to see, and the columns without which it is not drawn."""

    title: str
    alt: str
    needs: tuple[str, ...]


CHARTS = {
    "near_curve": _Words(
        "Key points by allowed distance", "Share of key points found over the allowed distance", ("fraction", "share")
    ),
    "overlap_curve": _Words("Boxes by overlap", "Share of images over the required overlap", ("iou", "share")),
    "precision_recall": _Words(
        "Precision over recall", "Precision over recall of each class and their mean", ("class", "recall", "precision")
    ),
    "reliability": _Words(
        "Calibration",
        "Accuracy over mean confidence of groups of test images; on the diagonal they are equal",
        ("confidence", "accuracy", "samples"),
    ),
    "scatter": _Words("Predicted over actual values", "Predicted over actual values", ("value", "actual", "predicted")),
    "scores": _Words(
        "Scores of good and defective images",
        "Number of good and of defective test images by their score, with the threshold",
        ("low", "high", "good", "defective"),
    ),
    "roc": _Words(
        "Found over false alarms",
        "Share of defective images found over that of false alarms",
        ("false_alarms", "found"),
    ),
    "per_class": _Words(
        "Scores by class", "A bar for each class, the worst above; the table has the numbers", ("class",)
    ),
    "per_character": _Words(
        "Scores by character", "A bar for each character, the worst above; the table has the numbers", ("character",)
    ),
    "characters": _Words(
        "Characters taken for others", "How often each character is read as each other one", ("actual", "predicted")
    ),
    "per_joint": _Words("Scores by key point", "A bar for each key point; the table has the numbers", ("joint",)),
}
MATRICES = {"confusion": ("actual", "predicted"), "pixels": ("actual",)}


def evaluation_charts(folder: Path, metrics: Mapping[str, Any]) -> list[Chart]:
    """Return the charts of an evaluation's tables, those that it has."""
    found = []
    values = dict(metrics)
    if {"confidence", "interval"} <= set(values):
        alt = "Mean average precision with intervals; the table of metrics has the numbers"
        found.append(_chart("average_precision", "Mean average precision", alt, partial(average_precisions, values)))
    for name, words in CHARTS.items():
        path = folder / f"{name}.csv"
        if not path.is_file() or (name == "reliability" and "calibration_error" not in values):
            continue
        draw, names = TABLES[name]
        table = read_table(path, names)
        if set(words.needs) <= set(table.columns) and not table.empty:
            found.append(_chart(name, words.title, words.alt, partial(draw, table, values)))
    return [one for one in found if one is not None]


def matrix_chart(folder: Path, name: str, metrics: Mapping[str, Any]) -> Chart | None:
    """Return the confusion of many classes as a picture."""
    draw, names = TABLES[name]
    table = read_table(folder / f"{name}.csv", names)
    alt = "How often each class is predicted as each other class, and the most frequent errors"
    return _chart(name, "Confusion", alt, lambda: draw(table, dict(metrics)))


def training_charts(path: Path) -> list[Chart]:
    """Return the curves of a training, one chart each; none where there are none (heads)."""
    needed = {"epoch", "train_loss", "val_loss", "lr"}
    curves = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    if not needed <= set(curves.columns) or curves.empty:
        return []
    with page_style():
        panels = training_panels(curves)
    charts = []
    for place, (title, figure) in enumerate(panels.items()):
        charts.append(chart(f"training-{place}", title.capitalize(), _ends(title, curves), figure))
    return charts


def _ends(title: str, curves: pd.DataFrame) -> str:
    """Tell where a curve begins and ends."""
    name = {"loss": "val_loss", "learning rate": "lr"}.get(
        title, title.replace("validation ", "val_").replace(" ", "_")
    )
    values = curves[name] if name in curves else pd.Series(dtype=float)
    if values.empty:
        return f"{title} over epochs"
    what = "validation loss" if title == "loss" else title
    ends = f"from {number(float(values.iloc[0]))} to {number(float(values.iloc[-1]))}"
    return f"{what} over {count_of(len(curves), 'epoch')}, {ends}"


def judged_samples(folder: Path) -> tuple[pd.DataFrame, Quality, Worst] | None:
    """Return the rows of an evaluation, how good each sample is, and the worst; None if the rows do not say."""
    path = folder / "predictions.parquet"
    if not path.is_file():
        return None
    rows = pd.read_parquet(path)
    if not {"id", "source", "score", "told"} <= set(rows.columns):
        return None
    table = folder / "per_class.csv"
    classes = read_table(table, ("class",)) if table.is_file() else pd.DataFrame()
    thresholds = _LESS * classes["threshold"].to_numpy(np.float64) if "threshold" in classes else None
    quality = quality_of(rows, thresholds)
    return rows, quality, worst_first(rows, quality)


def quality_chart(quality: Quality, worst: Worst) -> Chart | None:
    """Return how many samples are how good."""
    alt = f"Number of test images by {quality.name}"
    return _chart("quality", "Quality of single images", alt, lambda: distribution(quality, worst))


def _chart(name: str, title: str, alt: str, draw: Callable[[], Figure | None]) -> Chart | None:
    with page_style():
        figure = draw()
    if figure is None:
        return None
    return chart(name.replace("_", "-"), title, alt, figure)
