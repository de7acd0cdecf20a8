"""Arrays of the cache: written row by row into reserved space, mapped while in use, removed longest unused first.

A process that maps a file holds a shared lock on it, which goes with the mapping; whoever makes room takes only files
that it can lock for itself. A file's time of change is the time of its last use.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.structures import UINT8
from sightline.system.disk import FULL
from sightline.system.errors import UserError
from sightline.system.files import new_file

BOUND = "SIGHTLINE_CACHE_GIB"  # of the machine, not of the project: hence no value of params.yaml
_DEFAULT_GIB = 50.0
_GIB = 1 << 30
_ZEROS = bytes(1 << 20)
_NO_RESERVING = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # file systems that cannot

WriteRow = Callable[[int, UINT8], None]


class CachedArray(np.memmap[Any, np.dtype[np.uint8]]):
    """A whole file of the cache, mapped to be read. Loader processes are sent its path, not its content.

    Parts of it are ordinary arrays.
    """

    path: Path | None = None  # of a whole file; None for what NumPy derives of it

    def __reduce__(self) -> Any:
        if self.path is None:
            return np.asarray(self).__reduce__()
        return _reopened, (self.path,)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return np.asarray(part) if isinstance(part, np.ndarray) else part


def open_array(path: Path) -> UINT8 | None:
    """Map a file and keep it from being removed as long as the mapping lives; None if there is none."""
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_SH)  # the mapping holds a duplicate of the descriptor, and so the lock
            if os.fstat(file.fileno()).st_nlink == 0:  # removed before it was locked
                continue
            with suppress(OSError):  # another user's
                os.utime(path)
            np.lib.format.read_magic(file)
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            array = CachedArray(file, kind, "r", file.tell(), shape)
            array.path = path.absolute()
            mapped: UINT8 = array
            return mapped


def _reopened(path: Path) -> UINT8:
    array = open_array(path)
    if array is None:
        raise UserError(f"{path}: was removed while it was in use; run this again")
    return array


@contextmanager
def new_array(path: Path, shape: tuple[int, ...]) -> Iterator[WriteRow]:
    """Make a file of the cache; yields the function that writes row `index`, which threads may share.

    All space is taken before the first row. Rows are written, not stored into a mapping: there a full disk would end
    the process by a signal.

    Raises:
        DiskError: the disk is full although nothing unused is left in the cache, or is not to be written to.
    """
    row_size = math.prod(shape[1:])
    folder, size = path.parent, shape[0] * row_size
    thin_out(folder, size)
    with new_file(path) as work, work.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        start, number = file.tell(), file.fileno()
        _reserve(number, start + size, folder)

        def write(index: int, row: UINT8) -> None:
            left, place = memoryview(np.ascontiguousarray(row).data).cast("B"), start + index * row_size
            if len(left) != row_size:
                raise ValueError(f"row {index} has {len(left)} bytes, expected {row_size}")
            while left:
                done = os.pwrite(number, left, place)
                left, place = left[done:], place + done

        yield write


def _reserve(number: int, end: int, folder: Path) -> None:
    """Take the space of a whole file, and that of unused files of the cache where there is no other."""
    try:
        _allocate(number, end)
    except OSError as error:
        if error.errno not in FULL or not _remove(folder, 0):
            raise
        _allocate(number, end)


def _allocate(number: int, end: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            return os.posix_fallocate(number, 0, end)
        except OSError as error:
            if error.errno not in _NO_RESERVING:
                raise
    place = os.fstat(number).st_size
    while place < end:
        place += os.pwrite(number, _ZEROS[: end - place], place)
    return None


def thin_out(folder: Path, needed: int = 0) -> None:
    """Remove the files of a cache that were not used the longest, so that `needed` bytes more stay within its bound.

    What a process has mapped stays. What is removed is reported in a line.

    Raises:
        UserError: the bound in the environment is not a number.
    """
    bound = bound_gib()
    removed = _remove(folder, max(0, int(bound * _GIB) - needed))
    if removed:
        told = f"{len(removed)} least recently used files removed ({sum(removed) / _GIB:.2f} GiB)"
        print(f"{folder}: {told}, to keep within {bound:g} GiB; {BOUND} sets the bound", file=sys.stderr)


def bound_gib() -> float:
    """Return how large a cache may become, GiB."""
    text = os.environ.get(BOUND, "")
    try:
        bound = float(text) if text else _DEFAULT_GIB
    except ValueError:
        bound = math.nan
    if not 0 <= bound < math.inf:
        raise UserError(
            f"{BOUND}: {text!r} is not a size in GiB; give a number such as 50, or 0 to delete everything unused"
        )
    return bound


def _remove(folder: Path, allowed: int) -> list[int]:
    """Remove unused files until the others have at most `allowed` bytes; return the sizes of those removed."""
    files = []
    for path in folder.glob("[!.]*.npy"):  # not what is being written
        with suppress(FileNotFoundError):
            files.append((path.stat().st_mtime_ns, path, path.stat().st_size))
    total, removed = sum(size for _, _, size in files), []
    for _, path, size in sorted(files):
        if total <= allowed:
            break
        if _remove_unused(path):
            total -= size
            removed.append(size)
    return removed


def _remove_unused(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:  # in use, gone already, another user's, or on a file system without locks
        return False
    return True
