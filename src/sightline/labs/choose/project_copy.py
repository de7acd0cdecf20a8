"""A copy of the project, in which a search runs its experiments.

`dvc exp run`, with `--temp` too, first stashes the workspace in git and resets it, and takes it back when it ends:
killed within these seconds it would leave the user without what is not committed. So experiments run in a clone with
the same files; only their refs come back. What a kill leaves in the clone is of no matter: each search makes it anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sightline.labs.start.chooser import WEIGHTS
from sightline.pipeline.refreshing import refresh
from sightline.pipeline.store import DvcStore
from sightline.system.errors import UserError

RESUME = Path(".sightline/resume")


class ProjectCopy:
    """A clone of a project's repository, with its files as they are.

    Args:
        root: of the project.
        folder: of the clone; what was there is removed.
        resume: where trainings keep their checkpoints, so that they survive the clone.
        stages: whose outputs are needed.
    """

    def __init__(self, root: Path, folder: Path, resume: Path, stages: Sequence[str]) -> None:
        self.main, self.folder = root.resolve(), folder.resolve()
        top = _git(self.main, "rev-parse", "--show-toplevel").strip()
        if not top:
            raise UserError(f"{self.main}: no git repository; DVC's experiments need one: git init, and commit")
        self.top = Path(top)
        if not _git(self.main, "rev-parse", "--verify", "--quiet", "HEAD"):
            raise UserError(f"{self.main}: no commit yet; DVC's experiments need one: git add -A && git commit")
        self.root = self.folder / self.main.relative_to(self.top)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        _git(self.top, "clone", "--quiet", "--shared", "--no-checkout", str(self.top), str(self.folder), check=True)
        _git(self.folder, "reset", "--quiet", check=True)
        for key in ("user.name", "user.email"):
            _git(self.folder, "config", key, _git(self.top, "config", key).strip() or "sightline", check=True)
        self._take_files()
        resume.mkdir(parents=True, exist_ok=True)
        (self.root / RESUME).parent.mkdir(parents=True, exist_ok=True)
        (self.root / RESUME).symlink_to(resume.resolve())
        store = DvcStore(self.main)
        _share_cache(self.root, store.cache_folder())
        DvcStore(self.root).check_out(stages)

    def _take_files(self) -> None:
        """Copy what git knows or would add, as it is now; and link the files of weights, which it ignores."""
        names = _git(self.top, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in filter(None, names):
            source, target = self.top / name, self.folder / name
            if source.is_dir() and not source.is_symlink():  # a submodule
                continue
            if os.path.lexists(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        for source in (self.main / WEIGHTS).glob("*"):
            target = self.root / WEIGHTS / source.name
            if not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.resolve())

    def write_params(self, text: str) -> None:
        """Give the copy another params.yaml, with all that DVC reads of it."""
        (self.root / "params.yaml").write_text(text, encoding="utf-8")
        refresh(self.root)

    def hand_over(self, experiment: str) -> None:
        """Bring an experiment's ref into the project's repository, where `dvc exp show` finds it."""
        refs = _git(self.folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()
        for ref in refs:
            if ref.rpartition("/")[2] == experiment:
                _git(self.top, "fetch", "--quiet", "--no-tags", str(self.folder), f"+{ref}:{ref}", check=True)

    def __enter__(self) -> ProjectCopy:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _share_cache(root: Path, cache: str) -> None:
    """Let the copy use the project's cache, so that what is trained there is found by `dvc repro` here."""
    path = root / ".dvc" / "config.local"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'[cache]\n    dir = {cache}\n    type = "reflink,hardlink,symlink,copy"\n')


def _git(folder: Path, *words: str, check: bool = False) -> str:
    """Return what git says; "" where it fails.

    Raises:
        UserError: it fails, and `check` is set.
    """
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    if done.returncode and check:
        raise UserError(f"{folder}: git {words[0]} fails: {done.stderr.strip()}")
    return done.stdout if done.returncode == 0 else ""
