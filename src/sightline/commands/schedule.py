"""`sightline schedule`: retraining and monitoring at set times, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, assert_never

import typer


def schedule(
    what: Annotated[Literal["start", "stop", "status"], typer.Argument(help="what to do")],
    port: Annotated[int, typer.Option(min=1024, max=65535, help="port of Prefect's server on 127.0.0.1")] = 4200,
) -> None:
    """Start, stop or show what prefect.yaml schedules: a Prefect server and a worker in the background."""
    from sightline.operations.retraining import schedule as programs

    match what:
        case "start":
            programs.start(Path(), port, print)
        case "stop":
            programs.stop(Path(), print)
        case "status":
            if not programs.tell(Path(), print):
                raise typer.Exit(1)
        case _:
            assert_never(what)
