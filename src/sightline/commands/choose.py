"""`sightline choose`: the best settings of a model that a time allows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from sightline.labs.choose.outcome import Outcome

_SHOWN = 12  # trials in the table


def choose(
    name: Annotated[str, typer.Argument(help="a network of params.yaml, or a data set with one or none")],
    minutes: Annotated[
        float, typer.Option(min=1, help="time of the search; one that goes on counts what it took")
    ] = 60.0,
    latency: Annotated[str | None, typer.Option(help="largest time for an image on one processor, e.g. 20ms")] = None,
    size: Annotated[str | None, typer.Option(help="largest size of the ONNX file, e.g. 10MB")] = None,
    task: Annotated[str | None, typer.Option(help="what a data set without a network is to teach")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only search and report")] = False,
) -> None:
    """Search recipes, networks, input sizes and learning rates of a model, and write the best into params.yaml."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.labs.choose.choosing import choose as search
    from sightline.labs.choose.cost import parsed_limits
    from sightline.labs.choose.inputs import bring_up_to_date
    from sightline.labs.choose.subject import model_to_choose, new_model
    from sightline.labs.choose.writing import write_choice
    from sightline.system.errors import UserError

    def tell(line: str) -> None:
        print(line, flush=True)

    root, file, limits = Path(), Path("params.yaml"), parsed_limits(latency, size)
    model = model_to_choose(load_params(file), file, name)
    if model is None:
        if dry_run:
            raise UserError(f"{name}: has no network yet, and --dry-run adds none to {file}")
        model = new_model(root, file, name, task, lambda stage: bring_up_to_date(root, [stage], tell), tell)
    text = file.read_bytes().decode("utf-8")
    outcome, page = search(root, text, model, 60 * minutes, limits, tell)
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(trials_table(outcome))
    for line in summary(outcome):
        print(line)
    print(f"page: {page}")
    if outcome.winner is None or dry_run:
        why = "because of --dry-run" if outcome.winner is not None else "as no trial has finished within the limits"
        print(f"{file}: not changed, {why}")
        return
    write_choice(file, outcome, text)
    print(
        f"{file}: models.{model}: wrote {', '.join(outcome.changes) or 'nothing but the reason: it is best as it is'}"
    )
    print("Next: dvc repro     (the training is in DVC's cache; the test split is opened by its evaluation only)")


def trials_table(outcome: Outcome) -> Table:
    """Return the trials, the best one first; then those that were stopped or failed."""
    from rich.table import Table

    table = Table("trial", "recipe", "network", title=f"What was tried for {outcome.model}")
    for title in ("px", "lr", outcome.metric, "ms", "MB", "s"):
        table.add_column(title, justify="right")
    table.add_column("")
    finished = outcome.finished
    others = [record for record in outcome.records if record not in finished]
    for record in [*finished, *others][:_SHOWN]:
        own, found = record.candidate, record.found
        score = record.score
        cells = [
            "" if score is None else f"{score:.4f}",
            f"{found['latency_ms']:.1f}" if "latency_ms" in found else "",
            f"{found['size_bytes'] / 1e6:.1f}" if "size_bytes" in found else "",
            "" if record.seconds is None else f"{record.seconds:.0f}",
        ]
        is_winner = outcome.winner is not None and record.number == outcome.winner.number
        words = "chosen" if is_winner else record.state if record.state != "finished" else ""
        network = own.network.rpartition(":")[2]
        recipe = own.recipe or "as written"
        table.add_row(
            str(record.number),
            recipe,
            network,
            str(own.size),
            f"x {own.rate:g}",
            *cells,
            words,
            style="bold" if is_winner else None,
        )
    return table


def summary(outcome: Outcome) -> list[str]:
    """Return what the winner is worth, in lines."""
    if outcome.winner is None or outcome.reported is None or outcome.naive is None:
        return []
    own, naive = outcome.reported, outcome.naive
    return [
        f"{outcome.metric} of trial {outcome.winner.number}: {own.value:.4f} ({own.low:.4f} to {own.high:.4f}) on the "
        f"{own.samples} validation images that did not choose it",
        f"on the {naive.samples} that did: {naive.value:.4f}, which is too good on average",
    ]
