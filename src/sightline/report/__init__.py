"""Pictures of a training and an evaluation, as PNG files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sightline.files import read_json
from sightline.report.samples import Predict, draw_worst
from sightline.report.tables import draw_confusion, draw_curves, draw_reliability, draw_scatter

__all__ = ["draw_curves", "draw_evaluation"]


def draw_evaluation(folder: Path, prepared: Path, curves: pd.DataFrame, predict: Predict) -> None:
    """Draw what there is to see of a model beside the tables of its evaluation.

    Args:
        folder: holds metrics.json, predictions.parquet and the tables.
        prepared: folder of the data set it was evaluated on.
        curves: of its training.
        predict: what the model says of encoded images.
    """
    metrics = read_json(folder / "metrics.json")
    draw_curves(curves, folder / "curves.png")
    if (folder / "confusion.csv").exists():
        draw_confusion(pd.read_csv(folder / "confusion.csv", dtype=str), folder / "confusion.png")
    if (folder / "reliability.csv").exists():
        reliability = pd.read_csv(folder / "reliability.csv")
        draw_reliability(reliability, metrics["calibration_error"], folder / "reliability.png")
    if (folder / "scatter.csv").exists():
        draw_scatter(pd.read_csv(folder / "scatter.csv", dtype={"value": str}), folder / "scatter.png")
    draw_worst(pd.read_parquet(folder / "predictions.parquet"), prepared, predict, folder / "worst.png")
