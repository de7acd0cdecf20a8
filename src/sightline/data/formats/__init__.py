"""Public formats, one file each: raw files to samples."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from sightline.config.datasets import CsvTable, Dataset, Digits, Idx, ImageFolder, Scenes
from sightline.data.formats.source import Source, Unreadable

__all__ = ["Source", "Unreadable", "open_source"]


def open_source(dataset: Dataset) -> Source:
    """Return the samples of a data set; image files are opened only as they are asked for.

    Raises:
        UserError: the layout or a table is not what the format says.
    """
    match dataset:
        case ImageFolder(root=root):
            from sightline.data.formats.image_folder import open_image_folder

            return open_image_folder(Path(root))
        case CsvTable(root=root, table=table):
            from sightline.data.formats.csv_table import open_csv_table

            return open_csv_table(Path(root), table)
        case Idx(root=root):
            from sightline.data.formats.idx import open_idx

            return open_idx(Path(root))
        case Digits():
            from sightline.data.builtin import DigitsSource

            return DigitsSource()
        case Scenes(count=count, size=size, max_objects=max_objects, seed=seed):
            from sightline.data.builtin_scenes import ScenesSource

            return ScenesSource(count, size, max_objects, seed)
        case _:
            assert_never(dataset)
