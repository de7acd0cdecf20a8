"""Every kind of model gives a vector and, if it makes some, predictions of each image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.features import Features
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import load_labels
from sightline.operations.drift.images import reference_images
from sightline.operations.drift.observers import FeaturesObserver, HandmadeObserver, ModelObserver
from sightline.operations.drift.seen import look
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed

BODY = {"backbone": "timm:test_resnet", "strides": [4, 8, 16], "width": 32}


@pytest.mark.parametrize(
    ("task", "answers", "labelled"),
    [
        ({"kind": "classification", "architecture": "mnist_cnn"}, {"confidence"}, True),
        ({"kind": "detection", "architecture": "fcos", "head_convs": 1, **BODY}, {"objects", "best score"}, False),
        ({"kind": "semantic_segmentation", "architecture": "semantic_fpn", **BODY}, set(), False),
    ],
)
def test_models(scenes: Path, tmp_path: Path, task: dict[str, object], answers: set[str], labelled: bool) -> None:
    config = TypeAdapter(TaskConfig).validate_python(task)
    image, labels = Input(size=32, channels=3), load_labels(scenes)
    built = build(config, image, labels)
    built.exports = False
    torch.manual_seed(0)
    card = ModelCard(config, image, labels, "fp32", False, 1, "d" * 64)
    write_model(tmp_path / "model", built.eval(), card)
    observer = ModelObserver(tmp_path / "model", "model")
    seen = look(reference_images(scenes, 5, 0), observer)
    assert seen is not None
    assert seen.vectors.shape[0] == len(seen) == 5
    assert np.isfinite(seen.vectors).all()
    assert np.ptp(seen.vectors, axis=0).max() > 0, "images differ"
    assert set(seen.answers) == answers
    assert (seen.labels is not None) == labelled


def test_features_and_filters(digits: Path, tmp_path: Path) -> None:
    section = Features.model_validate(
        {
            "dataset": "digits",
            "input": {"size": 28, "channels": 1},
            "extractor": {"kind": "hog", "cell": 7},
        }
    )
    features = build_features(section, 0)
    embed(features, digits, tmp_path / "hog")
    images = reference_images(digits, 40, 0)
    seen = look(images, FeaturesObserver(tmp_path / "hog"))
    assert seen is not None
    assert seen.vectors.shape == (40, features.dimensions["hog"])
    by_hand = look(images, HandmadeObserver())
    assert by_hand is not None
    assert by_hand.vectors.shape == (40, 84)
    assert by_hand.answers == {}
    assert np.array_equal(by_hand.take(np.array([3, 5])).vectors, by_hand.vectors[[3, 5]])
