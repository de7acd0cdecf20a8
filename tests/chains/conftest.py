"""A chain that several tests look at."""

from pathlib import Path

import pytest
from chained import section, write_finder

from sightline.training.ladder.climb import train_model


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """The directory of a trained classifier of crops; the detector is beside it."""
    root = tmp_path_factory.mktemp("chain")
    write_finder(root / "models/finder", scenes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        train_model(section("scenes"), 1, scenes, root / "models/namer", models=root / "models")
    return root / "models/namer"
