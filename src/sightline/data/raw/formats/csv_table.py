"""A table: the column path, targets, optionally split and group; further columns become attributes.

Targets are label (one class), labels (any number of classes in a cell), columns of 0 and 1 for each class, one line for
each label of an image, text (what is written on it), and columns of numbers that the configuration names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import Entry, FileSource, find_doubtful_names, name_of, refuse, require_root
from sightline.data.raw.formats.split_words import split_called
from sightline.data.raw.formats.table_columns import Columns, find_columns, is_set, tell_columns
from sightline.data.raw.formats.table_images import TableImages
from sightline.data.raw.formats.table_labels import (
    find_joint_labels,
    lines_of_images,
    sorted_classes,
    split_cells,
    whole_numbers,
)
from sightline.data.raw.formats.table_text import Row, read_table
from sightline.data.raw.texts import characters_of, composed, problem_of
from sightline.data.structures import SPLITS, LabelMap
from sightline.system.errors import UserError, nearest


@dataclass
class _Image:
    """What the table says of an image: names of classes, and its line."""

    path: str
    row: Row
    label: str | None
    several: list[str]


def open_csv_table(root: Path, table: str, values: Sequence[str] = (), text: str | None = None) -> FileSource:
    """Return the images that the table lists, their paths relative to `root`.

    Args:
        root: folder of the raw files.
        table: the table, below `root`.
        values: names of the columns that hold regression targets.
        text: name of the column that holds texts; None: `text`, where there is no other target.

    Raises:
        UserError: with one line per error, naming table, line, column, value and remedy.
    """
    require_root(root)
    path = root / table
    names, rows = read_table(path)
    columns = find_columns(path, names, rows, values, text)
    if not rows:
        raise UserError(f"{path}: has no rows below its header; list one image per line")
    files = TableImages(root)
    found = [files.find(row.cells[columns.path]) for row in rows]
    mistakes = [
        mistake
        for row, (_, problem) in zip(rows, found, strict=True)
        for mistake in _mistakes(path, row, columns, problem)
    ]
    images, findings = _images(columns, rows, [image for image, _ in found], table)
    refuse(path, mistakes + _repeated(path, images, columns))
    classes = sorted_classes(
        chain((one.label for one in images if one.label is not None), *(i.several for i in images))
    )
    findings += tell_columns(table, columns, rows) + find_doubtful_names(classes)
    findings += find_joint_labels(one.label for one in images if one.label is not None)
    number = {name: label for label, name in enumerate(classes)}
    entries = [_entry(image, number, columns) for image in images]
    labels = LabelMap(classes, classes, tuple(values), characters=characters_of(entry.text for entry in entries))
    return FileSource(root, labels, entries, (), findings)


def _images(
    columns: Columns, rows: Sequence[Row], paths: Sequence[str], table: str
) -> tuple[list[_Image], list[Finding]]:
    """Return the images with their classes, and how these were read."""
    told: list[str] = []
    label, labels = columns.label, columns.labels
    images = [_Image(path, row, None, []) for path, row in zip(paths, rows, strict=True)]
    if columns.flags:
        for image in images:
            image.several = [name_of(name) for name in columns.flags if is_set(image.row.cells[name])]
        if all(len(image.several) == 1 for image in images):
            for image in images:
                image.label = image.several[0]
    if labels is not None:
        for image, several in zip(images, split_cells([row.cells[labels] for row in rows]), strict=True):
            image.several = several
    if label is not None:
        single, were = whole_numbers([row.cells[label] for row in rows])
        told += ["its labels 0.0, 1.0, ... are read as whole numbers"] if were else []
        for image, name in zip(images, single, strict=True):
            image.label = name_of(name)
        lines = lines_of_images(paths, single) if labels is None and _alike(columns, images) else None
        if lines is not None:
            told.append("it has a line per label, so an image may have several classes")
            images = [_joined([images[place] for place in places]) for places in lines.values()]
    return images, [Finding("table", table, one) for one in told]


def _alike(columns: Columns, images: Sequence[_Image]) -> bool:
    """Return whether the lines of each image differ in their label alone."""
    first: dict[str, list[str]] = {}
    named = (columns.split, columns.group, columns.text, *columns.values, *columns.attributes)
    others = [name for name in named if name is not None]
    return all(
        first.setdefault(image.path, told) == told
        for image in images
        for told in [[image.row.cells[name] for name in others]]
    )


def _joined(lines: Sequence[_Image]) -> _Image:
    return _Image(lines[0].path, lines[0].row, None, [line.label for line in lines if line.label is not None])


def _mistakes(path: Path, row: Row, columns: Columns, problem: str | None) -> list[str]:
    def told(column: str, problem: str) -> str:
        return f"{path}: line {row.line}: {column} {row.cells[column]!r}: {problem}"

    found = [told(columns.path, problem)] if problem is not None else []
    if columns.label is not None and not row.cells[columns.label]:
        found.append(told(columns.label, "is empty; give the class, or remove the line"))
    if columns.split is not None and split_called(row.cells[columns.split]) is None:
        hint = nearest(row.cells[columns.split], SPLITS)
        found.append(told(columns.split, f"is not a split, use one of {', '.join(SPLITS)}{hint}"))
    if columns.text is not None and (wrong := problem_of(composed(row.cells[columns.text]))) is not None:
        found.append(told(columns.text, wrong))
    for name in columns.values:
        if not _is_number(row.cells[name]):
            comma = _is_number(row.cells[name].replace(",", ".", 1))
            remedy = f"write {row.cells[name].replace(',', '.', 1)}, with a point" if comma else "correct it"
            found.append(told(name, f"is not a finite number; {remedy}"))
    return found


def _repeated(path: Path, images: Sequence[_Image], columns: Columns) -> list[str]:
    first: dict[str, _Image] = {}
    found = []
    for image in images:
        before = first.setdefault(image.path, image)
        if before is not image:
            other = next((name for name in columns.attributes if before.row.cells[name] != image.row.cells[name]), None)
            told = f", with another {other}" if other is not None else ""
            found.append(
                f"{path}: line {image.row.line}: {columns.path} {image.path!r}: is on line {before.row.line} too"
                f"{told}; keep one of the two lines, or put all classes of an image into one cell of a column labels"
            )
    return found


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _entry(image: _Image, number: dict[str, int], columns: Columns) -> Entry:
    cells = image.row.cells
    return Entry(
        image.path,
        number[image.label] if image.label is not None else -1,
        None if columns.split is None else split_called(cells[columns.split]),
        (cells[columns.group] if columns.group is not None else None) or None,
        {name: cells[name] for name in columns.attributes} or None,
        tuple(sorted({number[name] for name in image.several})),
        tuple(float(cells[name]) for name in columns.values),
        "" if columns.text is None else composed(cells[columns.text]),
    )
