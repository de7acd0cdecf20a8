"""A model that predicts files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import load_labels
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained classifier of digits, with its ONNX file."""
    torch.manual_seed(0)
    config = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": "mnist_cnn"})
    image = Input(size=28, channels=1)
    task = build(config, image, load_labels(digits)).eval()
    folder = tmp_path_factory.mktemp("models") / "digit"
    write_model(folder, task, ModelCard(config, image, task.labels, "32", False, 1, "0" * 64))
    return folder
