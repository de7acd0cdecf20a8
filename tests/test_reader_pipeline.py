"""A reader of strips from params.yaml to the registry, by DVC."""

import json
from pathlib import Path

import pytest
from dvc_project import Project

PARAMS = {
    "seed": 1,
    "datasets": {
        "strips": {"format": "strings", "root": "data/embedded", "count": 1200, "shortest": 3, "longest": 5},
    },
    "models": {
        "reader": {
            "dataset": "strips",
            "task": {"kind": "text_recognition", "width": 24, "hidden": 64},
            "input": {"size": 32, "width": 96},
            "augment": "none",
            "optimizer": {"name": "adamw", "lr": 0.004},
            "schedule": {"name": "one_cycle"},
            "trainer": {"max_epochs": 10, "batch_size": 16, "clip_norm": 5.0},
        },
    },
    "monitor": {"strips": {"model": "reader"}},
    "evaluation": {"resamples": 200},
}


@pytest.mark.slow
def test_a_reader_is_trained_evaluated_and_registered(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", PARAMS)
    assert project.repro()[-1] == "register"
    assert project.aliases() == {"reader": {"champion": 1}}
    evaluation = project.root / "reports/reader/evaluation"
    metrics = json.loads((evaluation / "metrics.json").read_text())
    headline = metrics["headline"]
    assert headline["name"] == "character_error_rate"
    assert headline["low"] <= headline["value"] <= headline["high"]
    assert headline["high"] < 0.25
    assert metrics["onnx"]["agrees"]
    assert 0 <= metrics["interval"]["exact_match"]["low"] <= metrics["exact_match"]
    pictures = {path.name for path in evaluation.glob("*.png")}
    assert pictures == {f"{name}.png" for name in ("characters", "curves", "per_character", "quality", "worst")}
    page = (project.root / "reports/reader/index.html").read_text()
    assert "Characters taken for others" in page
    model = json.loads((project.root / "models/reader/model.json").read_text())
    assert model["input"]["width"] == 96
    assert model["labels"]["characters"] == list("0123456789")
    assert project.repro() == ["register"]
