"""`sightline drift`: whether recent images still are what a data set was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from sightline.operations.drift.comparison import Comparison

DRIFTS = 3  # exit code of --fail


def drift(
    dataset: Annotated[str, typer.Argument(help="a prepared data set of params.yaml")],
    recent: Annotated[
        Path | None, typer.Option(help="folder of recent images; default: the one in monitor of params.yaml")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="NAME or NAME@champion, whose features and predictions are compared")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="count this check for the verdict, as the flow monitor does")
    ] = False,
    fail: Annotated[bool, typer.Option("--fail", help=f"exit with code {DRIFTS} if this check finds drift")] = False,
) -> None:
    """Compare recent images with the validation split: features, image statistics, predictions."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.operations.retraining.monitoring import check_dataset

    params = load_params(Path("params.yaml"), policies=False)
    check = check_dataset(params, dataset, Path(), recent, model, record)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(tests_table(dataset, check.comparison))
    word = "DRIFT" if check.comparison.drifting else "no drift"
    console.print(f"{dataset}: {word}: {check.comparison.reason}", markup=False, soft_wrap=True)
    if record and check.verdict is not None:
        since = f" since {check.verdict.since}" if check.verdict.since else ""
        print(f"{dataset}: verdict: {'drifting' if check.verdict.drifting else 'not drifting'}{since}")
    print(f"{check.folder}/index.html: tests, histograms, a map, the strangest images")
    if fail and check.comparison.drifting:
        raise typer.Exit(DRIFTS)


def tests_table(dataset: str, comparison: Comparison) -> Table:
    """Return every test as a table for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from sightline.operations.drift.comparison import p_text

    reference, recent = comparison.samples
    title = f"{dataset}: {recent} recent images against {reference} of validation"
    table = Table("compared", "corrected p", "p alone", "change", title=title)
    for finding in comparison.findings:
        style = "bold red" if finding.adjusted < comparison.alpha else ""
        adjusted, alone = p_text(finding.adjusted), p_text(finding.p)
        table.add_row(finding.name, adjusted, alone, escape(finding.told), style=style)
    return table
