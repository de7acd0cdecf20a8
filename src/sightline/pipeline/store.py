"""What DVC knows: hashes of directories, their bytes in its cache, and the stages in their order."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sightline.system.errors import UserError, first_line
from sightline.system.files import new_folder

# What `dvc repro` says of each stage.
OUTCOMES = {
    "ran": re.compile(r"Running stage '(?P<stage>[^']+)'"),
    "restored": re.compile(r"Stage '(?P<stage>[^']+)' is cached - skipping run"),
    "unchanged": re.compile(r"Stage '(?P<stage>[^']+)' didn't change, skipping"),
}
# What it says after each stage, of no use in a log.
HINTS = re.compile(
    r"\s*$|To (track the changes with git|enable auto staging), run:|\s+(git add|dvc config) |Use `dvc push`"
)


class DvcStore:
    """The DVC repository at `root`; opened when first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @cached_property
    def _repo(self) -> Any:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            return Repo(str(self.root))
        except DvcException as error:
            raise UserError(f"{self.root}: not a DVC repository: {error}; run `dvc init` there") from None

    def directory_md5(self, path: Path) -> str:
        """Return the hash of a directory as `dvc.lock` would hold it: 32 hexadecimal digits and `.dir`."""
        from dvc_data.hashfile.build import build

        if not path.is_dir():
            raise UserError(f"{path}: no such folder; run `dvc repro` to make it")
        cache = self._repo.cache.local
        options = {"dry_run": True, "ignore": self._repo.dvcignore}
        _, _, tree = build(cache, str(path.resolve()), cache.fs, "md5", **options)
        return str(tree.hash_info.value)

    def restore(self, md5: str, folder: Path, what: str = "a directory") -> None:
        """Write the directory with this hash from DVC's cache, or else from its default remote.

        Raises:
            UserError: the bytes are in neither, or are damaged.
        """
        from dvc_data.hashfile.tree import Tree

        self._fetch([md5], what)
        cache = self._repo.cache.local
        tree = Tree.load(cache, _hash(md5))
        files = {"/".join(key): str(info.value) for key, _, info in tree}
        self._fetch(list(files.values()), what)
        with new_folder(folder) as work:
            for path, oid in files.items():
                target = work / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(cache.oid_to_path(oid), target)
            if files and self.directory_md5(work) != md5:
                raise UserError(_damaged(what, md5))

    def read(self, md5: str, path: str, what: str = "a directory") -> bytes:
        """Return one file of the directory with this hash, from DVC's cache or else from its default remote.

        Raises:
            UserError: the bytes are in neither, or are damaged.
        """
        from dvc_data.hashfile.tree import Tree

        self._fetch([md5], what)
        cache = self._repo.cache.local
        oids = {"/".join(key): str(info.value) for key, _, info in Tree.load(cache, _hash(md5))}
        if path not in oids:
            raise UserError(f"{what} ({md5}): has no {path}, but {', '.join(sorted(oids)[:5])}")
        self._fetch([oids[path]], what)
        content = Path(cache.oid_to_path(oids[path])).read_bytes()
        if hashlib.md5(content).hexdigest() != oids[path]:
            raise UserError(_damaged(what, md5))
        return content

    def find_file(self, md5: str) -> bytes | None:
        """Return the file with this hash from DVC's cache or else from its default remote, None if neither has it.

        Raises:
            UserError: its bytes are damaged.
        """
        try:
            self._fetch([md5], "a file")
        except UserError:
            return None
        content = Path(self._repo.cache.local.oid_to_path(md5)).read_bytes()
        if hashlib.md5(content).hexdigest() != md5:
            raise UserError(_damaged("a file", md5))
        return content

    def _fetch(self, oids: list[str], what: str) -> None:
        """Bring the missing objects from the default remote into the cache."""
        from dvc.config import NoRemoteError
        from dvc.exceptions import DvcException

        cache = self._repo.cache.local
        missing = [oid for oid in dict.fromkeys(oids) if not Path(cache.oid_to_path(oid)).is_file()]
        if not missing:
            return
        place = "DVC's cache or remote"
        try:
            self._repo.cloud.pull({_hash(oid) for oid in missing})
        except NoRemoteError:
            place = "DVC's cache, and no default remote is set"
        except (DvcException, OSError) as error:
            place = f"DVC's cache, and its remote does not respond: {error}"
        if any(not Path(cache.oid_to_path(oid)).is_file() for oid in missing):
            raise UserError(
                [
                    f"{what} ({oids[0] if len(oids) == 1 else f'{len(missing)} files'}) is not in {place}",
                    "`dvc gc -w` deletes everything that the present dvc.lock does not name; run `dvc push` "
                    "before it to keep champions",
                    "restore it: set a remote that has it (`dvc remote add -d`), or check out its commit"
                    " (git_sha in registry/ledger.jsonl), `dvc repro` there, and switch back",
                ]
            )

    def cache_folder(self) -> str:
        """Return the absolute path of DVC's cache."""
        return str(Path(str(self._repo.cache.local_cache_dir)).resolve())

    def check_out(self, stages: Sequence[str]) -> None:
        """Write the outputs of stages, as dvc.lock names them, from the cache into the workspace."""
        from dvc.exceptions import DvcException

        if not stages:  # DVC would take that for all of them
            return
        try:
            self._repo.checkout(list(stages), force=True)
        except DvcException as error:
            raise UserError(f"{self.root}: `dvc checkout` fails: {first_line(error)}") from None

    def stage_groups(self) -> list[str]:
        """Return the stages of dvc.yaml in DVC's order, `train@a` and `train@b` as one group `train`.

        Raises:
            UserError: two groups need each other, so neither can run as a whole before the other.
        """
        from dvc.repo.reproduce import plan_repro

        graph = self._repo.index.graph
        stages = [stage for stage in plan_repro(graph) if getattr(stage, "name", None)]
        needs: dict[str, set[str]] = {_group(stage): set() for stage in stages}
        for stage in stages:
            named = (other for other in graph.successors(stage) if getattr(other, "name", None))
            needs[_group(stage)] |= {_group(other) for other in named} - {_group(stage)}
        order: list[str] = []
        while len(order) < len(needs):
            ready = [group for group in needs if group not in order and needs[group] <= set(order)]
            if not ready:
                left = ", ".join(group for group in needs if group not in order)
                raise UserError(f"dvc.yaml: the stage groups {left} depend on each other; rename one of them")
            order.append(ready[0])
        return order

    def stage_needs(self) -> dict[str, set[str]]:
        """Return stage -> the stages that make what it reads, in DVC's order."""
        from dvc.repo.reproduce import plan_repro

        graph = self._repo.index.graph
        stages = [stage for stage in plan_repro(graph) if getattr(stage, "name", None)]
        return {
            stage.name: {other.name for other in graph.successors(stage) if getattr(other, "name", None)}
            for stage in stages
        }

    def stages_to_run(self) -> set[str]:
        """Return the stages whose own files, params or command are not as in dvc.lock, or that always run."""
        stages = [stage for stage in self._repo.index.stages if getattr(stage, "name", None)]
        status = self._repo.status()  # by address, which depends on the present folder
        return {stage.name for stage in stages if stage.always_changed or stage.addressing in status}

    def changes(self, stage: str) -> list[tuple[str, str, str]]:
        """Return what of one stage is not as in dvc.lock: the kind of change, a path or key, and how it differs."""
        found: list[tuple[str, str, str]] = []
        for change in self._repo.status(targets=[stage], recursive=False).get(stage, []):
            if isinstance(change, str):
                found.append((change, "", ""))
                continue
            for kind, differences in change.items():
                for path, state in differences.items():
                    inner = isinstance(state, dict)  # keys of params.yaml
                    states = state.items() if inner else [(path, state)]
                    found += [("changed params" if inner else kind, str(name), str(word)) for name, word in states]
        return found

    def changed_stages(self) -> list[str]:
        """Return what `dvc repro` would look into: stages and pointers that differ from `dvc.lock`, sorted.

        Looks again at each call, and waits while another process holds DVC's lock. What always runs does not count.
        """
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            with Repo(str(self.root), _wait_for_lock=True) as repo:
                status = repo.status()
        except DvcException as error:
            raise UserError(f"{self.root}: `dvc status` fails: {error}") from None
        return sorted(name for name, changes in status.items() if "always changed" not in changes)

    def pointers(self) -> list[Path]:
        """Return the files `*.dvc` of data under DVC."""
        return sorted(Path(stage.path) for stage in self._repo.index.stages if stage.path.endswith(".dvc"))

    def always_run(self) -> set[str]:
        """Return the groups that DVC runs even when nothing changed: those with an outside effect, and the stamps'."""
        return {_group(stage) for stage in self._repo.index.stages if getattr(stage, "always_changed", False)}


