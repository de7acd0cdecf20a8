"""Writes files and folders so that a reader sees the old or the new one, never a half."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sightline.system.disk import UNFINISHED, told_as


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to `path` that replaces it when the block ends without error.

    Raises:
        DiskError: the disk is full, or not to be written to.
    """
    with told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        work, old = (path.parent / f".{path.name}.{os.getpid()}.{end}" for end in ("new", "old"))
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            with _locked(work):
                yield work
                _replace(path, work, old)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _replace(path: Path, work: Path, old: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    try:
        work.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path next to `path`; the file written there replaces it when the block ends without error.

    Raises:
        DiskError: the disk is full, or not to be written to.
    """
    with told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        work = path.parent / f".{path.stem}.{os.getpid()}.new{path.suffix}"
        try:
            yield work
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in `parent` that is gone afterwards; if the process is killed, after the next one's start.

    Raises:
        DiskError: the disk is full, or not to be written to.
    """
    with told_as(parent):
        parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(parent)
        work = Path(tempfile.mkdtemp(prefix=f".work.{os.getpid()}.", suffix=".new", dir=parent))
        try:
            with _locked(work):
                yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; when this returns it survives a power cut, and if it fails the file is as it was.

    Raises:
        DiskError: the disk is full, or not to be written to.
    """
    with told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                left = memoryview(f"{line}\n".encode())
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(before)  # half a line would make the whole file unreadable
                if new:
                    path.unlink(missing_ok=True)
                raise
        if new:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the directory entry of a new file
            finally:
                os.close(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, by which processes that do not see each other's numbers know that it is in use."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(number, fcntl.LOCK_SH)
        yield
    finally:
        os.close(number)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; it is looked through once by each process."""
    with suppress(OSError):
        _remove_leftovers(folder.resolve())


@cache
def _remove_leftovers(folder: Path) -> None:
    for path in folder.iterdir():
        found = UNFINISHED.fullmatch(path.name)
        if found is None or _runs(int(found["process"])):
            continue
        if path.is_dir():
            if not _in_use(path):
                shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _in_use(folder: Path) -> bool:
    """Tell whether a process holds a lock on a folder: one in another container on the same disk has other numbers."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(number)
    return False


def write_json(path: Path, values: Any) -> None:
    """Write values as indented JSON with sorted keys, the same bytes for the same values."""
    with new_file(path) as work:
        work.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the values of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
