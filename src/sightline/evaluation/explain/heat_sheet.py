"""Draws heat maps over their images, with the same of random weights next to them and the curves below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sightline.data.overlay import scaled
from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.faithfulness import Curves
from sightline.evaluation.explain.picture import Check, tell_checks
from sightline.evaluation.report.figures import BLUE, FAINT, GREY, INK, ORANGE, SMALL, new_figure, plain
from sightline.tasks.base import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
_SIDE = 160  # pixels of a drawn image
_GAP = 8  # pixels between two
_FAINTEST, _STRONGEST = 0.25, 0.85  # opacity of the colours where the map is 0 and 1
_INCHES = 3.3  # width of a cell


@dataclass(frozen=True)
class HeatCell:
    """One image with its map.

    Attributes:
        pixels: S x S x C uint8.
        target: what is explained.
        true: name of the true class, if the image has one.
        heat: S x S in 0..1.
        random_heat: that of a network with random weights, None if it was not made.
        curves: of deletion and insertion, None if they were not made.
    """

    pixels: UINT8
    target: Target
    true: str | None
    heat: FLOAT32
    random_heat: FLOAT32 | None
    curves: Curves | None


def draw_heat_sheet(cells: Sequence[HeatCell], title: str, checks: Sequence[Check]) -> Figure:
    """Draw cells in rows of four: image, map, map of random weights; below each its curves, below all the checks."""
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    with_curves = any(cell.curves is not None for cell in cells)
    height = rows * (2.45 if with_curves else 1.6) + 0.6 + 0.3 * len(checks)
    width = max(6.5, _INCHES * columns)
    figure, axes = new_figure(2 * rows if with_curves else rows, columns, width=width, height=height)
    if with_curves:
        gridspec = axes[0].get_gridspec()
        assert gridspec is not None
        gridspec.set_height_ratios([1.2, 1] * rows)
    for axis in axes:
        axis.axis("off")
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        place = (2 * row if with_curves else row) * columns + column
        _draw_images(axes[place], cell)
        if cell.curves is not None:
            _draw_curves(axes[place + columns], cell.curves, legend=number == 0)
    figure.suptitle("\n".join(wrap(title, round(12 * width))), fontsize=11)
    tell_checks(figure, checks)
    return figure


def overlay(pixels: UINT8, heat: FLOAT32, side: int = _SIDE) -> UINT8:
    """Lay a map in 0..1 in colours over an S x S x C image, which turns grey; return `side` x `side` x 3."""
    from matplotlib import colormaps

    base = np.broadcast_to(scaled(pixels, side)[0], (side, side, 3))
    grey = cv2.cvtColor(np.ascontiguousarray(base), cv2.COLOR_RGB2GRAY)[..., None]
    smooth = cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = 255 * colormaps["inferno"](smooth)[..., :3]
    opacity = (_FAINTEST + (_STRONGEST - _FAINTEST) * smooth)[..., None]
    mixed: UINT8 = np.rint(grey * (1 - opacity) + colours * opacity).astype(np.uint8)
    return mixed


def _draw_images(axis: Axes, cell: HeatCell) -> None:
    named: dict[str, Any] = {
        "image": np.broadcast_to(scaled(cell.pixels, _SIDE)[0], (_SIDE, _SIDE, 3)),
        "map": cell.heat,
    }
    named |= {} if cell.random_heat is None else {"random weights": cell.random_heat}
    factor = _SIDE / len(cell.pixels)
    for place, (name, values) in enumerate(named.items()):
        left = place * (_SIDE + _GAP)
        picture = overlay(cell.pixels, values) if values.ndim == 2 else values
        axis.imshow(picture, extent=(left, left + _SIDE, _SIDE, 0))
        empty = values.ndim == 2 and not values.any()
        words = f"{name}: empty" if empty else name
        axis.text(left, _SIDE + 4, words, fontsize=6.5, color=ORANGE if empty else FAINT, va="top")
        if name != "random weights":
            _draw_place(axis, cell.target, left, factor)
    axis.set(xlim=(0, 3 * _SIDE + 2 * _GAP), ylim=(_SIDE + 22, 0))
    right = cell.true is None or cell.true == cell.target.name
    told = f"{plain(cell.target.name, 20)}, confidence {cell.target.sureness:.0%}"
    if cell.true is not None:
        told += ", right" if right else f", truly {plain(cell.true, 16)}"
    axis.set_title(told, loc="left", fontsize=SMALL, color=INK if right else ORANGE, pad=3)


def _draw_place(axis: Axes, target: Target, left: float, factor: float) -> None:
    """Outline the object or the pixels that are explained."""
    from matplotlib.patches import Rectangle

    if target.box is not None:
        x1, y1, x2, y2 = (edge * factor for edge in target.box)
        axis.add_patch(Rectangle((left + x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="#56b4e9", linewidth=1.2))
    if target.region is not None:
        size = (_SIDE, _SIDE)
        region = cv2.resize(target.region.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for line in lines:
            closed = np.concatenate([line, line[:1]])[:, 0]
            axis.plot(left + closed[:, 0] + 0.5, closed[:, 1] + 0.5, color="#56b4e9", linewidth=1.0)


def _draw_curves(axis: Axes, curves: Curves, legend: bool) -> None:
    axis.axis("on")
    share = np.linspace(0, 100, len(curves.deletion))
    axis.plot(share, 100 * curves.insertion, color=BLUE, label="added back, hottest first")
    axis.plot(share, 100 * curves.deletion, color=ORANGE, label="removed, hottest first")
    axis.plot(share, 100 * curves.random_insertion, color=BLUE, linewidth=0.9, linestyle=":", label="in random order")
    axis.plot(share, 100 * curves.random_deletion, color=ORANGE, linewidth=0.9, linestyle=":", label="in random order")
    axis.set(ylim=(-4, 104), xlim=(0, 100), xticks=(0, 50, 100), yticks=(0, 50, 100))
    axis.tick_params(labelsize=6.5, colors=FAINT, length=2)
    axis.grid(color=GREY, alpha=0.25)
    if legend:
        axis.set_xlabel("% of the image", fontsize=6.5, color=FAINT, labelpad=1)
        axis.set_ylabel("% sure", fontsize=6.5, color=FAINT, labelpad=1)
        axis.legend(
            fontsize=5.5, framealpha=0.85, edgecolor="none", labelspacing=0.2, handlelength=1.6, loc="center right"
        )
