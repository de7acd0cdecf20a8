"""What libraries raise on a disk that refuses, each with its own type, becomes one line."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from sightline.system.disk import DiskError, disk_error, told_as
from sightline.system.errors import UserError
from sightline.system.files import new_file

FULL = Path("/dev/full")  # a file on which every write finds the disk full
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")


def arrow() -> None:
    with pa.OSFile(str(FULL), "wb") as file:
        file.write(bytes(1 << 16))


def checkpoint() -> None:
    with FULL.open("wb") as file:
        torch.save({"weights": torch.zeros(1 << 18)}, file)


def picture() -> None:
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(FULL, "PNG")


def figure() -> None:
    from matplotlib.figure import Figure

    Figure().savefig(FULL, format="png")


def safetensors() -> None:
    raise RuntimeError('Error while serializing: I/O error: No space left on device (os error 28): "weights"')


def database() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE kept (value BLOB)")
        connection.execute("INSERT INTO kept VALUES (zeroblob(100000))")


def wrapped() -> None:
    """As MLflow does, which keeps the words of SQLAlchemy's error alone."""
    try:
        database()
    except sqlite3.OperationalError as error:
        raise ValueError(f"(sqlite3.OperationalError) {error}") from None


@needs_full
@pytest.mark.parametrize("write", [arrow, checkpoint, picture, figure, safetensors, database, wrapped])
def test_a_full_disk_is_told_whatever_the_library(write: Callable[[], None], tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught, new_file(tmp_path / "model.bin"):
        write()
    [line] = caught.value.lines
    place = FULL if f"{FULL}: " in line else tmp_path / "model.bin"
    assert line.startswith(f"{place}: the disk is full ("), line
    assert "free space there" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_other_refusals_name_the_file_and_the_remedy(number: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught, told_as(tmp_path / "report"):
        raise OSError(number, "refused", str(tmp_path / "report/.page.html.12.new"))
    assert caught.value.lines[0].startswith(f"{tmp_path / 'report/page.html'}: ")
    assert words in caught.value.lines[0]


def test_a_file_elsewhere_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught, told_as(tmp_path / "report"):
        raise PermissionError(errno.EACCES, "refused", "/data/raw/secret.jpg")
    assert caught.value.lines[0].startswith("/data/raw/secret.jpg: permission denied")


@pytest.mark.parametrize(
    "error", [ValueError("broken"), FileNotFoundError(2, "none", "x"), RuntimeError("unexpected pos 64 vs 0")]
)
def test_what_is_not_the_disk_stays_what_it_is(error: Exception, tmp_path: Path) -> None:
    assert disk_error(error) is None
    with pytest.raises(type(error)), told_as(tmp_path):
        raise error


def test_bad_input_found_after_a_handled_refusal_stays_bad_input(tmp_path: Path) -> None:
    def look() -> None:
        try:
            raise PermissionError(errno.EACCES, "refused", "somewhere")
        except OSError:
            raise ValueError("a broken header") from None

    with pytest.raises(ValueError, match="broken header"), told_as(tmp_path):
        look()
    with pytest.raises(UserError, match="lower it"), told_as(tmp_path):
        raise UserError("the value is too high; lower it")
