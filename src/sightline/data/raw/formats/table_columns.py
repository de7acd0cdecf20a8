"""What the columns of a table mean: by the names that they have here, or by those that they have elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.split_words import split_called
from sightline.data.raw.formats.table_text import Row
from sightline.system.errors import UserError, nearest

# Taken where a table has no column of the name itself, in any case and with blanks, - or _; the first that is there.
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "path": (
        *("file_path", "image_path", "img_path", "file_name", "image_name", "img_name", "image_file", "file"),
        *("image", "img", "image_id", "img_id", "id"),
    ),
    "label": ("class", "class_name", "label_name", "category", "category_name", "target"),
    "labels": ("classes", "tags", "categories", "targets"),
}
_BOXES = ("xmin", "x_min", "xmax", "x_max", "bbox", "x1", "left", "bbox_x")
_REPEATED = 4  # images per class on the average, above which the words of a column without a known name are classes
_YES = ("1", "1.0", "true", "yes")
_NO = ("0", "0.0", "false", "no", "")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they mean, None if there is none.

    Attributes:
        flags: columns that are classes, with 1 where an image has it.
        values: regression targets.
        attributes: all others.
        text: what is written on an image.
    """

    path: str
    label: str | None
    labels: str | None
    split: str | None
    group: str | None
    flags: tuple[str, ...]
    values: tuple[str, ...]
    attributes: tuple[str, ...]
    text: str | None = None


def find_columns(
    table: Path, columns: Sequence[str], rows: Sequence[Row], values: Sequence[str], text: str | None = None
) -> Columns:
    """Return what the columns mean.

    Args:
        table: its path, for messages.
        columns: their names.
        rows: what stands in them.
        values: names of the regression targets, from the configuration.
        text: name of the column of texts, from the configuration; None: the one called so, if nothing else is learned.

    Raises:
        UserError: the images or what is to be learned are in no column, or in more than one.
    """
    free = [name for name in columns if name not in (*values, text)]
    path = _named("path", free)
    if path is None:
        raise UserError(_missing(table, "path", columns))
    free.remove(path)
    label, labels, split, group = (_named(what, free) for what in ("label", "labels", "split", "group"))
    absent = next((name for name in (*values, *([text] if text else [])) if name not in columns), None)
    if absent is not None:
        raise UserError(_missing(table, absent, columns))
    flags: list[str] = []
    if not values and text is None and label is None and labels is None:
        text = _named("text", free)
    if not values and text is None and label is None and labels is None:
        label, labels = _elsewhere(table, "label", free), _elsewhere(table, "labels", free)
        rest = [name for name in free if name not in (split, group)]
        flags = [] if label or labels else _flags(rest, rows)
        label = label or (None if labels or flags else _only_repeated(rest, rows))
        if not (label or labels or flags):
            raise UserError(_missing(table, "label", columns, _numeric(rest, rows)))
    taken = {label, labels, split, group, text, *flags}
    attributes = tuple(name for name in free if name not in taken)
    return Columns(path, label, labels, split, group, tuple(flags), tuple(values), attributes, text)


def tell_columns(table: str, columns: Columns, rows: Sequence[Row]) -> list[Finding]:
    """Return findings on columns that are read under other names, and on those that are not, though they look so."""
    told = []
    for what in ("path", "label", "labels"):
        name = getattr(columns, what)
        if name is not None and name != what:
            told.append(f"its column {name!r} is read as {what}")
    if columns.flags:
        told.append(f"its columns {_listed(columns.flags)} are read as classes, with 1 if an image has it")
    boxes = [name for name in columns.attributes if _plain(name) in _BOXES]
    if boxes:
        told.append(f"{_listed(boxes)}: boxes in a table are kept as attributes only; use coco, voc or yolo for boxes")
    told += [
        f"its column {name!r} looks like splits, but is kept as an attribute; rename it to split to use it"
        for name in (columns.attributes if columns.split is None else ())
        if len({split_called(row.cells[name]) for row in rows} - {None}) > 1
    ]
    return [Finding("table", table, one) for one in told]


def looks_like_boxes(columns: Sequence[str]) -> bool:
    """Return whether columns of a table are corners of boxes, which no table is read for."""
    return sum(_plain(name) in _BOXES for name in columns) > 1 or any(_plain(name) == "bbox" for name in columns)


def is_set(cell: str) -> bool:
    """Return whether a flag is set."""
    return cell.lower() in _YES


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _named(what: str, columns: Sequence[str]) -> str | None:
    """Return the column called so, in any case; of the images, also one called as elsewhere."""
    if what in columns:
        return what
    words = (what, *(_ELSEWHERE[what] if what == "path" else ()))
    return next((name for word in words for name in columns if _same(name, word)), None)


def _same(name: str, word: str) -> bool:
    return _plain(name).replace("_", "") == word.replace("_", "")


def _elsewhere(table: Path, what: str, columns: Sequence[str]) -> str | None:
    found = [name for name in columns if any(_same(name, word) for word in _ELSEWHERE[what])]
    if len(found) > 1:
        raise UserError(
            f"{table}: line 1: several columns ({_listed(found)}) may be the {what}; rename one of them to {what}"
        )
    return found[0] if found else None


def _flags(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return the columns that hold but 0 and 1, where there are two or more of them."""
    known = {*_YES, *_NO}
    found = [name for name in columns if all(row.cells[name].lower() in known for row in rows)]
    found = [name for name in found if any(row.cells[name] for row in rows)]
    return found if len(found) > 1 and rows else []


def _only_repeated(columns: Sequence[str], rows: Sequence[Row]) -> str | None:
    """Return the only column, if it repeats a few words, as only classes do beside the images."""
    if len(columns) != 1 or _numeric(columns, rows):
        return None
    words = [row.cells[columns[0]] for row in rows]
    classes = {word for word in words if split_called(word) is None}
    return columns[0] if all(words) and 1 < len(classes) <= len(words) // _REPEATED else None


def _numeric(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    def number(cell: str) -> bool:
        try:
            return bool(float(cell)) or True
        except ValueError:
            return False

    return [name for name in columns if rows and all(number(row.cells[name]) for row in rows)]


def _missing(table: Path, what: str, columns: Sequence[str], numeric: Sequence[str] = ()) -> str:
    got = ", ".join(columns) or "nothing"
    words = _ELSEWHERE.get(what, ())
    more = f" (or {', '.join(words[:6])})" if words else ""
    remedy = f"name it in the header{more}"
    if what == "label":
        remedy += "; for several classes per image, use labels, or one column of 0 and 1 per class"
    if numeric:
        remedy += f"; to learn numbers, set `values: [{', '.join(numeric)}]` in params.yaml"
    return f"{table}: line 1: column {what!r} is missing, got {got}{nearest(what, columns)}; {remedy}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
