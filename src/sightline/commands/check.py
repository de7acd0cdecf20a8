"""`sightline check`: whether a params file can be used, and with what values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.system.errors import UserError
from sightline.system.words import count_of


def check(
    params: Annotated[Path, typer.Argument(help="the params file")] = Path("params.yaml"),
    full: Annotated[bool, typer.Option("--full", help="print every value that will be used, and why")] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="NAME", help="with --full: of this data set, model or head alone")
    ] = None,
    contract: Annotated[
        bool, typer.Option("--contract", help="test the tasks, formats and metrics of installed packages instead")
    ] = False,
) -> None:
    """Read a params file and report every error in it and every file name that DVC cannot take, training nothing."""
    if contract:
        _try_contract()
        return
    from sightline.config import load_params
    from sightline.config.published import unpublished
    from sightline.data.raw.names import require_utf8
    from sightline.data.raw.roots import missing_roots
    from sightline.pipeline.dag import DAG, write_dag

    checked = load_params(params)
    require_utf8(params.parent / dataset.root for dataset in checked.datasets.values())
    if params.name == "params.yaml" and (params.parent / DAG).is_file() and write_dag(params.parent, checked):
        print(f"{params.parent / DAG}: brought up to date")
    # No error: a fresh clone is checked before `dvc pull`. Other files of params, as examples, belong to no project.
    absent = missing_roots(checked.datasets, params.parent) if params.name == "params.yaml" else []
    fetched = {f"models.{name}": one.trunk() for name, one in checked.models.items() if one.weights == "pretrained"}
    for line in [*absent, *unpublished(fetched)]:  # neither is an error: the library may know a name that is newer
        print(line, file=sys.stderr)
    if only is not None and not full:
        raise UserError("--only is for --full: sightline check --full --only NAME")
    if full:
        from sightline.config.full import full_text

        print(full_text(params, checked, only), end="")
        return
    good = f"good, but {len(absent)} of its data sets not here yet" if absent else "good"
    heads = f", {count_of(len(checked.heads), 'head')}" if checked.heads else ""
    counts = f"{count_of(len(checked.datasets), 'data set')}, {count_of(len(checked.models), 'model')}{heads}"
    print(f"{params}: {good}: {counts}")


def _try_contract() -> None:
    """Try what the installed packages bring.

    Raises:
        UserError: they break a promise.
    """
    from sightline.evaluation.contract import check_installed

    promises = []
    for promise in check_installed():
        print(f"{'broken' if promise.broken else 'ok':<7}{promise.subject} {promise.what}", flush=True)
        promises.append(promise)
    broken = [f"{one.subject} {one.what}: {one.broken}" for one in promises if one.broken]
    if broken:
        raise UserError([*broken, "after a broken promise, the remaining checks of that subject were skipped"])
    if not promises:
        print("no installed package provides a task, format or metric")
