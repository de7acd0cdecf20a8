"""Shows champions and challengers over time: the ledger in, a table and a plot out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sightline.evaluation.report.figures import BLUE, FAINT, GREY, INK, ORANGE, SMALL, new_figure, plain, save_figure
from sightline.registry.grounds import DECISIONS
from sightline.registry.ledger import Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"promote": "green", "refuse": "yellow", "rollback": "red"}
_MARKERS = {"promote": ("o", BLUE), "refuse": ("x", ORANGE), "rollback": ("v", INK)}


def history_table(entries: Sequence[Entry]) -> Table:
    """Return one row per decision, oldest first, for 120 characters."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("time (UTC)", "model", "md5", "test score"):
        table.add_column(name, no_wrap=True)
    table.add_column("decision")
    for entry in entries:
        table.add_row(
            entry.time[:16].replace("T", " "),
            Text(entry.name),
            entry.model_md5[:8],
            Text(f"{entry.headline['name']} {entry.headline['value']:.3f}"),
            Text.assemble((DECISIONS[entry.decision], _COLOURS[entry.decision]), f": {entry.short}"),
        )
    return table


def plot_history(entries: Sequence[Entry], path: Path) -> None:
    """Write a picture of the headline metric of each decision, one panel per model and metric.

    The line is the champion's. A model that was judged by one metric and then by another has a panel for each, as
    their values cannot be compared.

    Args:
        entries: decisions, oldest first; at least one.
        path: the PNG file to write.
    """
    panels: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        panels.setdefault((entry.name, str(entry.headline["name"])), []).append(entry)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(rows, columns, 5.2 * columns + 0.6, 2.5 * rows + 0.5)
    for axis, own in zip(axes, panels.values(), strict=False):
        _panel(axis, own)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    labels = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        if not label.startswith("_")
    }
    figure.legend(labels.values(), labels.keys(), loc="outside upper left", ncols=4, fontsize=SMALL, frameon=False)
    save_figure(figure, path)


def _panel(axis: Axes, entries: Sequence[Entry]) -> None:
    """Draw the decisions on one model by one metric.

    They are evenly spaced: nights in a row and months of silence both stay readable.
    """
    champions = [entry for entry in entries if entry.decision != "refuse"]
    places = [number for number, entry in enumerate(entries) if entry.decision != "refuse"]
    values = [float(entry.headline["value"]) for entry in champions]
    if places:
        places, values = [*places, len(entries) - 0.6], [*values, values[-1]]  # type: ignore[list-item]
        axis.step(places, values, where="post", color=GREY, linewidth=1.5, label="champion", zorder=1)
    for place, entry in enumerate(entries):
        marker, colour = _MARKERS[entry.decision]
        low, high = entry.headline.get("low"), entry.headline.get("high")
        if low is not None and high is not None:
            axis.plot([place, place], [low, high], color=colour, linewidth=1.2, alpha=0.6, zorder=2)
        axis.plot(
            place,
            float(entry.headline["value"]),
            marker,
            color=colour,
            label=DECISIONS[entry.decision],
            markersize=7,
            zorder=3,
        )
    times = [datetime.fromisoformat(entry.time) for entry in entries]
    shown = range(0, len(entries), -(-len(entries) // 8))
    axis.set_xticks(list(shown), [f"{times[place]:%d %b\n%H:%M}" for place in shown], fontsize=SMALL)
    axis.set_xlim(-0.5, len(entries) - 0.5)
    axis.set_title(plain(entries[-1].name, 40), loc="left", fontsize=10)
    axis.set_ylabel(plain(str(entries[-1].headline["name"]), 40), color=FAINT, fontsize=SMALL)
    axis.tick_params(axis="y", labelsize=SMALL)
