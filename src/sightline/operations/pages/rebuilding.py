"""How to make exactly this model again: its release and the ledger in, facts and commands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.operations.pages.sources import Sources
from sightline.registry.release import Release

_NO_COMMIT = {  # by whether the gate has judged the model
    False: "none yet: `git commit`, then `dvc repro register` records it",
    True: "none when it was registered: `git commit`, and the next model that is registered records it",
}


@dataclass(frozen=True)
class Rebuilding:
    """What identifies a model, and the commands that make it again."""

    facts: list[tuple[str, str]]
    commands: list[str]
    words: str


def rebuilding(sources: Sources, release: Release | None, model: Mapping[str, Any]) -> Rebuilding | None:
    """Return how a released model is made again; None before its release."""
    if release is None:
        return None
    made = next((entry for entry in sources.history if entry.model_md5 == release.model_md5), None)
    sha, lock = (made.git_sha, made.lock_md5) if made else (None, None)
    dirty = {None: "not known", True: "yes, so the commit alone does not reproduce it", False: "no"}
    facts = [
        ("commit", sha or _NO_COMMIT[made is not None]),
        ("changed since that commit", dirty[made.git_dirty if made and sha else None]),
        ("dvc.lock, md5", lock or "none"),
        ("model directory, md5", release.model_md5),
        ("weights, sha256", release.weights_sha256),
        ("data, sha256", str(model.get("data_sha256", "not known"))),
        ("test images, sha256 of their ids and annotations", release.test_ids_sha256),
    ]
    checkout = [f"git checkout {sha}"] if sha else []
    commands = [*checkout, "make setup", f"dvc repro {sources.stage}", f"grep model_md5 release/{sources.name}.json"]
    words = (
        "The last line must show the md5 of the model below. It does on the same type of machine, with the same "
        "lock file of packages and the same number of threads."
    )
    return Rebuilding(facts, commands, words)
