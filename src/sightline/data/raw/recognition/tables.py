"""Signs of a table of images, of IDX files and of one folder per class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sightline.data.raw.formats.split_words import split_called
from sightline.data.raw.formats.table_columns import looks_like_boxes
from sightline.data.raw.formats.table_text import read_table
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.proposal import Proposal
from sightline.system.errors import UserError

_MOST_ASKED = 6  # columns of numbers of which the user is asked whether one or all are meant
# Folders of data sets whose annotations are missing, or do not fit.
_NO_CLASSES = {"images", "imgs", "JPEGImages", "PNGImages", "masks", "labels", "annotations", "Annotations", "annots"}
_IDX = re.compile(r"(train|t10k|test)-images[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)


def propose_idx(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal where files are named as MNIST's."""
    found = [path for path in files.paths if "/" not in path and _IDX.fullmatch(path)]
    if found:
        yield Proposal({"format": "idx"}, f"IDX files as those of MNIST ({', '.join(found)})")


def propose_tables(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal for each table; of columns of numbers, where nothing else is to be learned."""
    for path in files.ending(".csv", ".tsv"):
        try:
            columns, rows = read_table(files.root / path)
        except UserError:
            continue
        if len(columns) < 2 or not rows or looks_like_boxes(columns):
            continue
        yield Proposal({"format": "csv", "table": path}, f"the table {path} of {len(rows)} lines")
        numbers = [name for name in columns if _are_targets([row.cells[name] for row in rows])]
        choices = [numbers, *([name] for name in numbers)] if 1 < len(numbers) <= _MOST_ASKED else [numbers]
        for chosen in choices if numbers else []:
            section = {"format": "csv", "table": path, "values": chosen}
            yield Proposal(section, f"the table {path} of {len(rows)} lines with numbers in {', '.join(chosen)}")


def propose_folders(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal where images are in folders."""
    folders = {PurePosixPath(path).parts[-2] for path in files.images if "/" in path}
    if folders and not folders & _NO_CLASSES:
        classes = sorted(name for name in folders if not split_called(name))
        some = ", ".join(classes[:4]) + (f" and {len(classes) - 4} more" if len(classes) > 4 else "")
        yield Proposal({"format": "image_folder"}, f"{len(files.images)} images in folders ({some})", True)


def _are_targets(cells: list[str]) -> bool:
    """Return whether cells are numbers that can be learned: finite, more than two of them, and no numbering."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return False
    whole = all(number == int(number) for number in numbers if abs(number) < 1e15)
    numbering = whole and len(set(numbers)) == len(numbers)
    return all(abs(number) < 1e15 for number in numbers) and len(set(numbers)) > 2 and not numbering
