"""DVC stage `register`: brings the registry in line with release/, and prints what became of each model."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sightline.config import Params
from sightline.config.evaluation import Evaluation
from sightline.publish import Outcome, register
from sightline.stage import run_stage


def evaluate_champion(model: Path, prepared: Path, settings: Evaluation, folder: Path) -> object:
    """Predict the present test split with an older model; torch is imported only when that is needed."""
    from sightline.evaluate import evaluate_model

    return evaluate_model(model, prepared, settings, folder)


def table(outcomes: Sequence[Outcome]) -> Table:
    """Return one row per model."""
    found = Table("model", "task", "headline [interval]", "version", "alias", "decision", "reason")
    for outcome in outcomes:
        head, tail = (outcome.name, outcome.task, outcome.headline_text()), (outcome.decision, outcome.reason)
        found.add_row(*head, outcome.version, f"@{outcome.alias}", *tail)
    return found


def main(params: Params) -> None:
    """Register what is released."""
    console = Console(markup=False, width=None if sys.stdout.isatty() else 160)  # logs have no width
    outcomes = register(params, Path(), evaluate_champion, console.print)
    if outcomes:
        console.print(table(outcomes))


if __name__ == "__main__":
    run_stage(main)
