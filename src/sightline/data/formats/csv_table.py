"""A table with the columns path and label, optionally split and group; further columns become attributes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.config.errors import nearest
from sightline.data.formats.source import Entry, FileSource, require_root, require_two_classes
from sightline.errors import UserError
from sightline.structures import SPLITS, LabelMap

_REQUIRED = ("path", "label")
_OWN = (*_REQUIRED, "split", "group")
_TOLD = 10  # lines of an error; more would hide the first
_Row = tuple[int, dict[str, str]]  # line number, cells by column


def open_csv_table(root: Path, table: str) -> FileSource:
    """Return the images that the table lists, their paths relative to `root`.

    Raises:
        UserError: with one line per mistake, naming table, line, column, value and remedy.
    """
    require_root(root)
    path = root / table
    rows = _read(path)
    mistakes = [mistake for row in rows for mistake in _mistakes(path, *row)] + _repeated(path, rows)
    if mistakes:
        more = [f"{path}: and {len(mistakes) - _TOLD} more mistakes"] if len(mistakes) > _TOLD else []
        raise UserError(mistakes[:_TOLD] + more)
    classes = sorted_classes(cells["label"] for _, cells in rows)
    labels = LabelMap(classes, classes)
    require_two_classes(path, labels)
    number = {name: label for label, name in enumerate(classes)}
    return FileSource(root, labels, [_entry(cells, number) for _, cells in rows])


def sorted_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels, by number where all are whole numbers, else by name."""
    different = set(labels)
    if all(re.fullmatch(r"-?[0-9]+", label) for label in different):
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    return tuple(sorted(different))


def _read(path: Path) -> list[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            _require_columns(path, list(reader.fieldnames or []))
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


def _require_columns(path: Path, columns: list[str]) -> None:
    for name in _REQUIRED:
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


def _mistakes(path: Path, line: int, cells: dict[str, str]) -> list[str]:
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
    if not cells["label"]:
        found.append(told("label", "is empty; give the class, or remove the line"))
    if "split" in cells and cells["split"] not in SPLITS:
        hint = nearest(cells["split"], SPLITS)
        found.append(told("split", f"is not a split, use one of {', '.join(SPLITS)}{hint}"))
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


def _entry(cells: dict[str, str], number: dict[str, int]) -> Entry:
    split = next((name for name in SPLITS if name == cells.get("split")), None)
    attributes = {name: value for name, value in cells.items() if name not in _OWN}
    image = PurePosixPath(cells["path"]).as_posix()
    return Entry(image, number[cells["label"]], split, cells.get("group") or None, attributes or None)
