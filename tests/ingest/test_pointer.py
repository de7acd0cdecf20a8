"""DVC's pointer of a raw folder: after a batch it is the one that a look at every file would give."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from raw_folders import png, write_folder

from sightline.operations.ingest.pointer import update_pointer


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("lost", [False, True])
def test_a_batch_is_added_alone_to_the_same_pointer(tmp_path: Path, lost: bool) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    write_folder(tmp_path / "data/raw/tiny")
    dvc(tmp_path, "add", "-q", "data/raw/tiny")
    raw, pointer = tmp_path / "data/raw/tiny", tmp_path / "data/raw/tiny.dvc"
    before = pointer.read_text()
    batch = raw / ".batches/20261127-1a2b3c4d"
    (batch / "class0").mkdir(parents=True)
    (batch / "class0/new.png").write_bytes(png(100))
    if lost:
        shutil.rmtree(tmp_path / ".dvc/cache")
    assert update_pointer(raw, tmp_path, batch)
    added = pointer.read_text()
    assert added != before
    assert dvc(tmp_path, "status", "data/raw/tiny.dvc") == "Data and pipelines are up to date."
    assert update_pointer(raw, tmp_path)
    assert pointer.read_text() == added


def test_a_folder_that_dvc_does_not_track_has_no_pointer(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    assert not update_pointer(tmp_path / "raw", tmp_path, tmp_path / "raw/class0")
