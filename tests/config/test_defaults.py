"""What a short params.yaml stands for."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.config.full import full_text
from sightline.config.models import Model
from sightline.system.errors import UserError

ROOT = Path(__file__).parents[2]
KINDS = [
    "autoencoder",
    "classification",
    "detection",
    "instance_segmentation",
    "keypoints",
    "localization",
    "multilabel",
    "regression",
    "semantic_segmentation",
    "sliding_window",
    "text_recognition",
]


@pytest.mark.parametrize("kind", KINDS)
def test_data_set_and_task_are_enough(kind: str) -> None:
    short = Model.model_validate({"dataset": "own", "task": kind})
    assert short == Model.model_validate({"dataset": "own", "task": {"kind": kind}})
    trunk = short.trunk()
    assert short.weights == ("pretrained" if ":" in trunk else "random")
    assert short.optimizer.name == "adamw"
    assert short.schedule.name == "one_cycle"


def test_what_is_written_stays() -> None:
    """An optimizer of one's own keeps the schedule that it had without defaults: none."""
    own = {"dataset": "own", "task": "classification", "optimizer": {"name": "sgd", "lr": 0.1}}
    model = Model.model_validate({**own, "input": {"channels": 1}, "augment": "none"})
    assert (model.optimizer.name, model.schedule.name, model.augment) == ("sgd", "constant", "none")
    assert (model.input.channels, model.input.size) == (1, 224)


def test_a_rule_brings_its_optimizer() -> None:
    task = {"kind": "classification", "architecture": "perceptron", "loss": "perceptron"}
    model = Model.model_validate({"dataset": "own", "task": task})
    assert (model.optimizer.name, model.schedule.name, model.weights) == ("rosenblatt", "constant", "random")


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "examples").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_the_full_text_says_the_same(path: Path, tmp_path: Path) -> None:
    params = load_params(path, policies=False)
    text = full_text(path, params)
    (tmp_path / "full.yaml").write_text(text)
    assert load_params(tmp_path / "full.yaml", policies=False) == params
    assert YAML(typ="safe").load(text)["models"].keys() == params.models.keys()


def test_each_default_says_why(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "datasets: {own: {format: image_folder, root: data/raw/own}}\n"
        "trainer: {max_epochs: 3}\n"
        "models: {own: {dataset: own, task: classification}}\n"
    )
    lines = full_text(path, load_params(path)).splitlines()
    assert any("weights: pretrained" in line and "published for this network" in line for line in lines)
    assert any("max_epochs: 3" in line and "from the top-level trainer" in line for line in lines)
    assert not any(line.strip() == "dataset: own  # default" for line in lines)


def test_the_full_text_of_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    entry = "{dataset: pets, task: classification}"
    path.write_text(
        f"datasets:\n  pets: {{format: image_folder, root: pets}}\nmodels:\n  cats: {entry}\n  dogs: {entry}\n"
    )
    text = full_text(path, load_params(path), "dogs")
    assert text.startswith("models:\n  dogs:\n")
    assert "cats" not in text
    assert text.removeprefix("models:\n") in full_text(path, load_params(path))
    with pytest.raises(UserError, match=r"--only dog: .* has no such entry; it has cats, dogs, pets"):
        full_text(path, load_params(path), "dog")
