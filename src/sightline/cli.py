"""The command line: `sightline check`, `sightline models`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.errors import UserError
from sightline.stage import be_quiet, fail

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
ParamsFile = Annotated[Path, typer.Argument(help="the params file")]


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
    from sightline.publish import registry_table

    console = Console()
    console.print(registry_table(load_params(params), Path()))
    if following:
        console.print("\nNext:")
        for command, told in NEXT.items():
            console.print(f"  [bold]{command:<28}[/bold] {told}", highlight=False)


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
