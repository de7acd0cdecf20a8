"""Model directories with random weights, made on the spot."""

from __future__ import annotations

from pathlib import Path


def write_classifier(folder: Path, architecture: str, size: int, classes: int = 1000) -> Path:
    """Write the directory of a classifier with random weights, and its ONNX file; return the folder.

    Args:
        folder: to write.
        architecture: as in `params.yaml`.
        size: of the input, pixels.
        classes: how many.
    """
    import torch

    from sightline.config.models import Input
    from sightline.config.tasks.classification import Classification
    from sightline.data.structures import LabelMap
    from sightline.tasks import build
    from sightline.training.artifact.folder import ModelCard, write_model

    torch.manual_seed(0)
    names = tuple(f"class {number}" for number in range(classes))
    labels = LabelMap(names, names)
    config, image = Classification(kind="classification", architecture=architecture), Input(size=size)
    task = build(config, image, labels).eval()
    write_model(folder, task, ModelCard(config, image, labels, "float32", True, 2, "0" * 64))
    return folder
