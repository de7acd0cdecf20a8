"""Stages and what they need, from params.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.config.errors import ConfigError
from sightline.pipeline.dag import DAG, dag, write_dag

SHORT: dict[str, Any] = {
    "datasets": {"flowers": {"format": "image_folder", "root": "data/raw/flowers"}},
    "models": {
        "flowers": {"dataset": "flowers", "task": "classification"},
        "finer": {"dataset": "flowers", "task": "classification", "weights": {"model": "flowers"}},
        "own": {"dataset": "flowers", "task": "classification", "weights": "own.pth", "augment": "bold"},
    },
    "augmentations": {"bold": {"dataset": "flowers", "policy": "heavy"}},
}


def written(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "params.yaml"
    YAML(typ="safe").dump(json.loads(json.dumps(values)), path)
    return path


def test_every_dependency_that_settings_decide(tmp_path: Path) -> None:
    trained = dag(load_params(written(tmp_path, SHORT)), tmp_path)["train"]
    stamp = ".sightline/code/train/flowers.json"
    none = {"paintings": stamp, "loss_network": stamp, "crop_by": stamp}
    assert trained["flowers"] == {"dataset": "flowers", "augmented": stamp, "weights": stamp, **none}
    assert trained["finer"]["weights"] == "models/flowers/weights.safetensors"
    assert trained["own"] == {
        "dataset": "flowers",
        "augmented": "data/augmented/bold",
        "weights": "data/weights/own.pth",
        **dict.fromkeys(none, ".sightline/code/train/own.json"),
    }


def test_paintings_and_the_loss_network_of_a_style_network(tmp_path: Path) -> None:
    task = {"kind": "style_network", "paintings": "data/raw/paintings", "styles": ["sea.jpg"]}
    task |= {"loss_network_weights": "squeezenet1_0.pth"}
    values = {**SHORT, "models": {"painter": {"dataset": "flowers", "task": task}}, "augmentations": {}}
    needs = dag(load_params(written(tmp_path, values)), tmp_path)["train"]["painter"]
    assert needs["paintings"] == "data/raw/paintings"
    assert needs["loss_network"] == "data/weights/squeezenet1_0.pth"


def test_published_weights_are_a_file_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(written(tmp_path, SHORT))
    mirror = tmp_path / "mirror"
    for folder in (mirror, tmp_path / "data/weights"):
        folder.mkdir(parents=True)
    (mirror / "tf_efficientnet_lite0.safetensors").touch()
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(mirror))
    assert dag(params, tmp_path)["train"]["flowers"]["weights"] == ".sightline/code/train/flowers.json"
    (tmp_path / "data/weights/tf_efficientnet_lite0.pth").touch()
    assert dag(params, tmp_path)["train"]["flowers"]["weights"] == "data/weights/tf_efficientnet_lite0.pth"


def test_it_is_written_where_it_is_behind(tmp_path: Path) -> None:
    params = load_params(written(tmp_path, SHORT))
    assert write_dag(tmp_path, params)
    first = (tmp_path / DAG).read_bytes()
    assert not write_dag(tmp_path, params)
    (tmp_path / DAG).write_text("train: {}\n")
    assert write_dag(tmp_path, params)
    assert (tmp_path / DAG).read_bytes() == first


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"model": "flowrs"}, "models.finer.weights.model: 'flowrs' is not among models (did you mean flowers?)"),
        (
            {"model": "finer"},
            "models.finer.weights.model: finer <- finer: a cycle; start one of them from other weights",
        ),
        ("../../models/flowers/weights.safetensors", "to use a model of this file, write {model: flowers}"),
    ],
)
def test_weights_that_cannot_be(tmp_path: Path, weights: object, told: str) -> None:
    values = json.loads(json.dumps(SHORT))
    values["models"]["finer"]["weights"] = weights
    with pytest.raises(ConfigError, match="weights") as caught:
        load_params(written(tmp_path, values))
    assert told in "\n".join(caught.value.lines)


def test_dvc_stops_where_it_knows_other_stages_and_goes_on_the_next_time(tmp_path: Path) -> None:
    """Its file is read before any stage runs: going on would leave out a new model, and report success."""
    values = {
        "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
        "models": {"first": {"dataset": "digits", "task": "classification", "weights": "random"}},
    }
    project = Project(tmp_path, values)
    values["models"] = {**values["models"], "second": values["models"]["first"]}
    written(tmp_path, values)
    stopped = project.dvc("repro", "prepare@digits")
    assert stopped.returncode != 0
    assert "run the same command again" in stopped.stderr
    assert "second" in (tmp_path / DAG).read_text()
    assert not (tmp_path / "data/prepared/digits").exists()
    done = project.dvc("repro", "prepare@digits")
    assert done.returncode == 0, done.stderr
    assert "train@second" in project.dvc("stage", "list", "--name-only").stdout
