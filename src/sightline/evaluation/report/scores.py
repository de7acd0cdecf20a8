"""Scores of a detector of defects: how good and defective images differ in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from sightline.evaluation.report.figures import BLUE, GREY, INK, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def score_histogram(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw how many good and defective images have which score, and the threshold.

    Args:
        table: the columns low, high (edges of a bar), good, defective (numbers of images).
        metrics: with false_alarms and missed, shares of images, where they are known.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axis,) = new_figure(1, 1, width=5.4, height=3.4)
    width = table["high"] - table["low"]
    for name, colour in (("good", BLUE), ("defective", ORANGE)):
        label = f"{name} ({table[name].sum():,})"
        axis.bar(table["low"], table[name], width=width, align="edge", color=colour, alpha=0.6, label=label)
    axis.axvline(1, color=INK, linestyle="--", linewidth=1, label="threshold")
    shares = [f"{metrics[name]:.1%} {words}" for name, words in _ERRORS.items() if metrics.get(name) is not None]
    axis.set(title=", ".join(shares) or "scores", xlabel="score / threshold", ylabel="images")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    return figure


_ERRORS = {"false_alarms": "of good images above the threshold", "missed": "of defective ones below"}


def roc(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the share of defective images that are found over that of good ones called defective.

    Args:
        table: the columns score (falling), false_alarms, found, shares of images.
        metrics: with auroc, false_alarms and missed, where they are known.
    """
    figure, (axis,) = new_figure(1, 1, width=4.2, height=4.0)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axis.plot(table["false_alarms"], table["found"], color=BLUE, linewidth=2)
    if metrics.get("missed") is not None and metrics.get("false_alarms") is not None:
        axis.plot(metrics["false_alarms"], 1 - metrics["missed"], "o", color=ORANGE, label="at the threshold", zorder=3)
        axis.legend(frameon=False, loc="lower right")
    area = f", area {metrics['auroc']:.3f}" if metrics.get("auroc") is not None else ""
    axis.set(title=f"ROC{area}", xlabel="false alarms, share of good images", ylabel="found, share of defective images")
    axis.set(xlim=(-0.01, 1), ylim=(0, 1.01))
    return figure
