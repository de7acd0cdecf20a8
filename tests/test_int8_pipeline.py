"""A model in 8-bit integers by DVC: made, released, registered, run from the registry, and not made twice."""

import json
from pathlib import Path

import pytest
from dvc_project import Project

from sightline.evaluation.predictor import load_predictor
from sightline.registry.resolving import resolve_model
from sightline.training.artifact.int8 import int8_folder

pytestmark = pytest.mark.slow

PARAMS = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {"max_epochs": 2, "threads": 1},
    "evaluation": {"resamples": 200},
    "export": {"net": {"int8": True, "max_loss": 0.05}},
    "models": {
        "net": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mnist_cnn"},
            "weights": "random",
            "input": {"size": 28, "channels": 1},
            "augment": "none",
            "optimizer": {"name": "adam", "lr": 2e-3},
        }
    },
}


def test_from_params_to_the_registry(tmp_path: Path) -> None:
    project = Project(tmp_path, PARAMS)
    stages = project.repro()
    assert stages.index("train@net") < stages.index("quantise@net") < stages.index("release@net")
    released = json.loads((tmp_path / "release/net.json").read_text())
    assert released["int8"]["released"]
    assert released["int8"]["size_ratio"] < 0.3
    assert "The same network in 8-bit integers" in (tmp_path / "reports/net/index.html").read_text()
    found = resolve_model("net@champion", tmp_path).folder
    assert int8_folder(found).is_dir()
    assert load_predictor(found, engine="int8").onnx is not None
    assert project.repro() == ["register"]
    project.write_params({**PARAMS, "export": {"net": {"int8": True, "max_loss": 0.001}}})
    assert project.repro() == ["quantise@net", "release@net", "register"]
    released = json.loads((tmp_path / "release/net.json").read_text())
    assert released["int8"]["reason"].startswith("one of 270 validation images is 0.004 of accuracy")
    assert released["int8_md5"] == ""
