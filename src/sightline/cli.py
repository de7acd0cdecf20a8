"""The command line: check a params file, show the models, promote one or roll one back by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.errors import UserError
from sightline.stage import be_quiet, fail

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
ParamsFile = Annotated[Path, typer.Argument(help="the params file")]
ModelName = Annotated[str, typer.Argument(help="a model of params.yaml")]


@app.callback()
def _root() -> None:
    """A vision model factory: images in, evaluated, gated and registered models out."""


@app.command()
def check(params: ParamsFile = Path("params.yaml")) -> None:
    """Read a params file and tell every mistake in it, without running anything."""
    from sightline.config import load_params

    checked = load_params(params)
    print(f"{params}: good: {len(checked.datasets)} data sets, {len(checked.models)} models")


@app.command()
def models(
    params: ParamsFile = Path("params.yaml"),
    following: Annotated[bool, typer.Option("--next", help="also tell what to type next")] = False,
) -> None:
    """Show each model with its score on the test split and its place in the registry."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.publish import last_outcomes
    from sightline.summary import registry_table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    names = load_params(params).models
    registered = [outcome for outcome in last_outcomes(Path()) if outcome.name in names]
    if registered:
        console.print(registry_table(registered))
    missing = [name for name in names if name not in {outcome.name for outcome in registered}]
    if missing:
        told = f"{', '.join(missing)} not registered yet" if registered else "no model is registered yet"
        console.print(f"{told}; `make repro` makes and registers what params.yaml names", soft_wrap=True)
    if following:
        console.print("\nNext:")
        for command, told in NEXT.items():
            console.print(f"  [bold]{command:<36}[/bold] {told}", soft_wrap=True)


@app.command()
def promote(
    name: ModelName,
    reason: Annotated[str, typer.Option(help="why, for the ledger")] = "",
) -> None:
    """Make the released model the champion by hand, whatever the gate said of it."""
    from sightline.config import load_params
    from sightline.publish import promote as promote_released

    promote_released(name, load_params(Path("params.yaml")), Path(), print, reason)


@app.command()
def rollback(name: ModelName) -> None:
    """Make the champion before the present one the champion again."""
    from sightline.config import load_params
    from sightline.publish import rollback as roll_back

    roll_back(name, load_params(Path("params.yaml")), Path(), print)


NEXT = {
    "make ui": "runs, curves, pictures and versions in MLflow, http://127.0.0.1:5000",
    "$EDITOR params.yaml && make repro": "your own images: add a data set and a model, run what is new",
    "make retrain": "the same as a Prefect flow, as a schedule would run it",
}


def main() -> None:
    """Run the command line; bad input ends with code 2 and no traceback."""
    be_quiet()
    try:
        app()
    except UserError as error:
        sys.exit(fail(error))
