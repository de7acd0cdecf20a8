"""`sightline summary`: the layers of a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def summary(
    name: Annotated[str, typer.Argument(help="a model of params.yaml, or a network: mnist_cnn, torchvision:vgg16")],
    size: Annotated[int | None, typer.Option(min=1, help="height and width of the image, pixels")] = None,
    channels: Annotated[int | None, typer.Option(help="channels of the image, 1 or 3")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="number of classes")] = None,
    params: Annotated[Path, typer.Option(help="the params file")] = Path("params.yaml"),
) -> None:
    """Show the layers of a network: shapes, windows, parameters, multiply-adds, receptive fields."""
    from rich.console import Console

    from sightline.commands.layer_table import find_subject, layer_table
    from sightline.config import load_params
    from sightline.models.inspect.inspection import inspect_network

    read = load_params(params) if params.exists() or params != Path("params.yaml") else None
    subject = find_subject(name, read, Path("data/prepared"), size, channels, classes)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(layer_table(subject, inspect_network(subject.network, subject.shape), console.width))
