"""`sightline models`: the registered models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.commands.options import ParamsFile

NEXT = {
    "make ui": "runs, curves, pictures and versions in MLflow, http://127.0.0.1:5000",
    "$EDITOR params.yaml && make repro": "your own images: add a data set and a model, then run the new stages",
    "make retrain": "the same as a Prefect flow, as the schedule runs it",
}


def models(
    params: ParamsFile = Path("params.yaml"),
    following: Annotated[bool, typer.Option("--next", help="also show the commands to type next")] = False,
) -> None:
    """Show each model with its score on the test split and its status in the registry."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.registry.best_models import below_the_table
    from sightline.registry.outcome_table import registry_table, table_rows
    from sightline.registry.outcomes import last_outcomes

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    settings = load_params(params)
    names = settings.registered()
    registered = [outcome for outcome in last_outcomes(Path()) if outcome.name in names]
    if registered:
        console.print(registry_table(table_rows(registered)))
        datasets = {name: settings.dataset_of(name) for name in names}
        for line in below_the_table(registered, datasets, Path()):
            console.print(line, markup=False, soft_wrap=True)
    missing = [name for name in names if name not in {outcome.name for outcome in registered}]
    if missing:
        told = f"{', '.join(missing)} not registered yet" if registered else "no model is registered yet"
        console.print(f"{told}; `dvc repro` trains and registers the models of params.yaml", soft_wrap=True)
    if following:
        console.print("\nNext:")
        for command, told in NEXT.items():
            console.print(f"  [bold]{command:<36}[/bold] {told}", soft_wrap=True)
