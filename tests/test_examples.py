"""The examples on real data, where it is at hand, reach what they promise."""

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_project import ROOT, Project
from ruamel.yaml import YAML

DATA = ROOT.parent / "shared/data"
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project"),
]


def run(example: str, root: Path, links: dict[str, str]) -> dict[str, Any]:
    """Run an example; return the accuracy of each of its models on the test split."""
    params = YAML(typ="safe").load(ROOT / "examples" / example)
    project = Project(root, params)
    for place, target in links.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(DATA / target)
    project.repro()
    return {
        name: json.loads((root / f"reports/{name}/metrics.json").read_text())["accuracy"] for name in params["models"]
    }


def test_mnist(tmp_path: Path) -> None:
    accuracy = run("mnist.yaml", tmp_path, {"data/raw/mnist": "mnist"})
    seeds = [accuracy[f"mnist-cnn-{seed}"] for seed in (1, 2, 3)]
    assert sum(seeds) / 3 >= 0.986
    assert accuracy["mnist-mlp"] >= 0.97
    assert accuracy["mnist-lenet5"] >= 0.975


def test_flowers(tmp_path: Path) -> None:
    weights = "weights/mobilenet_v2_tf2_ptq_deq.pth"
    links = {"data/raw/flowers12": "flowers12", "data/weights/mobilenet_v2.pth": weights}
    assert run("flowers.yaml", tmp_path, links)["flower-net"] >= 0.96
