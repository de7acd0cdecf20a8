"""File names that are not UTF-8 (of old archives, mostly), which no table, JSON file, shard or DVC can hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightline.system.errors import UserError

_TOLD = 10  # lines of an error


def is_utf8(name: str) -> bool:
    """Return whether a name can be written; Python stands surrogates in for bytes that are not UTF-8 (PEP 383)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    r"""Return a name as it can be written: bytes that are not UTF-8 become `\xe9`."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, e.g. out of JSON
        return name.encode("utf-8", "backslashreplace").decode()


def names_not_utf8(root: Path) -> Iterator[str]:
    """Yield the paths below `root`, hidden ones too, whose own name is not UTF-8, as they can be printed."""
    for parent, folders, files in os.walk(os.fsencode(root)):
        for name in sorted(folders + files):
            if not name.isascii() and not is_utf8(os.fsdecode(name)):
                path = os.fsdecode(os.path.relpath(os.path.join(parent, name), os.fsencode(root)))  # noqa: PTH118 - bytes
                yield printable(path)


def require_utf8(folders: Iterable[Path]) -> None:
    """Find names that DVC cannot hash before it dies of them (`surrogates not allowed`, with no file named).

    Raises:
        UserError: with a line for each, ten at most.
    """
    lines = [
        f"{folder / name}: the name is not UTF-8, which DVC cannot take; rename it (`convmv -f latin1 -t utf8`)"
        for folder in sorted(set(folders))
        for name in names_not_utf8(folder)
    ]
    if lines:
        raise UserError(lines[:_TOLD] + ([f"and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []))
