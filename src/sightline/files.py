"""Writes files and folders so that a reader sees the old or the new one, never a half."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.parent / f".{path.name}.{os.getpid()}.new"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
        old = path.parent / f".{path.name}.{os.getpid()}.old"
        if path.exists():
            path.rename(old)
        work.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; the file written there takes its place when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.parent / f".{path.stem}.{os.getpid()}.new{path.suffix}"
    try:
        yield work
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """Write values as indented JSON with sorted keys, the same bytes for the same values."""
    with new_file(path) as work:
        work.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the values of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
