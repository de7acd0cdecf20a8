"""`sightline advise`: what to do next with a data set or a model, from what was measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def advise(
    name: Annotated[
        str | None, typer.Argument(help="a data set, or a model or head, of params.yaml; default: every data set")
    ] = None,
) -> None:
    """Say what more data is worth, whether a head is as good as a network, and what the test images can show."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.operations.advice import advise as advice_on
    from sightline.operations.advice.candidates import candidates, read_metrics
    from sightline.operations.advice.missing import what_is_missing
    from sightline.operations.advice.words import sentences
    from sightline.system.errors import UserError

    root = Path()
    settings = load_params(root / "params.yaml")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    names = [name] if name else sorted({one.dataset for one in settings.registered().values()})
    every = [advice_on(root, settings, one) for one in names]
    missing = [what_is_missing(root, settings, one) for one in every]
    models = [one for advice in every for one in candidates(settings, advice.dataset)]
    if all(one.is_empty for one in every) and all(read_metrics(root, one.name) is None for one in models):
        raise UserError(list(dict.fromkeys(line for lines in missing for line in lines)))
    for one, lines in zip(every, missing, strict=True):
        console.print(f"[bold]{one.model or one.dataset}[/bold]")
        for sentence in [*sentences(one), *lines]:
            console.print(sentence, markup=False)
        if one.doubling is not None:
            from sightline.operations.advice.class_table import class_table

            console.print(class_table(one.doubling))
