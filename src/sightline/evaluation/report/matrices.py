"""Which classes are taken for which: confusion of samples and of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.evaluation.report.figures import INK, ORANGE, SMALL, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 25  # classes of a matrix with numbers and names
MOST_ERRORS = 25  # pairs that are listed next to a larger one
NAME = 18  # characters of a class
_COUNTS = NDArray[np.int64]


def confusion(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw the confusion matrix of samples, coloured by the share of each true class; None without a sample.

    Args:
        table: one row per sample, with the names `actual` and `predicted`.
        metrics: not used.
    """
    if table.empty:
        return None
    names = list(dict.fromkeys([*table["actual"].sort_values(), *table["predicted"].sort_values()]))
    counts = pd.crosstab(table["actual"], table["predicted"]).reindex(index=names, columns=names, fill_value=0)
    return _matrix(counts.to_numpy(np.int64), names, "samples")


def characters(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw which characters were read as which, coloured by the share of each true one; None without any.

    Args:
        table: one row per pair of characters that stand for each other, `actual` and `predicted`.
        metrics: not used.
    """
    if table.empty:
        return None
    names = sorted({*table["actual"], *table["predicted"]}, key=lambda name: (len(name) > 1, name))
    counts = pd.crosstab(table["actual"], table["predicted"]).reindex(index=names, columns=names, fill_value=0)
    return _matrix(counts.to_numpy(np.int64), names, "characters")


def pixels(table: pd.DataFrame, metrics: dict[str, Any]) -> Figure | None:
    """Draw the confusion matrix of pixels in percent of each true class; None without a pixel.

    Args:
        table: K rows, the name of a true class and K numbers of pixels by predicted class, in the same order.
        metrics: not used.
    """
    counts = table.iloc[:, 1:].to_numpy(np.int64)
    return _matrix(counts, table.iloc[:, 0].tolist(), "pixels") if counts.any() else None


def _matrix(counts: _COUNTS, names: Sequence[str], what: str) -> Figure:
    """Draw K x K counts, rows true and columns predicted; of many classes without names, next to the worst errors."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    short = [plain(name, NAME) for name in names]
    if len(names) > MOST_NAMES:
        figure, (axis, beside) = new_figure(1, 2, width=12.0, height=6.0)
        axis.set(xticks=[], yticks=[])
        _list_errors(beside, counts, shares, short)
    else:
        side = max(3.6, 0.42 * len(names) + 0.09 * max(map(len, short)) + 0.8)
        figure, (axis,) = new_figure(1, 1, width=side + 0.8, height=side)
        axis.set_xticks(range(len(names)), short, rotation=0 if max(map(len, short)) < 4 else 90)
        axis.set_yticks(range(len(names)), short)
        told = [[f"{share:.0%}" for share in row] for row in shares] if what == "pixels" else counts.tolist()
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = told[row][column]
            axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=SMALL)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.grid(visible=False)
    axis.set(title=f"confusion: {what}, {len(names)} classes", xlabel="predicted", ylabel="actual")
    bar = figure.colorbar(image, ax=axis, shrink=0.6, aspect=25, label=f"share of the class's {what}")
    bar.outline.set_visible(False)
    return figure


def _list_errors(axis: Axes, counts: _COUNTS, shares: NDArray[np.float64], names: Sequence[str]) -> None:
    """Draw the most frequent errors as bars, with their share of the true class."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_ERRORS]
    pairs = [divmod(int(place), len(counts)) for place in order if wrong.flat[place]]
    axis.barh(range(len(pairs)), [wrong[pair] for pair in pairs], color=ORANGE, alpha=0.75)
    axis.set_yticks(range(len(pairs)), [f"{names[a]} → {names[b]}" for a, b in pairs], fontsize=SMALL)
    for place, pair in enumerate(pairs):
        axis.text(wrong[pair], place, f" {shares[pair]:.0%}", va="center", fontsize=SMALL, color=INK)
    axis.set(title="most frequent errors, share of the true class", xlabel="count", ylim=(len(pairs) - 0.4, -0.6))
    axis.grid(visible=False, axis="y")
