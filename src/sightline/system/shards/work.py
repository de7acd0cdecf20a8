"""What is to be done with each of many shards, and what of it is done: a result is a file, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from sightline.system.disk import told_as
from sightline.system.errors import UserError
from sightline.system.files import new_file, read_json, remove_leftovers, write_json

_STATE = "unfinished.json"
THREADS = 1  # of a shard: with more, the last bits of a network's outputs would depend on their number


@dataclass(frozen=True)
class Work:
    """A pure function over shards.

    Attributes:
        function: `module:name`; called with settings, a shard and the path to write the result to, which depends on
            nothing else. It is imported where it runs.
        settings: plain values.
        shards: plain values, one per shard.
        suffix: of the files of results.
    """

    function: str
    settings: Mapping[str, Any]
    shards: Sequence[Any]
    suffix: str

    @cached_property
    def digest(self) -> str:
        """Hash of all that decides the results, the code of the package among it."""
        values = [self.function, self.settings, self.shards, self.suffix, code_hash()]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def result(self, folder: Path, number: int) -> Path:
        """Return where the result of a shard is."""
        return folder / f"part-{number:05}{self.suffix}"


def code_hash() -> str:
    """Return a hash of the package's source: results of other code are not taken for those of this one."""
    root = Path(__file__).parents[2]
    joined = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        joined.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return joined.hexdigest()


def open_folder(work: Work, folder: Path) -> list[int]:
    """Make a folder of results, or open one that a run of the same work has left; return the shards still to be done.

    Raises:
        UserError: there is something else.
    """
    state = folder / _STATE
    if state.is_file():
        if read_json(state).get("work") != work.digest:
            raise UserError(
                f"{folder}: holds unfinished results of other files, another model or other settings; remove it, or "
                "give a new folder"
            )
        remove_leftovers(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not empty; give a new folder")
    else:
        with told_as(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(state, {"work": work.digest, "shards": len(work.shards)})
    return [number for number in range(len(work.shards)) if not work.result(folder, number).is_file()]


def close_folder(folder: Path) -> None:
    """Say that all results are there."""
    (folder / _STATE).unlink()


def perform(function: str, settings: Mapping[str, Any], shard: Any, path: str) -> None:
    """Do one shard; what runs in a worker.

    Args:
        function: `module:name`.
        settings: of the work.
        shard: to work on.
        path: of the result.
    """
    if Path(path).is_file():  # it was done when another worker died
        return
    module, _, name = function.partition(":")
    do = getattr(import_module(module), name)
    with new_file(Path(path)) as unfinished:
        do(settings, shard, unfinished)


def single_threaded() -> None:
    """Let this process compute with one thread, before any library is imported that asks how many it may have."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(THREADS)
