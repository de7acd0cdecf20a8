"""Shows what became of the models: outcomes in, a table for the terminal out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sightline.registry.outcomes import Outcome


class Row(NamedTuple):
    """The words of one line of the table."""

    model: str
    task: str
    score: str
    version: str
    alias: str
    decision: str


def table_rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for each model, and above that of a challenger one of the champion."""
    return [
        Row(
            outcome.name,
            outcome.task.replace("_", " "),
            outcome.headline_text(),
            outcome.place,
            outcome.alias,
            outcome.decision_text(short=True),
        )
        for released in outcomes
        for outcome in released.with_champion()
    ]


def registry_table(rows: Sequence[Row]) -> Table:
    """Return the table, for 120 characters: the score of each model, its place in the registry, and why it is there."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("task", max_width=14)
    table.add_column(Text("test score [interval]"), no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("decision")
    for row in rows:
        colour = "green" if row.alias == "champion" else "yellow"
        version = Text.assemble(f"{row.version} ", (row.alias, colour))
        table.add_row(Text(row.model), Text(row.task), Text(row.score), version, Text(row.decision))
    return table
