"""DVC stage `register`: brings registry and pages in line with release/, and prints what became of each model."""

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.pipeline.process import run_stage
from sightline.pipeline.rest import Rest

if TYPE_CHECKING:
    from rich.console import Console

    from sightline.config import Params
    from sightline.config.evaluation import Evaluation

READS = ("params.yaml", "release", "models", "reports", "data/prepared", "data/slices", ".sightline/durations")
WRITES = ("registry", "mlflow.db", "mlflow.db-wal", ".sightline/registry.json", ".sightline/pages.json")
# What is too much to look at and on no page, is written here, or is noted of this stage itself.
SKIPPED = re.compile(
    r"(data/prepared/[^/]+/(train|val|test)|reports(/[^/]+)?/index\.html|\.sightline/durations/(code|register)\.json)$"
)
# A server may know more at any time; an experiment registers nothing.
ELSEWHERE = ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME")


@cache
def rest() -> Rest:
    """Return the state of what is registered and shown, as it is when this is called first."""
    writes = [*map(Path, WRITES), *Path().glob("reports/**/index.html")]
    skipped = lambda path: SKIPPED.search(path) is not None  # noqa: E731
    return Rest(Path(), "register", [Path(path) for path in READS], writes, [str(Path.cwd())], skipped)


def console() -> "Console":
    """Return the terminal, or a wide one where what is printed goes into a file."""
    from rich.console import Console

    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)  # logs have no width


def at_rest() -> bool:
    """Return whether there is nothing new to register or to show, and print the table again."""
    from sightline.registry.outcome_table import Row, registry_table

    if any(map(os.environ.get, ELSEWHERE)) or not Path("mlartifacts").is_dir() or not rest().holds():
        return False
    console().print(registry_table([Row(*cells) for cells in rest().known["rows"]]))
    for line in rest().known.get("below", []):
        console().print(line, soft_wrap=True)
    return True


def evaluate_champion(model: Path, prepared: Path, settings: "Evaluation", folder: Path) -> object:
    """Predict the present test split with an older model; torch is imported only when that is needed."""
    from sightline.evaluation.evaluate import evaluate_model

    return evaluate_model(model, prepared, settings, folder)


def main(params: "Params") -> None:
    """Register what is released."""
    from sightline.operations.pages import make_pages
    from sightline.registry.best_models import below_the_table
    from sightline.registry.outcome_table import registry_table, table_rows
    from sightline.registry.registration import log_pages, register

    shown = console()

    def tell(line: str) -> None:
        shown.print(line, soft_wrap=True)

    outcomes = register(params, Path(), evaluate_champion, tell)
    if not outcomes:  # in an experiment
        return
    below = below_the_table(outcomes, {name: params.dataset_of(name) for name in params.registered()}, Path())
    shown.print(registry_table(table_rows(outcomes)))
    for line in below:
        tell(line)
    made = make_pages(params, Path(), outcomes)
    if made:
        log_pages(made, params, Path(), tell)
        tell(f"pages: reports/index.html, and of {', '.join(made)}")
    rest().keep(rows=table_rows(outcomes), below=below)


if __name__ == "__main__":
    run_stage(main, at_rest=at_rest)
