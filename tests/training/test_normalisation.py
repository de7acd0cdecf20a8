"""The input of a model is that of the weights that it begins with."""

from pathlib import Path

import pytest

from sightline.config import published
from sightline.config.models import Input
from sightline.config.weights import OwnModel
from sightline.system.files import write_json
from sightline.training.normalisation import with_normalisation

LITE2 = "timm:tf_efficientnet_lite2"
FOLDER = Path("data/weights")


def test_that_of_another_model_of_the_file(tmp_path: Path) -> None:
    first = Input(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6], interpolation="bicubic")
    card = tmp_path / "models/first/model.json"
    write_json(card, {"input": first.model_dump()})
    weights, folder = OwnModel(model="first"), tmp_path / "data/weights"
    image = with_normalisation(Input(size=64), weights, LITE2, folder)
    assert image == first.model_copy(update={"size": 64})
    said = Input(mean=[0.5] * 3, interpolation="area")
    assert with_normalisation(said, weights, LITE2, folder) == said
    grey = with_normalisation(Input(channels=1), weights, LITE2, folder)
    assert (grey.mean, grey.interpolation) == (None, "bicubic")
    older = {key: value for key, value in first.model_dump().items() if key != "interpolation"}
    write_json(card, {"input": older})
    assert with_normalisation(Input(), weights, LITE2, folder).interpolation is None


def test_random_weights_have_none() -> None:
    assert with_normalisation(Input(), "random", LITE2, FOLDER) == Input()
    assert with_normalisation(Input(), "own.pth", "mlp", FOLDER) == Input()


@pytest.mark.parametrize("weights", ["pretrained", "own.pth"])
def test_networks_newer_than_the_table_are_looked_up(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = with_normalisation(Input(), weights, LITE2, FOLDER)
    assert (listed.mean, listed.std) == ([0.5] * 3, [0.5] * 3)
    monkeypatch.setattr(published, "published_inputs", dict)
    assert with_normalisation(Input(), weights, LITE2, FOLDER) == listed
    assert with_normalisation(Input(), weights, "timm:none_such", FOLDER) == Input()
