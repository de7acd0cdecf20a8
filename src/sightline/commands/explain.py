"""`sightline explain`: heat maps of your images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    model: Annotated[str, typer.Argument(help="NAME, NAME@champion, NAME/3 or a model folder")],
    images: Annotated[list[Path], typer.Argument(help="image files")],
    out: Annotated[Path, typer.Option(help="the output folder")],
) -> None:
    """Draw heat maps of a network's most confident predictions for images, with checks of their validity."""
    from sightline.evaluation.explain.own_images import explain_images
    from sightline.registry.resolving import resolve_model

    pictures = explain_images(resolve_model(model, Path()).folder, images, out)
    for picture in pictures:
        print(f"{out / picture.file}: {picture.title}")
        for check in picture.checks:
            if not check.passes:
                print(f"  doubtful, check {check.name} failed (docs/explain.md): {check.told}")