def folder_md5(folder: Path) -> str:
    """Return what `DvcStore.directory_md5` does, without a repository (and so without `.dvcignore`)."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    entries = [{"md5": hashlib.md5(paths[name].read_bytes()).hexdigest(), "relpath": name} for name in sorted(paths)]
    return f"{hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()}.dir"


def git_sha(root: Path) -> str | None:
    """Return the commit checked out at `root`, None before the first commit."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else None


def git_dirty(root: Path) -> bool | None:
    """Return whether code, settings or small data differ from the commit checked out; None before the first one.

    `dvc.lock` and the registry may differ: the run that made a model writes them.
    """
    making = ("params.yaml", "dvc.yaml", "requirements.lock", "pipelines", "src", "data")
    command = ["git", "-C", str(root), "status", "--porcelain", "--", *making]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return bool(answer.stdout.strip()) if git_sha(root) is not None and answer.returncode == 0 else None


def last_outputs(root: Path, stage: str) -> dict[str, str] | None:
    """Return the hashes of what a stage wrote last, by path, as dvc.lock has them; None if it does not know it.

    Raises:
        UserError: dvc.lock cannot be read.
    """
    return _last_files(root, stage, "outs")


def last_inputs(root: Path, stage: str) -> dict[str, str] | None:
    """Return the hashes of what a stage read last, by path, as dvc.lock has them; None if it does not know it.

    Raises:
        UserError: dvc.lock cannot be read.
    """
    return _last_files(root, stage, "deps")


def _last_files(root: Path, stage: str, kind: str) -> dict[str, str] | None:
    path = root / "dvc.lock"
    if not path.is_file():
        return None
    try:
        stages = YAML(typ="safe").load(path).get("stages", {})  # none before the first one has run
        return {file["path"]: file["md5"] for file in stages[stage].get(kind, [])} if stage in stages else None
    except (YAMLError, AttributeError, TypeError, KeyError, UnicodeDecodeError):
        raise UserError(f"{path}: damaged; restore it with `git checkout dvc.lock`") from None


def lock_md5(root: Path) -> str | None:
    """Return the md5 of `dvc.lock`, None if there is none."""
    path = root / "dvc.lock"
    return hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else None


def _damaged(what: str, md5: str) -> str:
    return f"{what} ({md5}): damaged in DVC's cache; delete them there and `dvc fetch`"


def _group(stage: Any) -> str:
    name = str(stage.name).split("@", 1)[0]
    return name if stage.path_in_repo == "dvc.yaml" else f"{stage.path_in_repo}:{name}"


def _hash(md5: str) -> Any:
    from dvc_data.hashfile.hash_info import HashInfo

    return HashInfo("md5", md5)
