"""`sightline export`: a prepared split as COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    dataset: Annotated[str, typer.Argument(help="a prepared data set")],
    to: Annotated[Path, typer.Option(help="the folder to make")],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="which part")] = "test",
) -> None:
    """Write a split of a prepared data set as COCO: images/ and annotations.json."""
    from sightline.data.export import export_coco

    images, annotations = export_coco(Path("data/prepared") / dataset, split, to)
    print(f"{to}: {images} images, {annotations} annotations")
