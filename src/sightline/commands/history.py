"""`sightline history`: promotions, refusals and rollbacks over time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def history(
    name: Annotated[str | None, typer.Argument(help="a model of params.yaml; all if left out")] = None,
) -> None:
    """Show who was champion when and what was refused, and write reports/history.png."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.registry.history import history_table, plot_history
    from sightline.registry.ledger import Ledger

    params = load_params(Path("params.yaml"), policies=False)
    if name is not None:
        params.dataset_of(name)  # one line of error where there is no such model
    entries = [e for e in Ledger(Path("registry/ledger.jsonl")).entries if name in (None, e.name)]
    if not entries:
        print(f"no decision on {name or 'any model'} yet; `dvc repro` trains and registers the models of params.yaml")
        return
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, width=width).print(history_table(entries))
    page = Path("reports") / ("history.png" if name is None else f"history-{name}.png")
    plot_history(entries, page)
    print(f"{page}: the same as a picture")
