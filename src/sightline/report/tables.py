"""Pictures of the tables that trainings and evaluations write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sightline.report.figures import BLUE, GREY, ORANGE, new_figure, save_figure

MOST_VALUES = 12


def draw_curves(curves: pd.DataFrame, path: Path) -> None:
    """Draw loss, scores and learning rate over epochs.

    Args:
        curves: the columns epoch, lr, train_loss, val_loss, and val_* scores.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    scores = [name for name in curves.columns if name.startswith("val_") and name != "val_loss"]
    figure, axes = new_figure(1, 2 + len(scores), width=3.6 * (2 + len(scores)), height=3.0)
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
    save_figure(figure, path)


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
    figure, axes = new_figure(1, 1, width=side, height=side)
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
    save_figure(figure, path)


def draw_reliability(table: pd.DataFrame, error: float, path: Path) -> None:
    """Draw accuracy over confidence; a calibrated model lies on the diagonal.

    Args:
        table: the columns confidence, accuracy, samples, one row per bin.
        error: expected calibration error.
        path: the PNG to write.
    """
    figure, axes = new_figure(1, 1, width=4.0, height=4.0)
    axis = axes[0]
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    sizes = 15 + 250 * table["samples"] / table["samples"].max()
    axis.scatter(table["confidence"], table["accuracy"], s=sizes, color=BLUE, alpha=0.7, linewidths=0, clip_on=False)
    axis.set(title=f"calibration error {error:.3f}; area: samples", xlabel="mean confidence", ylabel="accuracy")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    save_figure(figure, path)


def draw_scatter(table: pd.DataFrame, path: Path) -> None:
    """Draw predicted over actual values; a perfect model lies on the diagonal.

    Args:
        table: the columns value (its name), actual, predicted.
        path: the PNG to write.
    """
    groups = list(table.groupby("value", sort=False))[:MOST_VALUES]
    columns = min(4, len(groups))
    lines = -(-len(groups) // columns)
    figure, axes = new_figure(lines, columns, width=3.4 * columns, height=3.4 * lines)
    for axis in axes[len(groups) :]:
        axis.axis("off")
    for axis, (name, own) in zip(axes, groups, strict=False):
        both = np.concatenate([own["actual"], own["predicted"]])
        ends = [float(both.min()), float(both.max())]
        axis.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        axis.scatter(own["actual"], own["predicted"], s=10, color=BLUE, alpha=0.4, linewidths=0)
        axis.set(title=str(name), xlabel="actual", ylabel="predicted")
    save_figure(figure, path)
