"""Command `repro`: what `dvc repro` does, with independent stages side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer

from sightline.system.errors import UserError


def repro(
    jobs: Annotated[
        int,
        typer.Option(min=1, max=8, help="stages to run at the same time; set `trainer.threads` of the models to suit"),
    ] = 2,
) -> None:
    """Run what has changed, independent stages side by side; `dvc repro` runs one after the other."""
    from rich.console import Console
    from rich.table import Table

    from sightline.config import load_params
    from sightline.data.raw.names import require_utf8
    from sightline.pipeline.reproduction import reproduce

    params = load_params(Path("params.yaml"))
    require_utf8(Path(dataset.root) for dataset in params.datasets.values())
    lock = Lock()

    def tell(stage: str, line: str) -> None:
        with lock:
            print(f"{stage} | {line}", flush=True)

    results = reproduce(Path(), jobs, tell)
    table = Table("stage", "result", "seconds", title="What was run")
    for result in results:
        table.add_row(result.stage, result.outcome, f"{result.seconds:.0f}" if result.outcome != "skipped" else "")
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)
    failed = [result.stage for result in results if result.outcome == "failed"]
    if failed:
        raise UserError(
            f"{', '.join(failed)} failed, see above; `dvc repro -k` runs the stages that do not depend on it"
        )
