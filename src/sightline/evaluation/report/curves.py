"""Curves: of a training over epochs, and of an evaluation over recall, overlap, distance and confidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sightline.evaluation.report.figures import BLUE, GREY, INK, ORANGE, SERIES, SMALL, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 2 * len(SERIES)  # classes with a separate colour and dash
ENDS = 4  # of many classes the worst and the best that are named
NAME = 22  # characters of a class in a legend


def training_curves(curves: pd.DataFrame) -> Figure:
    """Draw loss, scores and learning rate over epochs.

    Args:
        curves: the columns epoch, lr, train_loss, val_loss, and val_* scores.
    """
    panels = _training_panels(curves)
    figure, axes = new_figure(1, len(panels), width=3.6 * len(panels), height=3.0)
    for axis, (title, draw) in zip(axes, panels, strict=True):
        draw(axis)
        _finish_panel(axis, title)
    return figure


def training_panels(curves: pd.DataFrame) -> dict[str, Figure]:
    """Draw the same, each panel as a separate figure; return them by their titles."""
    figures = {}
    for title, draw in _training_panels(curves):
        figures[title], (axis,) = new_figure(1, 1, width=4.2, height=3.0)
        draw(axis)
        _finish_panel(axis, title)
    return figures


def _training_panels(curves: pd.DataFrame) -> list[tuple[str, Callable[[Axes], None]]]:
    """Return the title of each panel, and what draws its lines."""
    epochs = curves["epoch"] + 1

    def losses(axis: Axes) -> None:
        for name, colour in (("train_loss", BLUE), ("val_loss", ORANGE)):
            axis.plot(epochs, curves[name], color=colour, label=name.removesuffix("_loss"), marker=".")
        axis.set(ylim=(0, None))
        axis.legend(frameon=False)

    def score(name: str) -> Callable[[Axes], None]:
        def draw(axis: Axes) -> None:
            axis.plot(epochs, curves[name], color=ORANGE, marker=".")

        return draw

    def rate(axis: Axes) -> None:
        axis.plot(epochs, curves["lr"], color=GREY, marker=".")
        axis.set(ylim=(0, None))

    scores = [name for name in curves.columns if name.startswith("val_") and name != "val_loss"]
    told = [(f"validation {name.removeprefix('val_').replace('_', ' ')}", score(name)) for name in scores]
    return [("loss", losses), *told, ("learning rate", rate)]


def _finish_panel(axis: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set(title=title, xlabel="epoch")
    first, last = axis.get_xlim()
    if last - first < 1:  # a single epoch
        axis.set_xlim(first - 0.5, last + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def precision_recall(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw precision over recall of each class, thin, and their mean, thick; None without any class.

    Of more than `FEW` classes only the worst and the best are named; the others are grey. What a legend says is the
    mean precision of a line, its average precision.

    Args:
        table: the columns class, recall, precision in 0..1, the same levels of recall for each class.
        metrics: not used.
    """
    if table.empty:
        return None
    lines = table.pivot_table(index="recall", columns="class", values="precision", sort=True)
    averages = lines.mean().sort_values(ascending=False, kind="stable")
    few = len(averages) <= FEW
    named = list(averages.index if few else [*averages.index[:ENDS], *averages.index[-ENDS:]])
    figure, (axis,) = new_figure(1, 1, width=7.4, height=4.6)
    for name in [] if few else averages.index[ENDS:-ENDS]:
        axis.plot(lines.index, lines[name], color=GREY, linewidth=0.6, alpha=0.6)
    if len(averages) > 1:
        mean = lines.mean(axis=1)
        axis.plot(mean, color=INK, linewidth=3, label=f"mean of {len(averages)}  {mean.mean():.2f}", zorder=3)
    for place, name in enumerate(named):
        turn, colour = divmod(place, len(SERIES) if few else ENDS)
        style: Any = {"color": SERIES[colour], "linestyle": (0, (3, 1.5)) if turn else "-", "linewidth": 1.3}
        axis.plot(lines.index, lines[name], label=f"{plain(name, NAME)}  {averages[name]:.2f}", **style)
    _in_unit_square(axis)
    axis.set(title="precision over recall, overlap 0.5", xlabel="recall", ylabel="precision")
    title = "average precision" if few else f"average precision:\n{ENDS} best (solid), {ENDS} worst (dashed)"
    _legend_beside(axis, title)
    return figure


def near_curve(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the share of key points that are near enough, over what is near enough.

    Args:
        table: the columns fraction (of the reference length), share in 0..1.
        metrics: not used.
    """
    words = ("key points found (PCK)", "allowed distance / reference length (torso)", "share of points")
    return _share_curve(table, "fraction", 0.2, words)


def overlap_curve(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the share of images whose box overlaps the true one enough, over what is enough.

    Args:
        table: the columns iou in 0..1, share in 0..1.
        metrics: not used.
    """
    return _share_curve(table, "iou", 0.5, ("boxes found", "overlap with the true box (IoU)", "share of images"))


def _share_curve(table: pd.DataFrame, over: str, usual: float, words: tuple[str, str, str]) -> Figure:
    """Draw shares over a threshold, and mark the usual threshold; `words` are title and names of the axes."""
    title, below, beside = words
    figure, (axis,) = new_figure(1, 1, width=4.6, height=3.8)
    axis.fill_between(table[over], table["share"], color=BLUE, alpha=0.12, linewidth=0)
    axis.plot(table[over], table["share"], color=BLUE, linewidth=2)
    there = float(np.interp(usual, table[over], table["share"]))
    axis.plot([usual, usual], [0, there], color=GREY, linestyle="--", linewidth=1)
    axis.plot(usual, there, color=ORANGE, marker="o", label=f"{there:.0%} at {usual}", linestyle="none", zorder=3)
    axis.legend(frameon=False)
    axis.set(title=title, xlabel=below, ylabel=beside, xlim=(0, float(table[over].max())), ylim=(0, 1.02))
    return figure


def reliability(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw accuracy over confidence; a calibrated model is on the diagonal.

    Args:
        table: the columns confidence, accuracy in 0..1, samples, one row per bin.
        metrics: with calibration_error, the expected one, in 0..1.
    """
    figure, (axis,) = new_figure(1, 1, width=4.0, height=4.0)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    sizes = 15 + 250 * table["samples"] / table["samples"].max()
    axis.scatter(table["confidence"], table["accuracy"], s=sizes, color=BLUE, alpha=0.7, linewidths=0, clip_on=False)
    _in_unit_square(axis)
    error = metrics["calibration_error"]
    axis.set(title=f"calibration error {error:.3f}; area: samples", xlabel="mean confidence", ylabel="accuracy")
    return figure


def _in_unit_square(axis: Axes) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1.02))


def _legend_beside(axis: Axes, title: str) -> None:
    small: Any = {"fontsize": SMALL, "title_fontsize": SMALL, "frameon": False, "alignment": "left"}
    axis.legend(title=title, loc="upper left", bbox_to_anchor=(1, 1), **small)
