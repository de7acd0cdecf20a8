"""Models and servers for the tests beside this file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from served import Running, Start, write_random_model

from sightline.operations.serve import Batching, Following, Limits, ServedModel, load_served


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "digit"
    return write_random_model(folder, {"kind": "classification", "architecture": "mnist_cnn"})


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "scene-map"
    task = {"kind": "semantic_segmentation", "architecture": "full_resolution"}
    return write_random_model(folder, task, 32, 3, ("ground", "water"))


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Running] = []

    def run(
        model: ServedModel | Path,
        limits: Limits | None = None,
        batching: Batching | None = None,
        following: Following | None = None,
        token: str | None = None,
    ) -> Running:
        loaded = load_served(model, model.name, "") if isinstance(model, Path) else model
        running.append(Running(loaded, limits or Limits(), batching or Batching(), following, token))
        return running[-1]

    yield run
    for server in running:
        server.stop()
