"""Pictures of a training and an evaluation, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sightline.data.images import decode
from sightline.data.store import SplitStore, load_labels
from sightline.files import new_file, read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#94a3b8"
MOST_ERRORS = 24


def draw_evaluation(folder: Path, prepared: Path, curves: pd.DataFrame) -> None:
    """Draw every picture of a model beside the tables of its evaluation.

    Args:
        folder: holds metrics.json, predictions.parquet and the tables.
        prepared: folder of the data set it was evaluated on.
        curves: of its training.
    """
    metrics = read_json(folder / "metrics.json")
    draw_curves(curves, folder / "curves.png")
    draw_confusion(pd.read_csv(folder / "confusion.csv", dtype=str), folder / "confusion.png")
    reliability = pd.read_csv(folder / "reliability.csv")
    draw_reliability(reliability, metrics["calibration_error"], folder / "reliability.png")
    rows = pd.read_parquet(folder / "predictions.parquet")
    names = load_labels(prepared).classes
    draw_worst(rows, SplitStore(prepared / "test"), names, folder / "worst.png")


def draw_curves(curves: pd.DataFrame, path: Path) -> None:
    """Draw loss, scores and learning rate over epochs.

    Args:
        curves: the columns epoch, lr, train_loss, val_loss, and val_* scores.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    scores = [name for name in curves.columns if name.startswith("val_") and name != "val_loss"]
    figure, axes = _figure(1, 2 + len(scores), width=3.6 * (2 + len(scores)), height=3.0)
    epochs = curves["epoch"] + 1
    for name, colour in (("train_loss", BLUE), ("val_loss", ORANGE)):
        axes[0].plot(epochs, curves[name], color=colour, label=name.removesuffix("_loss"), marker=".")
    axes[0].set(title="loss", xlabel="epoch", ylim=(0, None))
    axes[0].legend(frameon=False)
    for axis, name in zip(axes[1:], scores, strict=False):
        axis.plot(epochs, curves[name], color=ORANGE, marker=".")
        axis.set(title=f"validation {name.removeprefix('val_')}", xlabel="epoch")
    axes[-1].plot(epochs, curves["lr"], color=GREY, marker=".")
    axes[-1].set(title="learning rate", xlabel="epoch", ylim=(0, None))
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def draw_confusion(rows: pd.DataFrame, path: Path) -> None:
    """Draw the confusion matrix, coloured by the share of each true class.

    Args:
        rows: one row per sample, with the names `actual` and `predicted`.
        path: the PNG to write.
    """
    names = list(dict.fromkeys([*rows["actual"].sort_values(), *rows["predicted"].sort_values()]))
    counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(index=names, columns=names, fill_value=0)
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1)
    side = max(4.0, 0.45 * len(names) + 1.5)
    figure, axes = _figure(1, 1, width=side, height=side)
    axis = axes[0]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.grid(visible=False)
    axis.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 90)
    axis.set_yticks(range(len(names)), names)
    axis.set(title="confusion: samples", xlabel="predicted", ylabel="actual")
    if len(names) <= 40:
        for row, column in zip(*np.nonzero(counts.to_numpy()), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(counts.iloc[row, column]), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def draw_reliability(table: pd.DataFrame, error: float, path: Path) -> None:
    """Draw accuracy over confidence; a calibrated model lies on the diagonal.

    Args:
        table: the columns confidence, accuracy, samples, one row per bin.
        error: expected calibration error.
        path: the PNG to write.
    """
    figure, axes = _figure(1, 1, width=4.0, height=4.0)
    axis = axes[0]
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    sizes = 15 + 250 * table["samples"] / table["samples"].max()
    axis.scatter(table["confidence"], table["accuracy"], s=sizes, color=BLUE, alpha=0.7, linewidths=0, clip_on=False)
    axis.set(title=f"calibration error {error:.3f}; area: samples", xlabel="mean confidence", ylabel="accuracy")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    _save(figure, path)


def draw_worst(rows: pd.DataFrame, test: SplitStore, names: tuple[str, ...], path: Path) -> None:
    """Draw the errors made with most confidence.

    Args:
        rows: one row per sample, with id, label, predicted, confidence, score.
        test: the split the rows are about.
        names: of the classes.
        path: the PNG to write.
    """
    wrong = rows[rows["score"] == 0].sort_values(["confidence", "id"], ascending=[False, True]).head(MOST_ERRORS)
    columns = min(8, max(1, len(wrong)))
    lines = max(1, -(-len(wrong) // columns))
    figure, axes = _figure(lines, columns, width=max(4.0, 1.6 * columns), height=1.95 * lines + 0.5)
    place = {sample: index for index, sample in enumerate(test.ids)}
    for axis in axes:
        axis.axis("off")
    columns_read = (wrong[name].tolist() for name in ("id", "label", "predicted", "confidence"))
    for axis, sample, true, said, confidence in zip(axes, *columns_read, strict=False):
        axis.imshow(decode(test.image(place[sample]), 3), interpolation="nearest")
        axis.set_title(f"{names[true]} → {names[said]}\n{confidence:.0%} sure", fontsize=8, color=ORANGE)
    total = int((rows["score"] == 0).sum())
    figure.suptitle(f"most confident errors, true → predicted ({len(wrong)} of {total})" if total else "no errors")
    _save(figure, path)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure  # not pyplot: it holds global state

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def _save(figure: Figure, path: Path) -> None:
    options: dict[str, Any] = {"metadata": {"Software": None}}  # the same bytes from every matplotlib release
    with new_file(path) as work:
        figure.savefig(work, **options)
