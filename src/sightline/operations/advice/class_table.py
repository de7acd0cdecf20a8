"""What each class gains from twice the data, as a table in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.operations.advice.more_data import MoreData
from sightline.operations.advice.words import points

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 12


def class_table(found: MoreData) -> Table:
    """Return the classes that gain most."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("class", title=f"What twice the data is worth to {found.head}, by class")
    for column in ("train images", "recall now", "gain, points", "interval"):
        table.add_column(column, justify="right")
    for one in found.classes[:MOST_ROWS]:
        gain = f"{points(one.low)} to {points(one.high)}"
        table.add_row(escape(one.name), f"{one.train_images:,}", f"{one.recall:.1f} %", points(one.points), gain)
    if len(found.classes) > MOST_ROWS:
        table.caption = f"and {len(found.classes) - MOST_ROWS:,} classes that gain less"
    return table
