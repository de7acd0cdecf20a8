"""Many small pictures on one page, each with its caption, marks and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.overlay import Colour
from sightline.evaluation.report.figures import FAINT, INK, SMALL, new_figure, plain
from sightline.evaluation.report.labels import place_labels
from sightline.evaluation.report.panels import Dot, Mark, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = 12.6  # inches, of a page's width
_NARROWEST = 5.0  # inches, for the title
_FILLED = 0.94  # of a cell's width; the rest is the layout's
_GAP = 0.03  # between panels, as a share of a panel's width
_LINES = 3  # of a caption
_TALLEST = 1.2  # height of a cell as a share of its width
_PER_INCH = 16  # characters of a caption


@dataclass(frozen=True)
class Cell:
    """The panels of one sample.

    Attributes:
        panels: side by side.
        told: truth -> prediction in a few words.
        note: what else there is to say, in grey.
    """

    panels: list[Panel]
    told: str
    note: str = ""


def draw_grid(cells: Sequence[Cell], title: str, columns: int, legend: dict[str, Colour]) -> Figure:
    """Draw cells row by row, on a page as wide as `columns` of them need.

    Args:
        cells: of equal numbers of panels.
        title: above all.
        columns: of the page.
        legend: names of colours, below all.
    """
    width = PAGE / columns
    columns = min(columns, max(round(_NARROWEST / width), len(cells)))
    rows = max(1, -(-len(cells) // columns))
    heights = [max((_inches(cell, width) for cell in cells[k * columns :][:columns]), default=0.3) for k in range(rows)]
    edges = 0.35 + 0.3 * bool(legend)
    figure, axes = new_figure(rows, columns, width=width * columns, height=sum(heights) + edges)
    gridspec = axes[0].get_gridspec()
    assert gridspec is not None
    gridspec.set_height_ratios(heights)
    for axis in axes:
        axis.axis("off")
        axis.set_anchor("NW")
    for axis, cell in zip(axes, cells, strict=False):
        _draw_cell(axis, cell, width)
    figure.suptitle("\n".join(wrap(title, round(width * columns * 11))), fontsize=11)
    if legend:
        _draw_legend(figure, legend)
    return figure


def _inches(cell: Cell, inches: float) -> float:
    """Return the height of a cell that is `inches` wide, with its words."""
    words = 0.12 + 0.13 * len(_caption(cell, inches)) + 0.36 * bool(cell.note)
    return words + _FILLED * inches * min(_TALLEST, _height(cell) / _width(cell))


def _height(cell: Cell) -> int:
    return max(len(panel.picture) for panel in cell.panels)


def _width(cell: Cell) -> float:
    """Return the width of all panels with the gaps between them, in pixels."""
    return sum(len(panel.picture[0]) * (1 + _GAP) for panel in cell.panels)


def _caption(cell: Cell, inches: float) -> list[str]:
    """Return the lines of what is shown above `inches` of width."""
    width = round(inches * _PER_INCH)
    return [plain(line, width) for line in wrap(cell.told, width, max_lines=_LINES, placeholder=" …")]


def _draw_cell(axis: Axes, cell: Cell, inches: float) -> None:
    left = 0.0
    height, width = _height(cell), _width(cell)
    inch = max(width, height / _TALLEST) / inches  # pixels
    for panel in cell.panels:
        high, wide = panel.picture.shape[:2]
        axis.imshow(panel.picture, extent=(left, left + wide, high, 0))
        _draw_marks(axis, panel.marks, left, inch, (high, wide))
        for dot in panel.dots:
            _draw_dot(axis, dot, left)
        if panel.name:
            axis.text(left, height + 0.03 * inch, panel.name, fontsize=7, color=FAINT, va="top")
        left += wide * (1 + _GAP)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_title("\n".join(_caption(cell, inches)), loc="left", fontsize=SMALL, color=INK, pad=14 if cell.note else 4)
    if cell.note:
        axis.text(0, -0.04 * inch, plain(cell.note, round(inches * 16)), fontsize=7, color=FAINT, va="bottom")


def _draw_marks(axis: Axes, marks: Sequence[Mark], left: float, inch: float, size: tuple[int, int]) -> None:
    """Draw outlines, solid where right and dashed where not, with a dark edge that shows on any image; then labels."""
    from matplotlib.patches import Polygon
    from matplotlib.patheffects import Normal, Stroke

    for mark in marks:
        colour = _hex(mark.colour)
        for line in mark.lines:
            style: Any = {"linestyle": "-" if mark.right else (0, (3, 2)), "linewidth": 1.4}
            edge = [Stroke(linewidth=2.6, foreground=(0, 0, 0, 0.55)), Normal()]
            axis.add_patch(
                Polygon(line + np.array([left, 0]), fill=False, edgecolor=colour, path_effects=edge, **style)
            )
    for mark, place in zip(marks, place_labels(marks, inch, size), strict=True):
        if place is not None:
            background = {"facecolor": _hex(mark.colour), "edgecolor": "none", "pad": 0.8, "alpha": 0.9}
            dark = np.dot(mark.colour, (0.3, 0.59, 0.11)) < 110
            style = {"fontsize": 6.5, "color": "white" if dark else "black", "va": "top", "bbox": background}
            axis.text(left + place[0], place[1], plain(mark.words, 24), **style)


def _draw_dot(axis: Axes, dot: Dot, left: float) -> None:
    """Draw a key point, and a line from it to where it should be."""
    colour = _hex(dot.colour)
    if dot.true is not None:
        axis.plot([left + dot.x, left + dot.true[0]], [dot.y, dot.true[1]], color="white", linewidth=1.8, alpha=0.7)
        axis.plot([left + dot.x, left + dot.true[0]], [dot.y, dot.true[1]], color=colour, linewidth=1)
    size, face = (4.5, colour) if dot.full else (5.0, "none")
    for width, edge in ((0.8, "black"),) if dot.full else ((2.6, "black"), (1.4, colour)):
        style: Any = {"marker": "o", "markersize": size, "markerfacecolor": face, "linestyle": "none"}
        axis.plot(left + dot.x, dot.y, markeredgecolor=edge, markeredgewidth=width, **style)


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)


def _draw_legend(figure: Figure, legend: dict[str, Colour]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=_hex(colour), edgecolor=FAINT, linewidth=0.5, label=plain(name, 22))
        for name, colour in legend.items()
    ]
    columns = min(8, len(patches))
    by_column = [patch for column in range(columns) for patch in patches[column::columns]]  # read row by row
    figure.legend(handles=by_column, loc="outside lower center", ncols=columns, frameon=False, fontsize=SMALL)
