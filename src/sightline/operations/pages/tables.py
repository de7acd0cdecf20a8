"""Tables of a page: values of an evaluation in, columns and cells of text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sightline.operations.pages.words import DASH, VERDICTS, column_title, interval, metric_title, metric_words, number

_APART = ("headline", "interval", "confidence", "samples", "task", "onnx", "crop")
_COUNTS = ("samples", "objects", "images", "pixels", "points", "rank")
_FOR_TOP5 = 10  # classes
_FLAT = "the same in every resample, which says nothing of its width"
MOST_NAMES = 25  # classes of a matrix


@dataclass(frozen=True)
class Range:
    """A value with its interval and a value to compare with, in percent of a common scale."""

    low: float
    value: float
    high: float
    reference: float | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        order: by what it is sorted.
        note: smaller, below the text.
        tone: good, bad or faint.
        range: drawn instead of the text, which is what it says to those who do not see it.
        link: of the text, an address relative to the page.
    """

    text: str
    order: str | float = ""
    note: str = ""
    tone: str = ""
    range: Range | None = None
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a page; the first cell of a row is its heading, and numeric columns are set to the right."""

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: K names, K x K texts, shares of each true class in percent."""

    caption: str
    names: list[str]
    rows: list[list[tuple[str, float]]]


def figure_cell(value: Any, tone: str = "") -> Cell:
    """Return the cell of a number, which sorts as one; what is not known sorts as the least."""
    unknown = value is None or (isinstance(value, float) and np.isnan(value))
    return Cell(number(value), -1e300 if unknown else float(value), tone=tone)


def text_cell(text: str, note: str = "", tone: str = "") -> Cell:
    """Return the cell of a text; one that is a number sorts as one."""
    try:
        order: str | float = float(text)
    except ValueError:
        order = text.casefold()
    return Cell(text, order if order == order else text, note, tone)  # a class may be called nan  # noqa: PLR0124


def range_cell(bounds: tuple[float, float, float], scale: tuple[float, float], reference: float | None = None) -> Cell:
    """Return the cell of a value (low, value, high) on a scale (from, to), next to the value of a reference."""
    start, end = scale
    wide = (end - start) or 1.0

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - start) / wide)), 2)

    low, value, high = bounds
    drawn = Range(place(low), place(value), place(high), None if reference is None else place(reference))
    return Cell(interval(low, high), value, range=drawn)


def metrics_table(metrics: Mapping[str, Any], classes: int = 0) -> Table:
    """Return every metric of an evaluation with its interval, the headline first.

    Args:
        metrics: of an evaluation.
        classes: how many there are, 0 if not known; of few classes the first five say nothing.
    """
    values = dict(_flat({name: value for name, value in metrics.items() if name not in _APART}))
    headline = metrics["headline"]
    if 0 < classes < _FOR_TOP5:
        values.pop("top5", None)
    values = {headline["name"]: headline["value"], **values}
    edges = {**metrics.get("interval", {}), headline["name"]: headline}
    rows = []
    for name, value in values.items():
        low, high = (edges.get(name, {}).get(bound) for bound in ("low", "high"))
        flat = low is not None and low == high  # as at a perfect score: it is not known that well
        ends = Cell(DASH if flat else interval(low, high), -1e300 if low is None else low, note=_FLAT if flat else "")
        cells = [figure_cell(value), ends]
        rows.append([text_cell(metric_title(name), metric_words(name)), *cells])
    told = f", {metrics['confidence']:.0%} intervals" if "confidence" in metrics else ""
    columns = [("metric", False), ("value", True), ("interval", True)]
    return Table(f"Metrics on {metrics['samples']:,} test images{told}", columns, rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((prefix + name, float(value)))
    return found


def names_table(table: pd.DataFrame, caption: str) -> Table:
    """Return a table with names in the first column, and numbers or words in the others."""
    columns = [(column_title(str(name)), place > 0) for place, name in enumerate(table.columns)]
    counts = [str(name) in _COUNTS for name in table.columns]
    rows = []
    for values in table.itertuples(index=False, name=None):
        cells = [text_cell(str(values[0]))]
        for value, counted in zip(values[1:], counts[1:], strict=True):
            whole = counted and not pd.isna(value)
            plain = value if isinstance(value, str) else int(value) if whole else float(value)
            cells.append(text_cell(plain) if isinstance(plain, str) else figure_cell(plain))
        rows.append(cells)
    return Table(caption, columns, rows)


def slices_table(slices: pd.DataFrame, headline: Mapping[str, Any], confidence: float) -> Table:
    """Return the slices of an evaluation, those that are worse than all marked, small ones faint."""
    known = slices.dropna(subset=["score"])
    ends = [headline["value"], *known["low"], *known["high"]]
    scale = (min(ends), max(ends))
    rows = []
    for row in slices.to_dict("records"):
        verdict, score = str(row["verdict"]), float(row["score"])
        tone = {"worse": "bad", "better": "good", "few": "faint", "unmeasured": "faint"}.get(verdict, "")
        bounds = (float(row["low"]), score, float(row["high"]))
        drawn = range_cell(bounds, scale, headline["value"]) if verdict != "unmeasured" else Cell(number(None), -1e300)
        first = text_cell(f"{row['column']}: {row['value']}", tone="faint" if tone == "faint" else "")
        judged = Cell(VERDICTS[verdict], verdict, tone=tone)
        rows.append([first, figure_cell(int(row["samples"])), figure_cell(score), drawn, judged])
    caption = f"{metric_title(headline['name'])} by attributes of the images, with {confidence:.0%} intervals"
    columns = [
        ("slice", False),
        ("images", True),
        ("score", True),
        ("interval", False),
        ("compared with all images", False),
    ]
    return Table(caption, columns, rows)


def confusion_matrix(table: pd.DataFrame, what: str) -> Matrix | None:
    """Return the matrix of `confusion.csv` (`what` is samples) or `pixels.csv` (pixels).

    None without a class, or with more than `MOST_NAMES`.
    """
    if what == "samples":
        names = list(dict.fromkeys([*table["actual"].sort_values(), *table["predicted"].sort_values()]))
        crossed = pd.crosstab(table["actual"], table["predicted"]).reindex(index=names, columns=names, fill_value=0)
        counts = crossed.to_numpy(np.int64)
    else:
        names, counts = table.iloc[:, 0].tolist(), table.iloc[:, 1:].to_numpy(np.int64)
    if not names or len(names) > MOST_NAMES:
        return None
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rows = [
        [
            (_share(share) if what == "pixels" else f"{count:,}" if count else "", round(share, 1))
            for count, share in zip(*row, strict=True)
        ]
        for row in zip(counts.tolist(), shares.tolist(), strict=True)
    ]
    unit = "share of each true class's pixels" if what == "pixels" else "test images"
    return Matrix(f"Confusion: rows are the truth, columns the prediction; {unit}", names, rows)


def _share(percent: float) -> str:
    return "" if percent == 0 else "<1" if percent < 0.5 else f"{percent:.0f}"


def settings_rows(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return settings as pairs of text, those without a value left out."""
    return [(name, _setting(value)) for name, value in sorted(values.items()) if value is not None]


def _setting(value: Any) -> str:
    text = (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
    return text if len(text) <= 200 else text[:199] + "…"
