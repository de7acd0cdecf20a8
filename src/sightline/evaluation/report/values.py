"""Pictures of numbers: predicted over actual ones, and how good single samples are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.evaluation.report.figures import BLUE, GREY, INK, ORANGE, new_figure, plain
from sightline.evaluation.report.quality import Quality, Worst

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_VALUES = 12
BARS = 25  # of a distribution
_VISIBLE = 50  # times the height of a bar: it shows next to that


def scatter(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw predicted over actual values; a perfect model is on the diagonal. None without a row.

    Args:
        table: the columns value (its name), actual, predicted, in the unit of the value.
        metrics: not used.
    """
    groups = list(table.groupby("value", sort=False))[:MOST_VALUES]
    if not groups:
        return None
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
        error = float((own["predicted"] - own["actual"]).abs().mean())
        axis.set(title=f"{plain(str(name), 20)}, mean error {error:.3g}", xlabel="actual", ylabel="predicted")
    return figure


def distribution(quality: Quality, worst: Worst) -> Figure | None:
    """Draw how many samples are how good, the worst in a separate colour.

    A few values far below all others are counted in the first bar; where the worst would not show next to the others,
    the scale is logarithmic. None if nothing could be measured.

    Args:
        quality: of N samples.
        worst: among them.
    """
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    known = ~np.isnan(quality.values)
    if not known.any():
        return None
    picked = np.zeros(len(known), bool)
    picked[worst.marked] = True
    low, high = quality.ends if quality.ends else _usual_range(quality.values[known])
    edges = np.linspace(low, high, BARS + 1)
    figure, (axis,) = new_figure(1, 1, width=5.4, height=3.4)
    groups = [quality.values[known & picked].clip(low, high), quality.values[known & ~picked].clip(low, high)]
    labels = [worst.name, "others"]
    style: Any = {"stacked": True, "color": [ORANGE, BLUE], "alpha": 0.75, "label": labels}
    marked, tops = np.asarray(axis.hist(groups, bins=edges.tolist(), **style)[0])
    lost = marked.any() and marked[marked > 0].min() * _VISIBLE < tops.max()
    middle = float(np.median(quality.values[known]))
    axis.axvline(middle, color=INK, linestyle="--", linewidth=1, label=f"median {middle:.3g}")
    missing = int((~known).sum())
    title = f"{known.sum():,} samples" + (f"; {missing:,} more have nothing to find" if missing else "")
    axis.set(
        title=title,
        xlabel=f"{quality.name},{quality.unit}" if quality.unit else quality.name,
        ylabel="samples, log scale" if lost else "samples",
        xlim=(low, high),
    )
    if lost:
        axis.set_yscale("symlog", linthresh=1)
        axis.yaxis.set_major_formatter(ScalarFormatter())
    else:
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    return figure


def _usual_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of values, from the largest down to the smallest that is not far below the other nine tenths."""
    usual, high = float(np.quantile(values, 0.1)), float(values.max())
    low = max(float(values.min()), usual - 2 * (high - usual))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
