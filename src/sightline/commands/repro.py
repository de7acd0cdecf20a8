"""Command `repro`: what `dvc repro` does, with independent stages side by side, and when it will be done."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.system.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sightline.pipeline.forecast import Forecast
    from sightline.pipeline.reproduction import Result


def repro(
    jobs: Annotated[
        int,
        typer.Option(min=1, max=8, help="stages to run at the same time; set `trainer.threads` of the models to suit"),
    ] = 2,
) -> None:
    """Run what has changed, independent stages side by side; `dvc repro` runs one after the other."""
    from rich.console import Console
    from rich.live import Live

    from sightline.config import load_params
    from sightline.data.raw.names import require_utf8
    from sightline.data.raw.roots import require_roots
    from sightline.pipeline.forecast import Forecast
    from sightline.pipeline.reproduction import reproduce

    params = load_params(Path("params.yaml"))
    require_utf8(Path(dataset.root) for dataset in params.datasets.values())
    terminal = sys.stdout.isatty()
    console, lock = Console(highlight=False, width=None if terminal else 100), Lock()

    def say(text: str) -> None:
        with lock:
            console.print(text, markup=False, soft_wrap=True)  # above the live line, if there is one
            sys.stdout.flush()

    def follow(forecast: Forecast, stage: str) -> None:
        if not stage and forecast.pending:
            require_roots({n: one for n, one in params.datasets.items() if f"prepare@{n}" in forecast.pending})
            show_plan(forecast, console)
        elif stage and not terminal:
            verb = "begins" if stage in forecast.begun else "ended"
            say(f"{stage} {verb}: {forecast.words()}")

    forecast = Forecast(Path(), jobs, follow)
    live = Live(console=console, get_renderable=lambda: progress_bar(forecast), refresh_per_second=2, transient=True)
    with live if terminal else nullcontext():
        results = reproduce(Path(), jobs, lambda stage, line: say(f"{stage} | {line}"), forecast)
    console.print(summary_table(results, forecast))
    failed = [result.stage for result in results if result.outcome == "failed"]
    if failed:
        raise UserError(
            f"{', '.join(failed)} failed, see above; `dvc repro -k` runs the stages that do not depend on it"
        )


def show_plan(forecast: Forecast, console: Console) -> None:
    """Print what will run and about how long each part and all will take."""
    from rich.table import Table

    from sightline.pipeline.durations import time_words

    table = Table("of", "stages", "about", title="What will run")
    for part in forecast.parts():
        kinds = ", ".join(stage.partition("@")[0] for stage in part.stages)
        table.add_row(part.name or "all", kinds, time_words(part.seconds))
    console.print(table)
    at_once = f", {forecast.jobs} at a time" if forecast.jobs > 1 else ""
    count = len(forecast.pending)
    print(f"{count} stage{'' if count == 1 else 's'}{at_once}: about {time_words(forecast.left())} in all", flush=True)
    if unknown := forecast.assumed():
        print(f"nothing like {', '.join(unknown)} has run here, so its time is a first guess", flush=True)


def progress_bar(forecast: Forecast) -> Table:
    """Return the line that stays at the bottom of a terminal: stages done, what runs, time left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    line = Table.grid(padding=(0, 1))
    if forecast.pending:
        running = ", ".join(sorted(forecast.begun)) or "nothing runs"
        bar = ProgressBar(total=max(1, len(forecast.pending)), completed=len(forecast.results), width=20)
        line.add_row(bar, forecast.words(), running)
    return line


def summary_table(results: list[Result], forecast: Forecast) -> Table:
    """Return what was run, what it was expected to take and what it took."""
    from rich.table import Table

    table = Table("stage", "result", title="What was run")
    for name in ("expected, s", "taken, s"):
        table.add_column(name, justify="right")
    for result in results:
        guess = f"{forecast.told(result.stage):.0f}"
        taken = f"{result.seconds:.0f}" if result.outcome != "skipped" else ""
        table.add_row(result.stage, result.outcome, guess, taken)
    return table
