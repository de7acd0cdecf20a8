"""Shows what became of the models: outcomes in, a table for the terminal out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sightline.publish import Outcome


def registry_table(outcomes: Sequence[Outcome]) -> Table:
    """Return one row per model, for a hundred characters: its score, its place in the registry, and why it is there."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("task")
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
            Text(f"{outcome.decision_text()}: {short_reason(outcome)}"),
        )
    return table


def short_reason(outcome: Outcome) -> str:
    """Return the words of a reason that come before its figures."""
    if outcome.decision == "rollback" or outcome.reason.startswith("by hand"):
        return "by hand"
    return leading_words(outcome.reason)


def leading_words(reason: str) -> str:
    """Return the words of a reason of the ledger that come before its figures."""
    return re.split(r"[:;]| by hand from | by [0-9a-f]{8}", reason, maxsplit=1)[0]
