"""Figures of one look, saved as the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.system.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, INK = "#2563eb", "#ea580c", "#94a3b8", "#1f2937"
FAINT = "#64748b"  # of secondary text
# Lines of one picture, distinguishable for colour-blind readers too (Okabe and Ito 2008, next to the two above).
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9")
SMALL = 8  # points of secondary text


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` x `height` inches with `rows` x `columns` axes, row by row."""
    from matplotlib.figure import Figure  # not pyplot: it holds global state

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    options: dict[str, Any] = {"metadata": {"Software": None}}  # the same bytes from every matplotlib release
    with new_file(path) as work:
        figure.savefig(work, **options)


def plain(text: str, most: int) -> str:
    """Return a name as one line of at most `most` characters, which a figure shows as it is, dollars included."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1].rstrip() + "…"
    return line.replace("$", r"\$")
