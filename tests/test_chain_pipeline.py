"""A chain in a real DVC repository: trained after its detector, judged, registered, and answering alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from ruamel.yaml import YAML

import sightline
from sightline.data.store import SplitStore
from sightline.registry.resolving import resolve_model

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]
COMMON: dict[str, Any] = {"dataset": "scenes", "weights": "random", "augment": "none"}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"scenes": {"format": "scenes", "root": "data/embedded", "count": 120, "size": 64, "max_objects": 1}},
    "trainer": {"max_epochs": 1, "batch_size": 16, "threads": 1},
    "models": {
        "a-namer": {
            **COMMON,
            "task": {"kind": "classification", "architecture": "mlp", "hidden": [16]},
            "input": {"size": 16},
            "crop_by": {"model": "finder", "least_score": 0.0},
        },
        "finder": {**COMMON, "task": {"kind": "localization", "architecture": "mnist_cnn"}, "input": {"size": 32}},
    },
    "explanations": {"a-namer": {"dataset": "scenes", "methods": ["occlusion"], "samples": 1, "images": 16}},
    "evaluation": {"resamples": 200},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"), PARAMS)
    stages = project.repro()
    assert stages.index("train@finder") < stages.index("train@a-namer")
    project.commit()
    return project


# The tests below go on from one another in this order.


def change(project: Project, path: str, value: Any) -> None:
    params = YAML(typ="safe").load(project.root / "params.yaml")
    here = params
    *parts, last = path.split(".")
    for part in parts:
        here = here[part]
    here[last] = value
    project.write_params(params)


def would_run(project: Project) -> set[str]:
    assert project.dvc("repro", "code").returncode == 0
    done = project.dvc("repro", "--dry")
    assert done.returncode == 0, done.stderr
    return {line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")}


def test_it_is_judged_and_registered_as_one_version(project: Project) -> None:
    assert project.aliases() == {"a-namer": {"champion": 1}, "finder": {"champion": 1}}
    metrics = json.loads((project.root / "reports/a-namer/evaluation/metrics.json").read_text())
    assert metrics["crop"]["images"] == metrics["samples"]
    assert metrics["onnx"]["agrees"]
    page = (project.root / "reports/a-namer/index.html").read_text()
    assert "cropped to the most confident box of finder" in page
    assert project.repro() == ["register"]


def test_a_changed_classifier_leaves_the_detector_alone(project: Project) -> None:
    text = (project.root / "params.yaml").read_text()
    change(project, "models.a-namer.optimizer", {"name": "adam", "lr": 0.002})
    change(project, "models.a-namer.crop_by.margin", 0.3)
    stages = would_run(project)
    assert "train@a-namer" in stages
    assert "train@finder" not in stages
    (project.root / "params.yaml").write_text(text)


def test_a_changed_detector_trains_the_classifier_again(project: Project) -> None:
    change(project, "models.finder.seed", 5)
    assert "train@finder" in would_run(project)  # what follows, a dry run does not tell
    ran = project.repro()
    assert ran.index("train@finder") < ran.index("train@a-namer") < ran.index("evaluate@a-namer")
    assert project.versions("a-namer") == 2
    ledger = (project.root / "registry/ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in ledger].count("a-namer") == 2


def test_the_registered_version_answers_when_the_project_is_gone(project: Project, tmp_path: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    store = SplitStore(project.root / "data/prepared/scenes/test")
    some = [bytes(store.image(index)) for index in range(4)]
    found = resolve_model("a-namer/2", project.root)
    expected = sightline.load(project.root / "models/a-namer").predict(some)
    [place] = {path.parent for path in (project.root / "mlartifacts").rglob("MLmodel") if same(path, found.folder)}
    shutil.copytree(place, tmp_path / "version")
    shutil.rmtree(project.root)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "version"))
    answers = loaded.predict(pd.DataFrame({"image": some}))
    assert [json.loads(text) for text in answers["prediction"]] == expected
    assert all(one["crop"]["box"] is not None for one in expected)


def same(place: Path, folder: Path) -> bool:
    """Return whether an MLflow model holds exactly the files of a model directory."""
    inner = next(path.parent for path in place.parent.rglob("model.json") if path.parent.name != "detector")
    return (inner / "model.json").read_bytes() == (folder / "model.json").read_bytes()
