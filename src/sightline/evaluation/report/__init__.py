"""Pictures of a training and an evaluation, as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sightline.evaluation.report.classes import average_precisions, class_bars
from sightline.evaluation.report.curves import near_curve, overlap_curve, precision_recall, reliability, training_curves
from sightline.evaluation.report.figures import save_figure
from sightline.evaluation.report.matrices import characters, confusion, pixels
from sightline.evaluation.report.quality import quality_of, worst_first
from sightline.evaluation.report.samples import Predict, samples_page
from sightline.evaluation.report.scores import roc, score_histogram
from sightline.evaluation.report.styles import styles_page
from sightline.evaluation.report.values import distribution, scatter
from sightline.system.files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_evaluation"]

Drawing = Callable[[pd.DataFrame, dict[str, Any]], "Figure | None"]
# The tables that are drawn, each as a picture of its name, and their columns of names.
TABLES: dict[str, tuple[Drawing, tuple[str, ...]]] = {
    "characters": (characters, ("actual", "predicted")),
    "confusion": (confusion, ("actual", "predicted")),
    "near_curve": (near_curve, ()),
    "overlap_curve": (overlap_curve, ()),
    "per_character": (class_bars, ("character",)),
    "per_class": (class_bars, ("class",)),
    "per_joint": (class_bars, ("joint",)),
    "pixels": (pixels, ("actual",)),
    "precision_recall": (precision_recall, ("class",)),
    "reliability": (reliability, ()),
    "roc": (roc, ()),
    "scatter": (scatter, ("value",)),
    "scores": (score_histogram, ()),
}
_LESS = 1 - 1e-5  # thresholds are written with six digits, and no score may fall below its threshold


def draw_evaluation(
    folder: Path, prepared: Path, curves: pd.DataFrame | None, predict: Predict, styles: tuple[str, ...] = ()
) -> None:
    """Draw what there is to see of a model as well as the tables of its evaluation.

    Args:
        folder: holds metrics.json, predictions.parquet and the tables.
        prepared: folder of the data set it was evaluated on.
        curves: of its training, None if there are none.
        predict: what the model says of encoded images.
        styles: that the model draws in, if any.
    """
    metrics, rows = read_json(folder / "metrics.json"), pd.read_parquet(folder / "predictions.parquet")
    pictures = {"average_precision": average_precisions(metrics)}
    if curves is not None:
        pictures["curves"] = training_curves(curves)
    for name, (draw, names) in TABLES.items():
        if (folder / f"{name}.csv").exists():
            pictures[name] = draw(read_table(folder / f"{name}.csv", names), metrics)
    table = read_table(folder / "per_class.csv", ("class",)) if (folder / "per_class.csv").exists() else pd.DataFrame()
    thresholds = _LESS * table["threshold"].to_numpy(float) if "threshold" in table else None
    quality = quality_of(rows, thresholds)
    worst = worst_first(rows, quality)
    pictures["quality"] = distribution(quality, worst)
    shown = rows.assign(note=[quality.of(place) for place in range(len(rows))]).iloc[worst.order]
    pictures["worst"] = samples_page(shown, worst.title, prepared, predict, thresholds)
    if styles:
        pictures["styles"] = styles_page(prepared, styles, predict)
    for name, figure in pictures.items():
        if figure is not None:
            save_figure(figure, folder / f"{name}.png")


def read_table(path: Path, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table of an evaluation; what is in the columns `names` stays text, even where it looks like a number."""
    columns = pd.read_csv(path, nrows=0).columns
    empty = {column: [""] for column in columns if column not in names}
    return pd.read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=empty)
