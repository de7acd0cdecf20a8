"""A table's text: encoding, separator, header and rows as spreadsheets and programs write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from sightline.data.raw.formats.text import BrokenText, decoded, told_by_bytes
from sightline.system.errors import UserError

SEPARATORS = (",", ";", "\t", "|")


class Row(NamedTuple):
    """A line of a table, its cells by column, without blanks around them."""

    line: int
    cells: dict[str, str]


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Return the columns and the rows of a table; lines and columns without any text are left out.

    Raises:
        UserError: it is missing, no text, or its lines have other numbers of cells than its header.
    """
    text = _text(path)
    declared = re.match(r"sep=(.)\r?\n", text)  # as spreadsheets are reported the separator
    skipped, separator = (1, declared[1]) if declared else (0, _separator(text))
    reader = csv.reader(
        StringIO(text[declared.end() :] if declared else text, newline=""), delimiter=separator, strict=True
    )
    try:
        lines = [(reader.line_num + skipped, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        line = reader.line_num + skipped
        raise UserError(f"{path}: line {line}: not CSV: {error}; check quotes and commas") from None
    filled = [(line, cells) for line, cells in lines if any(cells)]
    if not filled:
        return [], []
    (_, header), *others = filled
    used = [place for place, name in enumerate(header) if name]
    rows = [_row(path, line, cells, header, used) for line, cells in others]
    columns = [header[place] for place in used]
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: line 1: column {repeated!r} occurs twice; keep one of them")
    return columns, rows


def _row(path: Path, line: int, cells: list[str], header: list[str], used: Sequence[int]) -> Row:
    if len(cells) != len(header):
        problem = "more cells than" if len(cells) > len(header) else "fewer cells than"
        raise UserError(f"{path}: line {line}: {problem} the header has columns; quote a cell that holds a comma")
    return Row(line, {header[place]: cells[place] for place in used})


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return decoded(data, told_by_bytes(data) or "utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; add it, or set `table` in params.yaml to another") from None
    except BrokenText as error:
        raise UserError(f"{path}: {error}; save the table as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error.strerror}") from None


def _separator(text: str) -> str:
    """Return what separates the names of the header: the mark that makes most columns of it, else a comma."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
