"""`sightline table`: classifiers on every layer of embedded features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def table(
    name: Annotated[str, typer.Argument(help="an entry of features in params.yaml, embedded by dvc repro")],
    per_class: Annotated[
        int | None, typer.Option(min=2, help="train images of every class, of all splits; default: 4/5 of train")
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="random splits to measure on")] = 3,
    kinds: Annotated[str, typer.Option(help="classifiers, separated by commas")] = "linear_svm,logistic",
    dropout: Annotated[
        float, typer.Option(min=0, max=0.95, help="share of features dropped, compared with dropping none")
    ] = 0.5,
) -> None:
    """Compare classifiers on every layer of embedded features: a study on its own splits, which registers nothing."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.labs.transfer_study import chosen_text, study_features, transfer_table

    params = load_params(Path("params.yaml"))
    own, tried = params.features_of(name), kinds.split(",")
    model = own.model()
    learned = model is not None and params.model(model).dataset == own.dataset
    report = Path("reports/features", name)
    rows, title = study_features(
        Path("data/features", name), own.layers(), report, per_class, splits, tried, dropout, learned, params.seed
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(transfer_table(rows, title))
    print(f"{chosen_text(rows)}\n{report}: table.md, table.csv, tsne.png")
