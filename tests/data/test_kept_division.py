"""Samples keep their parts when files are added to the folder itself, though DVC deletes a stage's outputs first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from raw_folders import png, write_folder
from ruamel.yaml import YAML

from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS

PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"tiny": {"format": "image_folder", "root": "data/raw/tiny"}},
    "trainer": {},
    "models": {
        "small": {
            "dataset": "tiny",
            "weights": "random",
            "augment": "none",
            "input": {"size": 8, "channels": 1},
            "optimizer": {"name": "adam", "lr": 2e-3},
            "task": {"kind": "classification", "architecture": "mlp"},
        }
    },
    "evaluation": {},
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, PARAMS)
    write_folder(tmp_path / "data/raw/tiny", each=10)
    return project


def prepared(project: Project) -> dict[str, str]:
    done = project.dvc("repro", "prepare@tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    return parts(project.root)


def parts(root: Path) -> dict[str, str]:
    stores = {part: SplitStore(root / "data/prepared/tiny" / part) for part in SPLITS}
    return {source: part for part, store in stores.items() for source in store.sources}


def add_files(root: Path, first: int) -> None:
    for number in range(7):
        (root / f"data/raw/tiny/class{number % 2}/new{first + number}.png").write_bytes(png(first + number))


def forget(root: Path) -> None:
    """Make dvc.lock what it was before divisions were remembered."""
    yaml, path = YAML(), root / "dvc.lock"
    lock = yaml.load(path)
    outs = lock["stages"]["prepare@tiny"]["outs"]
    outs[:] = [out for out in outs if not out["path"].endswith("division.json")]
    yaml.dump(lock, path)


def lose(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(root / "data/prepared/tiny")


def test_files_added_to_the_folder_move_none_of_the_others(project: Project) -> None:
    before = prepared(project)
    lose(project.root)
    assert prepared(project) == before  # the same is made again of the same, as in a clone without a remote
    add_files(project.root, 100)
    after = prepared(project)
    assert len(after) == 27
    assert before.items() <= after.items()
    for place in range(2):
        own = [part for source, part in after.items() if source.startswith(f"class{place}")]
        shares = zip(SPLITS, (0.7, 0.15, 0.15), strict=True)
        assert all(abs(own.count(part) - share * len(own)) < 1 for part, share in shares)
    lose(project.root)  # now the record is needed, so nothing moves untold
    done = project.dvc("repro", "prepare@tiny")
    assert done.returncode
    assert "data/prepared/tiny/division.json: what dvc.lock names" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_divided_by_hash_stays_until_asked(project: Project) -> None:
    project.write_params({**PARAMS, "datasets": {"tiny": {**PARAMS["datasets"]["tiny"], "split": {"by": "hash"}}}})
    by_hash = prepared(project)
    forget(project.root)
    project.write_params(PARAMS)  # as it was before there was another rule
    add_files(project.root, 100)
    kept = prepared(project)
    assert by_hash.items() <= kept.items()
    card = json.loads((project.root / "data/prepared/tiny/card.json").read_text())
    assert card["findings"]["divided_by_hash"]["count"] == 1
    add_files(project.root, 200)
    assert kept.items() <= prepared(project).items()  # and at the next run as well
    project.write_params(
        {**PARAMS, "datasets": {"tiny": {**PARAMS["datasets"]["tiny"], "split": {"by": "stratified"}}}}
    )
    asked = prepared(project)
    assert [list(asked.values()).count(part) for part in SPLITS] != [0, 0, 0]
    assert asked != kept
