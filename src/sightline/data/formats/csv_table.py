"""A table: the column path, targets, optionally split and group; further columns become attributes.

Targets are label (one class), labels (any number of classes, separated by | or, where no cell has one, by spaces) and
columns of numbers that the configuration names.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.config.errors import nearest
from sightline.data.formats.source import Entry, FileSource, refuse, require_root
from sightline.errors import UserError
from sightline.structures import SPLITS, LabelMap

_OWN = ("path", "label", "labels", "split", "group")
_Row = tuple[int, dict[str, str]]  # line number, cells by column


def open_csv_table(root: Path, table: str, values: Sequence[str] = ()) -> FileSource:
    """Return the images that the table lists, their paths relative to `root`.

    Args:
        root: folder of the raw files.
        table: the table, below `root`.
        values: names of the columns that hold regression targets.

    Raises:
        UserError: with one line per mistake, naming table, line, column, value and remedy.
    """
    require_root(root)
    path = root / table
    rows = _read(path, values)
    mistakes = [mistake for row in rows for mistake in _mistakes(path, *row, values)] + _repeated(path, rows)
    refuse(path, mistakes)
    separator = "|" if any("|" in cells.get("labels", "") for _, cells in rows) else None  # None: white space
    several = [_names(cells.get("labels", ""), separator) for _, cells in rows]
    classes = sorted_classes([*(cells["label"] for _, cells in rows if "label" in cells), *chain(*several)])
    labels = LabelMap(classes, classes, tuple(values))
    number = {name: label for label, name in enumerate(classes)}
    entries = [_entry(cells, number, own, values) for (_, cells), own in zip(rows, several, strict=True)]
    return FileSource(root, labels, entries)


def sorted_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels, by number where all are whole numbers, else by name."""
    different = set(labels)
    if all(re.fullmatch(r"-?[0-9]+", label) for label in different):
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    return tuple(sorted(different))


def _names(cell: str, separator: str | None) -> list[str]:
    return [name.strip() for name in cell.split(separator) if name.strip()]


def _read(path: Path, values: Sequence[str]) -> list[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            _require_columns(path, list(reader.fieldnames or []), values)
            rows = [(reader.line_num, _cells(path, reader.line_num, row)) for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; add it, or name another with `table` in params.yaml") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save the table as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not CSV: {error}; check quotes and commas") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error.strerror}") from None
    if not rows:
        raise UserError(f"{path}: has no rows below its header; list one image per line")
    return rows


def _require_columns(path: Path, columns: list[str], values: Sequence[str]) -> None:
    targets = [] if values or "labels" in columns else ["label"]
    for name in ["path", *targets, *values]:
        if name not in columns:
            got = ", ".join(columns) or "nothing"
            hint = nearest(name, columns)
            separator = next((f"; separate columns by commas, not {mark!r}" for mark in ";\t|" if mark in got), "")
            raise UserError(
                f"{path}: line 1: column {name!r} is missing, got {got}{hint}; name it in the header{separator}"
            )
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: line 1: column {repeated!r} comes twice; keep one of them")


def _cells(path: Path, line: int, row: dict[str, Any]) -> dict[str, str]:
    if "" in row or None in row.values():
        problem = "more cells than" if "" in row else "fewer cells than"
        raise UserError(f"{path}: line {line}: {problem} the header has columns; quote a cell that holds a comma")
    return {name: value.strip() for name, value in row.items()}


def _mistakes(path: Path, line: int, cells: dict[str, str], values: Sequence[str]) -> list[str]:
    def told(column: str, problem: str) -> str:
        return f"{path}: line {line}: {column} {cells[column]!r}: {problem}"

    found = []
    image = cells["path"]
    if not image:
        found.append(told("path", "is empty; name the image file"))
    elif "\\" in image:
        found.append(told("path", "has a backslash; separate folders by /"))
    elif PurePosixPath(image).is_absolute() or ".." in PurePosixPath(image).parts:
        found.append(told("path", f"leaves {path.parent}; give a path below it"))
    if cells.get("label") == "":
        found.append(told("label", "is empty; give the class, or remove the line"))
    if "split" in cells and cells["split"] not in SPLITS:
        hint = nearest(cells["split"], SPLITS)
        found.append(told("split", f"is not a split, use one of {', '.join(SPLITS)}{hint}"))
    found += [told(name, "is not a finite number; correct it") for name in values if not _is_number(cells[name])]
    return found


def _repeated(path: Path, rows: list[_Row]) -> list[str]:
    first: dict[str, int] = {}
    found = []
    for line, cells in rows:
        image = PurePosixPath(cells["path"]).as_posix()
        if image in first:
            found.append(f"{path}: line {line}: path {image!r}: is on line {first[image]} too; keep one of the two")
        first.setdefault(image, line)
    return found


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _entry(cells: dict[str, str], number: dict[str, int], several: Sequence[str], values: Sequence[str]) -> Entry:
    return Entry(
        PurePosixPath(cells["path"]).as_posix(),
        number[cells["label"]] if "label" in cells else -1,
        next((name for name in SPLITS if name == cells.get("split")), None),
        cells.get("group") or None,
        {name: value for name, value in cells.items() if name not in _OWN and name not in values} or None,
        tuple(sorted({number[name] for name in several})),
        tuple(float(cells[name]) for name in values),
    )
