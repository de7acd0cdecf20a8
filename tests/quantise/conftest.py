from pathlib import Path

import pytest

from sightline.config.evaluation import Evaluation
from sightline.config.export import Export
from sightline.config.models import Model
from sightline.evaluation.quantise.search import quantise_model
from sightline.training.artifact.int8 import int8_folder
from sightline.training.fit import train


@pytest.fixture(scope="session")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional classifier of digits, with its network in integers."""
    folder = tmp_path_factory.mktemp("int8")
    settings = Model.model_validate(
        {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mnist_cnn"},
            "weights": "random",
            "augment": "none",
            "input": {"size": 28, "channels": 1},
            "optimizer": {"name": "adam", "lr": 2e-3},
            "trainer": {"max_epochs": 2},
        }
    )
    train(settings, 1, digits, folder / "model", resume_root=folder / "resume")
    int8_folder(folder / "model").mkdir()
    quantise_model(
        folder / "model",
        digits,
        Export(int8=True, max_loss=0.05),
        Evaluation(resamples=200),
        int8_folder(folder / "model"),
    )
    return folder / "model"
