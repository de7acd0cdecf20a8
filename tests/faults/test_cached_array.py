"""The cache: space is taken first, what is in use stays, what was not used the longest goes."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sightline.data import cached_array
from sightline.data.cached_array import BOUND, new_array, open_array, thin_out
from sightline.data.structures import UINT8
from sightline.system.disk import DiskError
from sightline.system.errors import UserError

HOLDS = """
import sys
from sightline.data.cached_array import *

array = open_array(Path(sys.argv[1]))
print(flush=True)
input()
"""
ROWS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)


def made(path: Path, rows: UINT8 = ROWS, age: int = 0) -> Path:
    with new_array(path, rows.shape) as write:
        for index in reversed(range(len(rows))):
            write(index, rows[index])
    os.utime(path, ns=(0, 10**18 - age))
    return path


def test_what_is_written_is_read_and_as_numpy_reads_it(tmp_path: Path) -> None:
    path = made(tmp_path / "a.npy")
    assert np.array_equal(np.load(path), ROWS)
    array = open_array(path)
    assert array is not None
    assert np.array_equal(array, ROWS)
    chosen = array[np.array([3, 1])]
    assert type(chosen) is np.ndarray
    chosen[0] = 0  # a copy that augmentation may write to
    assert np.array_equal(array[3], ROWS[3])
    assert open_array(tmp_path / "none.npy") is None
    empty = open_array(made(tmp_path / "empty.npy", ROWS[:0]))
    assert empty is not None
    assert empty.shape == (0, 8, 8, 3)


def test_loader_processes_are_sent_the_path_and_parts_as_they_are(tmp_path: Path) -> None:
    array = open_array(made(tmp_path / "a.npy"))
    assert array is not None
    sent = pickle.dumps(array)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent), ROWS)  # noqa: S301 - as loader processes do
    for part in (array[5:7], array.T, array + 1):
        assert np.array_equal(pickle.loads(pickle.dumps(part)), np.asarray(part))  # noqa: S301


def test_zeros_are_written_where_space_cannot_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    assert np.array_equal(np.load(made(tmp_path / "a.npy")), ROWS)
    monkeypatch.delattr(os, "posix_fallocate")  # macOS
    assert np.array_equal(np.load(made(tmp_path / "b.npy")), ROWS)


def test_the_longest_unused_goes_first_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [made(tmp_path / f"{name}.npy", age=age) for age, name in enumerate("abcd")]
    size = paths[0].stat().st_size
    here = open_array(paths[3])  # the oldest; its use makes it the newest, and keeps it
    command = [sys.executable, "-c", HOLDS, str(paths[2])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        os.utime(paths[2], ns=(0, 1))
        monkeypatch.setenv(BOUND, str(3.5 * size / (1 << 30)))
        thin_out(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "c.npy", "d.npy"]
        told = capsys.readouterr().err
        assert told.startswith(f"{tmp_path}: 1 least recently used files removed")
        assert BOUND in told
        monkeypatch.setenv(BOUND, "0")
        thin_out(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["c.npy", "d.npy"]
        process.communicate(b"\n")
    assert here is not None
    sent = pickle.dumps(here)
    del here
    thin_out(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="removed while it was in use"):
        pickle.loads(sent)  # noqa: S301


def test_room_is_made_before_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = made(tmp_path / "old.npy").stat().st_size
    monkeypatch.setenv(BOUND, str(1.5 * size / (1 << 30)))
    made(tmp_path / "new.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["new.npy"]


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_told(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BOUND, text)
    with pytest.raises(UserError, match=f"{BOUND}: '{text}' is not a size in GiB"):
        thin_out(tmp_path)


def test_a_full_disk_takes_what_is_unused_and_then_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "unused.npy")
    allocate, left = cached_array._allocate, [1]

    def refuse_once(number: int, end: int) -> None:
        if left:
            left.pop()
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(number, end)

    monkeypatch.setattr(cached_array, "_allocate", refuse_once)
    assert np.array_equal(np.load(made(tmp_path / "new.npy")), ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["new.npy"]
    (tmp_path / "new.npy").unlink()
    left.append(1)
    with pytest.raises(DiskError, match=r"new\.npy: the disk is full"):
        made(tmp_path / "new.npy")
    assert list(tmp_path.iterdir()) == []
