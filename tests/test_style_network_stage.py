"""A style network from params.yaml to the registry, in a real DVC repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dvc_project import Project
from PIL import Image


@pytest.mark.slow
def test_it_is_trained_evaluated_released_and_registered(tmp_path: Path) -> None:
    """With random weights of the loss network: what is drawn is nothing to look at."""
    task = {
        "kind": "style_network",
        "paintings": "data/raw/paintings",
        "styles": ["one.png", "two.png"],
        "width": 4,
        "blocks": 1,
        "loss_network_weights": "random",
    }
    params: dict[str, Any] = {
        "seed": 1,
        "datasets": {"scenes": {"format": "scenes", "root": "data/embedded", "count": 40, "size": 64}},
        "models": {"painter": {"dataset": "scenes", "task": task, "input": {"size": 32}, "trainer": {"max_epochs": 1}}},
        "evaluation": {"resamples": 100},
    }
    project = Project(tmp_path, params)
    paintings = tmp_path / "data/raw/paintings"
    paintings.mkdir(parents=True)
    for seed, name in enumerate(("one.png", "two.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(paintings / name)
    project.repro()
    report = tmp_path / "reports/painter/evaluation"
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["headline"]["name"] == "loss_reduction"
    assert metrics["onnx"]["agrees"]
    assert list(pd.read_csv(report / "styles.csv")["style"]) == ["one", "two"]
    assert Image.open(report / "styles.png").width > 600
    assert json.loads((tmp_path / "release/painter.json").read_text())
    decided = [json.loads(line) for line in (tmp_path / "registry/ledger.jsonl").read_text().splitlines()]
    assert [entry["name"] for entry in decided] == ["painter"]
    assert (tmp_path / "reports/painter/index.html").exists()
    assert "train@painter" not in project.dvc("status").stdout
    Image.fromarray(255 - np.asarray(Image.open(paintings / "two.png"))).save(paintings / "two.png")
    assert "train@painter" in project.dvc("status").stdout
