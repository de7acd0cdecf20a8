"""Bars: how good a model is at each class or key point, and at objects of each size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sightline.evaluation.report.figures import BLUE, FAINT, GREY, INK, ORANGE, SERIES, SMALL, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST, BEST = 30, 10  # bars of a table with more classes
NAME = 26  # characters of a class next to its bar
_COUNTS = ("objects", "points", "samples")


@dataclass(frozen=True)
class _Measure:
    """What a bar shows.

    Attributes:
        title: of the picture.
        name: of the column that is drawn as bars, in words.
        short: the same above a column of numbers.
        marks: further columns, drawn as marks on the bar, in words.
        undefined: whether the column is empty if it cannot be computed, and 0 for a class without samples means 0.
    """

    title: str
    name: str
    short: str
    marks: dict[str, str]
    undefined: bool = False


# The first of these columns that a table has is drawn as bars.
_MEASURES = {
    "AP50": _Measure(
        "average precision of each class",
        "AP at IoU 0.5",
        "AP",
        {"AP": "AP at IoU 0.5 to 0.95", "box_AP50": "AP of boxes at 0.5"},
    ),
    "iou": _Measure("IoU of each class", "IoU", "IoU", {"dice": "Dice"}, undefined=True),
    "average_precision": _Measure("average precision of each class", "average precision", "AP", {"f1": "F1"}),
    "mean_iou": _Measure(
        "boxes of each class",
        "mean overlap (IoU)",
        "IoU",
        {"class_accuracy": "class right", "localization_accuracy": "class right, IoU 0.5"},
    ),
    "f1": _Measure("F1 of each class", "F1", "F1", {"precision": "precision", "recall": "recall"}),
    "pck": _Measure("key points found (PCK at 0.2)", "PCK", "PCK", {}),
    "recall": _Measure("what is judged right of each class", "judged right", "right", {"auroc": "AUROC against good"}),
}
_MARKS = (("D", 4.5, ORANGE), ("|", 9, INK))  # shape, size in points, colour


def class_bars(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw a bar in 0..1 for each class or key point, the worst above, with its number of samples.

    Classes without a sample come last and have no bar. Of many classes the `WORST` and the `BEST` are shown. None if
    the table has no row, or no column that is known here.

    Args:
        table: a column of names, one of `_MEASURES`, one of `_COUNTS`, and any others.
        metrics: not used.
    """
    column = next((name for name in _MEASURES if name in table), None)
    count = next((name for name in _COUNTS if name in table), None)
    if column is None or count is None or table.empty:
        return None
    measure = _MEASURES[column]
    known = table[column].notna() if measure.undefined else table[column].notna() & (table[count] > 0)
    shown, left_out = _shown(
        table.assign(order=table[column].where(known)).sort_values(["order", count], kind="stable")
    )
    places = np.arange(len(shown), dtype=float)
    if left_out:
        places[WORST:] += 1.6
    figure, (axis,) = new_figure(1, 1, width=7.6, height=0.23 * (places[-1] + 1) + 1.3)
    if left_out:
        axis.text(0.5, WORST + 0.3, f"{left_out} more between", ha="center", va="center", color=FAINT)
    drawn = _bars(axis, shown, places, column, measure)
    if known.any():
        mean, each = table.loc[known, column].mean(), "points" if count == "points" else "classes"
        label = f"mean over {each} {mean:.2f}"
        drawn.append(axis.axvline(mean, color=GREY, linestyle="--", linewidth=1, label=label, zorder=0))
    _numbers(axis, places, shown["order"], shown[count], (measure.short, count))
    axis.set(xlim=(0, 1), ylim=(places[-1] + 0.7, -0.7))
    style: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 1.6, "frameon": False}
    axis.legend(handles=drawn, ncols=4, fontsize=SMALL, **style)
    figure.suptitle(measure.title)
    return figure


