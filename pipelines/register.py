"""DVC stage `register`: brings registry and pages in line with release/, and prints what became of each model."""

import sys
from pathlib import Path

from rich.console import Console

from sightline.config import Params
from sightline.config.evaluation import Evaluation
from sightline.operations.pages import make_pages
from sightline.pipeline.process import run_stage
from sightline.registry.outcome_table import registry_table
from sightline.registry.registration import log_pages, register


def evaluate_champion(model: Path, prepared: Path, settings: Evaluation, folder: Path) -> object:
    """Predict the present test split with an older model; torch is imported only when that is needed."""
    from sightline.evaluation.evaluate import evaluate_model

    return evaluate_model(model, prepared, settings, folder)


def main(params: Params) -> None:
    """Register what is released."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)  # logs have no width

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True)

    outcomes = register(params, Path(), evaluate_champion, tell)
    if outcomes:  # none in an experiment
        console.print(registry_table(outcomes))
        made = make_pages(params, Path(), outcomes)
        if made:
            log_pages(made, params, Path(), tell)
            tell(f"pages: reports/index.html, and of {', '.join(made)}")


if __name__ == "__main__":
    run_stage(main, policies=False)
