"""Commits files on a separate branch, past the user's branch, index and work tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sightline.pipeline.store import DvcStore
from sightline.system.errors import UserError

_AUTHOR = "Sightline retrain"


def records(root: Path, store: DvcStore) -> list[Path]:
    """Return what a retraining changes and git keeps: `dvc.lock`, data pointers, also removed ones, registry lines."""
    lines = (root / "registry").glob("*.jsonl")
    found = [path for path in (root / "dvc.lock", *store.pointers(), *sorted(lines)) if path.is_file()]
    gone = _git(root, "diff", "--relative", "--name-only", "--diff-filter=D", "-z", "HEAD", "--", "*.dvc", check=False)
    return found + [root / name for name in gone.split("\0") if name]


def commit_on_branch(root: Path, paths: Sequence[Path], date: str, message: str) -> str | None:
    """Commit the present content of `paths`, or their absence, and nothing else, on `retrain/DATE`; return the branch.

    It starts at the commit checked out. A branch of that name which has this commit in its past goes on; one that has
    not, or that is checked out somewhere, gets a neighbour `retrain/DATE-2`. None if nothing differs.

    Raises:
        UserError: there is no git repository with a commit.
    """
    if _git(root, "rev-parse", "--verify", "HEAD", check=False) == "":
        raise UserError(f"{root}: retrain.commit needs a git repository with a commit; `git init` and commit first")
    head = _git(root, "rev-parse", "HEAD")
    branch, tip = _branch(root, f"retrain/{date}", head)
    parent = tip or head
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git(root, "read-tree", parent, environment=index)
        names = [str(path.resolve()) for path in paths]
        _git(root, "update-index", "--add", "--remove", "--", *names, environment=index)
        tree = _git(root, "write-tree", environment=index)
    if tree == _git(root, "rev-parse", f"{parent}^{{tree}}"):
        return None
    commit = _git(root, "commit-tree", tree, "-p", parent, "-m", message)
    _git(root, "update-ref", "-m", "retrain", f"refs/heads/{branch}", commit, tip or "0" * len(commit))
    return branch


def _branch(root: Path, wanted: str, head: str) -> tuple[str, str | None]:
    """Return a branch that may be moved, and its commit where it is there already."""
    worktrees = _git(root, "worktree", "list", "--porcelain").splitlines()
    for number in range(1, 1000):
        branch = wanted if number == 1 else f"{wanted}-{number}"
        tip = _git(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)
        if not tip:
            return branch, None
        past = subprocess.run(["git", "-C", str(root), "merge-base", "--is-ancestor", head, tip], check=False)
        if past.returncode == 0 and f"branch refs/heads/{branch}" not in worktrees:
            return branch, tip
    raise UserError(f"{wanted}: there are a thousand branches of this name; delete some")


def _git(root: Path, *arguments: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
    author = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in _identity()}
    answer = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env={**os.environ, **author, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode and check:
        raise UserError(f"{root}: `git {arguments[0]}` fails: {' '.join(answer.stderr.split())}")
    return answer.stdout.strip() if not answer.returncode else ""


def _identity() -> tuple[tuple[str, str], ...]:
    return ("NAME", _AUTHOR), ("EMAIL", "retrain@localhost")
