"""JSON that people and tools wrote: files that may be broken, numbers and flags that may be text."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import orjson

from sightline.data.raw.formats.annotated import whole
from sightline.system.errors import UserError

_PLAIN = frozenset((int, float))  # what JSON calls numbers; truth values are a type of their own
_SHOWN = 3  # names of files in a message
_FOREIGN = {  # a key at the top of the file: whose it is, and the remedy
    "shapes": "a LabelMe file of a single image; convert the files to one COCO file, e.g. with labelme2coco",
    "_via_img_metadata": "a project of the VGG Image Annotator; set `format: via`",
    "file": "a project of VIA 3; export it as COCO",
}


def read_json_object(path: Path, field: str, root: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file below `root` holds; `field` of params.yaml names the file.

    Raises:
        UserError: it is missing, not JSON, or holds something else.
    """
    try:
        values = _parsed(path.read_bytes())
    except FileNotFoundError:
        told = f"{path}: no such file; add it, or set `{field}` in params.yaml to another{_instead(root)}"
        raise UserError(told) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno} column {error.colno}: not JSON: {error.msg}; export it again"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); export it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error.strerror}") from None
    if not isinstance(values, dict):
        hint = " as COCO" if isinstance(values, list) else ""  # Label Studio's own JSON is a list
        raise UserError(f"{path}: holds a {type(values).__name__}, expected a mapping; export it again{hint}")
    return values


def _parsed(encoded: bytes) -> Any:
    """Return what is in a file, read by the faster parser.

    Python's own reads what that refuses, such as a byte order mark or half a character, or says what is wrong with it.
    """
    try:
        return orjson.loads(encoded)
    except ValueError:
        return json.loads(encoded.decode("utf-8-sig"))


def foreign(values: dict[str, Any]) -> str | None:
    """Return whose file this is instead, with the remedy, None if that is not known."""
    return next((told for key, told in _FOREIGN.items() if key in values), None)


def _instead(root: Path) -> str:
    """Return what is below the root instead of the file, as a hint."""
    found: list[str] = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(root)
        found += [(below / name).as_posix() for name in sorted(names) if name.lower().endswith(".json")]
        if len(found) >= _SHOWN:
            break
    if found:
        return f" (there are {', '.join(found[:_SHOWN])})"
    there = {path.name.lower() for path in root.iterdir() if path.is_dir()}
    layouts = {"labels": "yolo", "annotations": "voc", "masks": "mask_folder"}
    return next(
        (f" ({folder}/ looks like `format: {name}`)" for folder, name in layouts.items() if folder in there), ""
    )


def numbers(value: Any) -> list[float] | None:
    """Return a list of plain numbers as floats, None for anything else."""
    if not isinstance(value, list) or not _PLAIN.issuperset(map(type, value)):
        return None
    return list(map(float, value))


def identity(value: Any) -> int | str | None:
    """Return an id as it is compared: a whole number where it is one, also as 3.0, "3" or "3.0", else its text.

    None for what is not an id.
    """
    if type(value) is int:  # nearly always
        return value
    if isinstance(value, str):
        text = value.strip()
        try:
            return int(text) if text.isascii() else text or None
        except ValueError:
            head, _, tail = text.partition(".")
            return int(head) if head.isdecimal() and head.isascii() and tail and not tail.strip("0") else text or None
    return value if isinstance(value, int) and not isinstance(value, bool) else whole(value)


def flag(value: Any) -> bool | None:
    """Return whether a flag is set: a truth value, a number, or a word for it; None for anything else."""
    if value is None or isinstance(value, bool | int | float):
        return None if isinstance(value, float) and math.isnan(value) else bool(value)
    words = {"": False, "0": False, "0.0": False, "false": False, "no": False, "none": False, "null": False}
    words |= {"1": True, "1.0": True, "true": True, "yes": True}
    return words.get(value.strip().lower()) if isinstance(value, str) else None
