"""The steps of a training on a page: which of them paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell
from sightline.operations.pages.words import interval, metric_title

RUNGS = {
    "head": "last layer alone",
    "fine_tune": "fine-tuning",
    "soup": "mean of the weights of several",
    "distill": "distilled from several",
}


def ladder_table(ladder: Mapping[str, Any]) -> Table:
    """Return one row per step: its score on validation, the gain over what was kept before, and whether it was kept.

    Args:
        ladder: what `ladder.json` says.
    """
    rows = []
    for rung in ladder["rungs"]:
        low, high = rung["low"], rung["high"]
        between = Cell(interval(low, high), -1e300 if low is None else low)
        kept = text_cell("kept" if rung["kept"] else "not kept", rung["reason"], "good" if rung["kept"] else "faint")
        cells = [figure_cell(rung["score"]), figure_cell(rung["gain"]), between, kept]
        rows.append([text_cell(RUNGS[rung["rung"]]), *cells])
    told = f"Steps of the training, {metric_title(ladder['metric'])} on {ladder['samples']:,} validation images"
    columns = [("step", False), ("score", True), ("gain", True), (f"{ladder['confidence']:.0%} interval", True)]
    return Table(told, [*columns, ("outcome", False)], rows)
