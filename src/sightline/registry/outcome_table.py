"""Shows what became of the models: outcomes in, a table for the terminal out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sightline.registry.outcomes import Outcome


def registry_table(outcomes: Sequence[Outcome]) -> Table:
    """Return one row per model, for 120 characters: its score, its place in the registry, and why it is there.

    Of a challenger, a row of the champion is above it.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("task", max_width=14)
    table.add_column(Text("test score [interval]"), no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("decision")
    for outcome in (one for released in outcomes for one in released.with_champion()):
        colour = "green" if outcome.alias == "champion" else "yellow"
        table.add_row(
            Text(outcome.name),
            Text(outcome.task.replace("_", " ")),
            Text(outcome.headline_text()),
            Text.assemble(f"{outcome.place} ", (outcome.alias, colour)),
            Text(outcome.decision_text(short=True)),
        )
    return table
