"""Detectors with random weights, and sections of models that learn from their crops."""

from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from sightline.config.models import Input, Model
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import load_labels
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model


def write_finder(folder: Path, prepared: Path, seed: int = 0, spread: float = 3.0) -> Path:
    """Write a localizer whose boxes differ from image to image: it finds nothing true, but always something."""
    torch.manual_seed(seed)
    section: Any = TypeAdapter(TaskConfig).validate_python({"kind": "localization", "architecture": "mlp"})
    image, labels = Input(size=16, channels=1), load_labels(prepared)
    task = build(section, image, labels)
    with torch.no_grad():
        list(task.network.parameters())[-2].mul_(spread)
    write_model(folder, task, ModelCard(section, image, labels, "32", False, 1, ""))
    return folder


def section(dataset: str, kind: str = "classification", **more: Any) -> Model:
    """Return the section of a small model."""
    network = (
        {"backbone": "timm:test_resnet", "backbone_stride": 8, "width": 8}
        if kind == "keypoints"
        else {"architecture": "mlp"}
    )
    values = {
        "dataset": dataset,
        "task": {"kind": kind, **network},
        "weights": "random",
        "input": {"size": 32 if kind == "keypoints" else 8, "channels": 3},
        "augment": "none",
        "crop_by": {"model": "finder", "least_score": 0.0},
        "trainer": {"max_epochs": 1, "batch_size": 16, "threads": 1},
    }
    return Model.model_validate(values | more)