def _shown(ordered: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows that have room, and how many measured ones were left out between the worst and the best."""
    measured = ordered[ordered["order"].notna()]
    if len(ordered) <= WORST + BEST or measured.empty:
        return ordered[: WORST + BEST], 0
    left_out = max(0, len(measured) - WORST - BEST)
    return (pd.concat([measured[:WORST], measured[-BEST:]]) if left_out else measured), left_out


def _bars(axis: Axes, table: pd.DataFrame, places: Any, column: str, measure: _Measure) -> list[Any]:
    """Draw bars where `order` is not NaN, and marks on them; return what belongs into a legend."""
    bars = axis.barh(places, table["order"].fillna(0), height=0.72, color=BLUE, alpha=0.75, label=measure.name)
    drawn: list[Any] = [bars]
    present = [name for name in measure.marks if name in table]
    for name, (shape, size, colour) in zip(present, _MARKS, strict=False):
        values = table[name].where(table["order"].notna())
        style: Any = {"marker": shape, "color": colour, "linestyle": "none", "clip_on": False, "markersize": size}
        drawn += axis.plot(values, places, label=measure.marks[name], markeredgewidth=1.6, **style)
    axis.set_yticks(places, [plain(name, NAME) for name in table.iloc[:, 0].astype(str)])
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    return drawn


def _numbers(axis: Axes, places: Any, values: pd.Series[float], counts: pd.Series[int], heads: tuple[str, str]) -> None:
    """Write value and count of each bar in two columns on the right, under their heads."""
    style: Any = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "center", "fontsize": SMALL}
    for right, head in zip((1.09, 1.21), heads, strict=True):
        axis.text(right, 1.0, head, **style | {"transform": axis.transAxes, "va": "bottom", "color": FAINT})
    for place, value, count in zip(places, values, counts, strict=True):
        axis.text(1.09, place, "-" if np.isnan(value) else f"{value:.2f}", **style)
        axis.text(1.21, place, f"{int(count):,}", **style)


def average_precisions(metrics: dict[str, Any]) -> Figure | None:
    """Draw mean average precision at several overlaps and of objects of each size, with intervals where they are known.

    Args:
        metrics: headline, confidence, interval, and mAP50, mAP, ... with any prefix; None without these.
    """
    names = {
        "mAP50": "overlap\n0.5",
        "mAP75": "overlap\n0.75",
        "mAP": "overlaps\n0.5 to 0.95",
        "mAP_small": "small\n< 32² px",
        "mAP_medium": "medium",
        "mAP_large": "large\n> 96² px",
        "mAR": "recall\n(mAR)",
    }
    prefixes = [name.removesuffix("mAP50") for name in metrics if name.endswith("mAP50")]
    shown = [name for name in names if any(prefix + name in metrics for prefix in prefixes)]
    if not prefixes:
        return None
    prefixes.sort(key=lambda prefix: not metrics["headline"]["name"].startswith(prefix))
    figure, (axis,) = new_figure(1, 1, width=1.0 * len(shown) + 1.2, height=3.6)
    wide = 0.72 / len(prefixes)
    for turn, (prefix, colour) in enumerate(zip(prefixes, SERIES, strict=False)):
        label = prefix.strip("_") or None
        for place, name in enumerate(shown):
            if prefix + name in metrics:
                value, middle = metrics[prefix + name], place + (turn - (len(prefixes) - 1) / 2) * wide
                axis.bar(middle, value, wide * 0.94, color=colour, alpha=0.75, label=label if not place else None)
                edges = metrics["interval"].get(prefix + name)
                top = value
                if edges:
                    axis.plot([middle, middle], [edges["low"], edges["high"]], color=INK, linewidth=1.2)
                    top = max(value, edges["high"])
                axis.text(middle, top + 0.015, f"{value:.2f}", ha="center", va="bottom", fontsize=SMALL)
    axis.set_xticks(range(len(shown)), [names[name] for name in shown], fontsize=SMALL)
    axis.grid(visible=False, axis="x")
    axis.set(title=f"mean average precision, {metrics['confidence']:.0%} intervals", ylim=(0, 1.08))
    if len(prefixes) > 1:
        axis.legend(frameon=False)
    return figure
