"""The command line: look at params, networks and models, judge them by hand, predict, explain and serve."""

from __future__ import annotations

import sys

import typer

from sightline.commands.advise import advise
from sightline.commands.benchmark import benchmark
from sightline.commands.check import check
from sightline.commands.choose import choose
from sightline.commands.convert import convert
from sightline.commands.dream import dream
from sightline.commands.drift import drift
from sightline.commands.explain import explain
from sightline.commands.export import export
from sightline.commands.history import history
from sightline.commands.ingest import ingest
from sightline.commands.init import init
from sightline.commands.models import models
from sightline.commands.packages import packages
from sightline.commands.predict import predict
from sightline.commands.promote import promote, rollback
from sightline.commands.report import report
from sightline.commands.repro import repro
from sightline.commands.schedule import schedule
from sightline.commands.schema import schema
from sightline.commands.serve import serve
from sightline.commands.start import start
from sightline.commands.stylize import stylize
from sightline.commands.summary import summary
from sightline.commands.table import table
from sightline.commands.tune import tune
from sightline.commands.why import why
from sightline.pipeline.process import fail, set_up_process

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """A vision model factory: images in, evaluated, gated and registered models out."""


for command in (
    advise,
    benchmark,
    check,
    choose,
    convert,
    dream,
    drift,
    explain,
    export,
    history,
    ingest,
    init,
    models,
    packages,
    predict,
    promote,
    report,
    repro,
    rollback,
    schedule,
    schema,
    serve,
    start,
    stylize,
    summary,
    table,
    tune,
    why,
):
    app.command()(command)


def main() -> None:
    """Run the command line; bad input and a full disk end with code 2 and no traceback."""
    set_up_process()
    try:
        app(prog_name="sightline")
    except Exception as error:
        sys.exit(fail(error))
