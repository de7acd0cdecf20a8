"""Reports disk errors (no space, no permission) in one line, for every type that libraries raise."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.system.errors import UserError

_SPACE = "free space there, e.g. by `dvc gc --workspace` or by removing .sightline/cache, and run this again"
_OWNER = "make it writable for this user, and run this again"
# The system's message -> the text shown, and the remedy.
_TOLD = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("this user's disk quota is used up", _SPACE),
    errno.EFBIG: ("a file of this size is not allowed here", "raise the limit (`ulimit -f`), and run this again"),
    errno.EROFS: ("the file system is read-only", "mount it writable, or work elsewhere"),
    errno.EACCES: ("permission denied", _OWNER),
    errno.EPERM: ("permission denied", _OWNER),
}
FULL = (errno.ENOSPC, errno.EDQUOT)
# A file or folder that a process is writing, which is to take the place of NAME: .NAME.PROCESS.new
UNFINISHED = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)\.(?:[a-z0-9_]+\.)?(?:new|old)(?P<suffix>\.[^.]+)?")
# Libraries that write by themselves raise different types; what they say holds the system's words, or these.
_WORDS = {
    "no space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,  # SQLite, also inside the errors of SQLAlchemy and MLflow
    "disk quota exceeded": errno.EDQUOT,
    "file too large": errno.EFBIG,
    "read-only file system": errno.EROFS,
    "attempt to write a readonly database": errno.EACCES,
    "unable to open database file": errno.EACCES,
}
# These do not say why they could not write.
_WORDLESS = ("pytorchstreamwriter failed writing", "unexpected pos ", "disk i/o error", "iostream error")
_SCARCE = 1 << 20  # bytes; with less left a write that failed without a reason failed for this one


class DiskError(UserError):
    """What could not be written and why."""


def disk_error(error: BaseException, path: Path | None = None) -> DiskError | None:
    """Return the message if the disk is the cause, None otherwise.

    Args:
        error: anything that was raised; what it was raised from is looked at too.
        path: what was being written, shown if the error does not name a file.
    """
    for one in _line_of_causes(error):
        if isinstance(one, DiskError):  # a library has wrapped it
            return one
    number = _number(error)
    if number is None:
        return None
    reason, remedy = _TOLD[number]
    named = path or _named(error) or (_fullest() if number in FULL else None)
    left = f" ({_free(named) / 1e6:.1f} MB are left)" if named is not None and number in FULL else ""
    return DiskError(f"{_finished(named)}: {reason}{left}; {remedy}" if named is not None else f"{reason}; {remedy}")


@contextmanager
def told_as(path: Path) -> Iterator[None]:
    """Raise what the disk refuses in the block as an error about `path`.

    Raises:
        DiskError: it is full, or not to be written to.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        refused = disk_error(error, _named(error) or path)
        if refused is None:
            raise
        raise refused from error


def _number(error: BaseException) -> int | None:
    """Return the system's number of what is at the bottom of an error, where it is the disk."""
    for seen in _line_of_causes(error):
        if isinstance(seen, OSError) and seen.errno in _TOLD and (seen is error or seen.errno in FULL):
            return seen.errno
        if not isinstance(seen, UserError) and (number := _by_words(str(seen).lower())) is not None:
            return number
    return None


def _line_of_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(20):  # an error may stand in its own line
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _by_words(said: str) -> int | None:
    number = next((number for words, number in _WORDS.items() if words in said), None)
    if number is None and any(words in said for words in _WORDLESS) and _free(_fullest()) < _SCARCE:
        return errno.ENOSPC
    return number


def _named(error: BaseException) -> Path | None:
    """Return the file that an error names; of two, as in a copy, the one that was written if the disk is full."""
    number, names = getattr(error, "errno", None), [getattr(error, name, None) for name in ("filename", "filename2")]
    for name in reversed(names) if number in FULL else names:
        if isinstance(name, str | bytes) and name:
            return Path(os.fsdecode(name))
    return None


def _finished(path: Path) -> Path:
    """Return what a path will be called when it is whole."""
    found = [(UNFINISHED.fullmatch(part), part) for part in path.parts]
    return Path(*(one["name"] + (one["suffix"] or "") if one else part for one, part in found))


def _fullest() -> Path:
    """Return the place with the least space among those that every program writes to."""
    import tempfile

    try:
        places = [Path.cwd(), Path(tempfile.gettempdir())]
    except OSError:  # there is not even room for the probe that tempfile writes
        places = [Path.cwd()]
    return min(places, key=_free)


def _free(path: Path) -> int:
    """Return the bytes that are left where a file or folder is or would be."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return sys.maxsize
