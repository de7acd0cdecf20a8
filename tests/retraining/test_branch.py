import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.operations.retraining.branch import commit_on_branch, records
from sightline.pipeline.store import DvcStore
from sightline.system.errors import UserError


def git(root: Path, *arguments: str) -> str:
    user = ["-c", "user.name=t", "-c", "user.email=t@t"]
    done = subprocess.run(["git", "-C", str(root), *user, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / ".gitignore").write_text("/data/raw/\n")
    for name in ("dvc.lock", "code.py", "staged.py"):
        (tmp_path / name).write_text("old\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def test_only_the_files_named_reach_only_the_branch(repository: Path) -> None:
    pointer = repository / "data" / "raw" / "cells.dvc"  # git ignores the folder
    pointer.parent.mkdir(parents=True)
    pointer.write_text("outs: []\n")
    for name in ("dvc.lock", "code.py", "staged.py"):
        (repository / name).write_text("new\n")
    (repository / "own.txt").write_text("untracked")
    git(repository, "add", "staged.py")
    index = repository / ".git" / "index"
    before = (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD"), index.read_bytes())
    paths = [repository / "dvc.lock", pointer]
    assert commit_on_branch(repository, paths, "2026-11-27", "Retrain: forced") == "retrain/2026-11-27"
    after = (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD"), index.read_bytes())
    assert after == before
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main"
    changed = git(repository, "diff", "--name-only", "main", "retrain/2026-11-27").split()
    assert changed == ["data/raw/cells.dvc", "dvc.lock"]
    assert git(repository, "log", "-1", "--format=%an %s", "retrain/2026-11-27") == "Sightline retrain Retrain: forced"
    assert commit_on_branch(repository, paths, "2026-11-27", "again") is None
    (repository / "dvc.lock").write_text("newer\n")
    assert commit_on_branch(repository, paths, "2026-11-27", "again") == "retrain/2026-11-27"
    assert git(repository, "rev-list", "--count", "retrain/2026-11-27") == "3"


def test_a_removed_pointer_is_removed_on_the_branch(repository: Path) -> None:
    pointers = [repository / "data" / f"{name}.dvc" for name in ("cells", "hiboux à Orléans")]
    pointers[0].parent.mkdir()
    for pointer in pointers:
        pointer.write_text(f"outs: [{{path: {pointer.stem}}}]\n")
    git(repository, "add", "data")
    git(repository, "commit", "-qm", "two data sets")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=repository, check=True)
    pointers[0].unlink()
    git(repository, "rm", "-q", "--", os.fspath(pointers[1]))
    for _ in range(2):  # the second time they are gone already
        (repository / "dvc.lock").write_text(os.urandom(4).hex())
        paths = records(repository, DvcStore(repository))
        assert commit_on_branch(repository, paths, "2026-11-27", "Retrain: forced") == "retrain/2026-11-27"
        left = git(repository, "ls-tree", "-r", "--name-only", "retrain/2026-11-27").split()
        assert left == [".gitignore", "code.py", "dvc.lock", "staged.py"]


def test_a_branch_that_may_not_move_gets_a_neighbour(repository: Path) -> None:
    lock = repository / "dvc.lock"
    lock.write_text("one\n")
    commit_on_branch(repository, [lock], "2026-11-27", "one")
    git(repository, "commit", "-qam", "the user goes on")
    lock.write_text("two\n")
    assert commit_on_branch(repository, [lock], "2026-11-27", "two") == "retrain/2026-11-27-2"
    git(repository, "checkout", "-qf", "retrain/2026-11-27-2")
    lock.write_text("three\n")
    assert commit_on_branch(repository, [lock], "2026-11-27", "three") == "retrain/2026-11-27-3"
    assert git(repository, "status", "--porcelain") == "M dvc.lock"


def test_without_git_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", os.fspath(tmp_path.parent))
    (tmp_path / "dvc.lock").write_text("")
    with pytest.raises(UserError, match=r"retrain\.commit needs a git repository with a commit"):
        commit_on_branch(tmp_path, [tmp_path / "dvc.lock"], "2026-11-27", "one")
