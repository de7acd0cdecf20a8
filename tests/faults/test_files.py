"""Files and folders are the old or the new ones, and what killed runs left behind goes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.system import files
from sightline.system.disk import DiskError
from sightline.system.files import append_line, new_file, new_folder, work_folder


@pytest.fixture(autouse=True)
def _looked_nowhere() -> None:
    files._remove_leftovers.cache_clear()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_killed_runs_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = dead_process()
    gone = [tmp_path / f".digits.{dead}.{end}" for end in ("new", "old")] + [tmp_path / f".work.{dead}.x_1.new"]
    for folder in gone:
        (folder / "train").mkdir(parents=True)
        (folder / "train/00.arrow").write_bytes(b"half")
    (tmp_path / f".card.{dead}.new.json").write_text("{")
    kept = [tmp_path / f".digits.{os.getppid()}.new", tmp_path / ".digits.new", tmp_path / f"digits.{dead}.new"]
    for folder in kept:
        folder.mkdir()
    with new_folder(tmp_path / "scenes") as work:
        (work / "one").write_text("1")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "scenes"])


def test_a_folder_that_another_container_writes_stays(tmp_path: Path) -> None:
    """Its process has a number that is not seen here; its lock is."""
    work = tmp_path / f".digits.{dead_process()}.new"
    work.mkdir()
    holds = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_SH); print(flush=True); input()"
    command = [sys.executable, "-c", holds, str(work)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        files.remove_leftovers(tmp_path)
        assert work.exists()
        process.communicate(b"\n")
    files._remove_leftovers.cache_clear()
    files.remove_leftovers(tmp_path)
    assert not work.exists()


def test_the_old_folder_stays_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(errno.ENOSPC, "No space left on device", str(self), None, str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DiskError, match=f"^{path}: the disk is full"), new_folder(path) as work:
        (work / "weights").write_text("new")
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*")] == [Path("model"), Path("model/weights")]
    assert (path / "weights").read_text() == "old"


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "registry/ledger.jsonl"
    append_line(path, "first")
    sync = os.fsync

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskError, match=r"ledger\.jsonl: the disk is full"):
        append_line(path, "second")
    with pytest.raises(DiskError):
        append_line(path.with_name("new.jsonl"), "first")
    monkeypatch.setattr(os, "fsync", sync)
    append_line(path, "third")
    assert path.read_text() == "first\nthird\n"
    assert [file.name for file in path.parent.iterdir()] == ["ledger.jsonl"]


def test_work_folders_are_apart_and_gone_afterwards(tmp_path: Path) -> None:
    with work_folder(tmp_path) as one, work_folder(tmp_path) as other:
        assert one != other
        assert list(one.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("old")
    with pytest.raises(UnicodeEncodeError), new_file(tmp_path / "card.json") as work:
        work.write_text("ne\udcff", encoding="utf-8")
    assert (tmp_path / "card.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
