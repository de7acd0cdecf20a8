"""DVC stage `register`: brings the registry in line with release/, and prints what became of each model."""

import sys
from pathlib import Path

from rich.console import Console

from sightline.config import Params
from sightline.config.evaluation import Evaluation
from sightline.publish import register
from sightline.stage import run_stage
from sightline.summary import registry_table


def evaluate_champion(model: Path, prepared: Path, settings: Evaluation, folder: Path) -> object:
    """Predict the present test split with an older model; torch is imported only when that is needed."""
    from sightline.evaluate import evaluate_model

    return evaluate_model(model, prepared, settings, folder)


def main(params: Params) -> None:
    """Register what is released."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 100)  # logs have no width
    outcomes = register(params, Path(), evaluate_champion, lambda line: console.print(line, soft_wrap=True))
    if outcomes:
        console.print(registry_table(outcomes))


if __name__ == "__main__":
    run_stage(main)
