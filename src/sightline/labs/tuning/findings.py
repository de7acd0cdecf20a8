"""What tuning found: settings as they are, as they are suggested, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

Value = float | int | str


@dataclass(frozen=True)
class Finding:
    """One setting of a model.

    Attributes:
        setting: dotted path below the model, e.g. `optimizer.lr`.
        now: value that a training would take at present.
        suggested: the same where it should stay.
        why: the figures, in a few words.
    """

    setting: str
    now: Value
    suggested: Value
    why: str

    @property
    def changed(self) -> bool:
        """Whether another value is suggested."""
        return self.suggested != self.now


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return one row per setting, for a hundred characters."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in ("setting", "now", "suggested"):
        table.add_column(title, no_wrap=True)
    table.add_column("why")
    for found in findings:
        suggested = Text(str(found.suggested), "green") if found.changed else Text("as it is", "dim")
        table.add_row(Text(found.setting), Text(str(found.now)), suggested, Text(found.why))
    return table
