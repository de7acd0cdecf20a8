"""Shows what became of the models: outcomes in, a table for the terminal out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sightline.registry.outcomes import Outcome


def registry_table(outcomes: Sequence[Outcome]) -> Table:
    """Return one row per model, for 120 characters: its score, its place in the registry, and why it is there."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("task", max_width=14)
    table.add_column(Text("test score [interval]"), no_wrap=True)
    table.add_column("version", no_wrap=True)
    table.add_column("decision")
    for outcome in outcomes:
        colour = "green" if outcome.alias == "champion" else "yellow"
        table.add_row(
            Text(outcome.name),
            Text(outcome.task.replace("_", " ")),
            Text(outcome.headline_text()),
            Text.assemble(f"v{outcome.version} ", (outcome.alias, colour)),
            Text(f"{outcome.decision_text()}: {outcome.short}"),
        )
    return table
