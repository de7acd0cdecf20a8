"""From large scenes to a champion that sees tiles, in a real DVC repository."""

import json
from pathlib import Path

import pytest
from dvc_project import Project

PARAMS = {
    "seed": 1,
    "datasets": {
        "large": {"format": "scenes", "root": "data/embedded", "count": 24, "size": 150, "max_objects": 6},
    },
    "trainer": {"max_epochs": 1, "batch_size": 4, "threads": 1},
    "models": {
        "finder": {
            "dataset": "large",
            "task": {"kind": "detection", "backbone": "timm:test_resnet", "strides": [8, 16]},
            "weights": "random",
            "input": {"size": 64},
            "tiling": {"size": 64, "overlap": 0.3, "per_image": 2},
        }
    },
    "evaluation": {"resamples": 100},
}


@pytest.mark.slow
def test_a_model_that_sees_tiles_becomes_champion_and_predicts(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", PARAMS)
    assert project.repro()[-1] == "register"
    assert project.aliases() == {"finder": {"champion": 1}}
    card = json.loads((project.root / "models/finder/model.json").read_text())
    assert card["tiling"]["size"] == 64
    metrics = json.loads((project.root / "reports/finder/evaluation/metrics.json").read_text())
    assert metrics["onnx"]["agrees"]
    assert project.repro() == ["register"]
