"""The whole way in a real DVC repository: `dvc repro`, again, with a change, as an experiment, with bad input."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from ruamel.yaml import YAML

MODEL = {
    "dataset": "digits",
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 2e-3},
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {"max_epochs": 3, "batch_size": 64},
    "models": {
        "small": {**MODEL, "task": {"kind": "classification", "architecture": "mlp"}},
        "other": {**MODEL, "task": {"kind": "classification", "architecture": "mlp"}, "seed": 2},
    },
    "evaluation": {"resamples": 200},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"), PARAMS)
    assert project.repro()[-1] == "register"
    project.commit()
    return project


# The tests below go on from one another in this order.


def test_the_first_run_registers_champions(project: Project) -> None:
    assert project.aliases() == {"small": {"champion": 1}, "other": {"champion": 1}}
    metrics = json.loads((project.root / "reports/small/metrics.json").read_text())
    assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
    pictures = {path.name for path in (project.root / "reports/small/evaluation").glob("*.png")}
    assert pictures == {
        f"{name}.png" for name in ("curves", "confusion", "per_class", "quality", "reliability", "worst")
    }
    assert (project.root / "data/prepared/digits/report.md").is_file()


def test_the_second_run_runs_nothing_but_register(project: Project) -> None:
    ledger = project.files("registry")
    assert project.repro() == ["register"]
    assert project.files("registry") == ledger
    assert project.versions("small") == 1


def test_another_tasks_file_runs_nothing(project: Project) -> None:
    (project.root / "src/sightline/tasks/detection.py").write_text('"""Another task."""\n')
    assert project.repro() == ["register"]


def test_a_change_of_one_model_runs_only_its_stages_and_reverting_makes_no_third_version(project: Project) -> None:
    text = (project.root / "params.yaml").read_text()
    params = YAML(typ="safe").load(text)
    params["models"]["small"]["optimizer"]["lr"] = 0.004
    params["evaluation"]["headline"] = {"small": "macro_f1"}
    project.write_params(params)
    ran = project.repro()
    assert sorted(ran) == sorted(["train@small", "evaluate@small", "release@small", "register"])
    assert json.loads((project.root / "release/small.json").read_text())["headline"]["name"] == "macro_f1"
    assert "macro_f1_low" in json.loads((project.root / "reports/small/metrics.json").read_text())
    assert project.versions("small") == 2
    diff = json.loads(project.dvc("metrics", "diff", "--json").stdout)
    assert "reports/small/metrics.json" in diff
    assert project.dvc("plots", "diff").returncode == 0
    weights = project.files("models/small")
    (project.root / "params.yaml").write_text(text)
    project.repro()
    assert project.versions("small") == 2
    assert project.files("models/small") != weights


def test_an_experiment_promotes_nothing(project: Project) -> None:
    project.commit()
    before, ledger = project.aliases(), project.files("registry")
    done = project.dvc("exp", "run", "-n", "try", "-S", "models.other.optimizer.lr=0.004")
    assert done.returncode == 0, done.stderr
    assert "nothing is registered" in done.stdout
    assert (project.aliases(), project.files("registry")) == (before, ledger)
    shown = project.dvc("exp", "show", "--csv")
    assert "try" in shown.stdout
    assert "reports/other/metrics.json:accuracy" in shown.stdout
    project.git("checkout", "-q", ".")
    assert project.dvc("checkout", "-q").returncode == 0


@pytest.mark.slow
def test_an_experiment_in_a_temporary_copy_logs_where_the_project_does(project: Project) -> None:
    from mlflow import MlflowClient

    project.git("checkout", "-q", ".")  # an experiment begins with what is committed
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sightline").experiment_id
    before, aliases = len(client.search_runs([experiment])), project.aliases()
    done = project.dvc("exp", "run", "--temp", "-n", "apart", "-S", "models.other.optimizer.lr=0.005")
    assert done.returncode == 0, done.stderr
    runs = client.search_runs([experiment])
    assert len(runs) == before + 1
    assert runs[0].data.params["optimizer.lr"] == "0.005"
    files = Path(runs[0].info.artifact_uri.removeprefix("file://"))
    assert files.is_relative_to(project.root / "mlartifacts")
    assert project.aliases() == aliases


def test_bad_input_leaves_the_last_outputs(project: Project) -> None:
    before = project.files("models")
    text = (project.root / "params.yaml").read_text()
    params = YAML(typ="safe").load(text)
    params["models"]["small"]["optimizer"]["lr"] = -1.0
    project.write_params(params)
    done = project.dvc("repro")
    assert done.returncode != 0
    told = "params.yaml: models.small.optimizer.lr: -1.0 is not allowed, must be greater than 0"
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert project.files("models") == before
    (project.root / "params.yaml").write_text(text)
    assert project.repro() == ["register"]


def test_training_twice_from_clean_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    """The second time by interpreters that start from nothing, as a user's do."""
    again = Project(tmp_path, PARAMS, warm=False)
    done = again.dvc("repro", "release@small")
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in ("data/prepared/digits", "models/small", "reports/small"):
        made = made_in(again, folder)
        assert made
        assert made == made_in(project, folder), folder
    assert (again.root / "release/small.json").read_bytes() == (project.root / "release/small.json").read_bytes()


def made_in(project: Project, folder: str) -> dict[str, bytes]:
    """Return the files of a folder but for the pages, which also tell the commit and the time of decisions."""
    return {path: content for path, content in project.files(folder).items() if not path.endswith("index.html")}


@pytest.mark.slow
def test_a_model_trained_elsewhere_comes_back(project: Project) -> None:
    """A box without DVC and MLflow trains by the stage's own command; `dvc commit` takes its files in."""
    before = project.versions("small")
    params = YAML(typ="safe").load(project.root / "params.yaml")
    params["models"]["small"]["optimizer"]["lr"] = 0.003
    project.write_params(params)
    script = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(('mlflow', 'dvc', 'dvc_data', 'prefect')));"
        "sys.argv = ['train.py', 'small']; runpy.run_path('pipelines/train.py', run_name='__main__')"
    )
    for output in ("models/small", "reports/small/training"):
        shutil.rmtree(project.root / output)  # DVC's link to its cache is not to be written through
    (project.root / "reports/small/plots/curves.csv").unlink()
    environment = {**os.environ, "PYTHONPATH": str(project.root / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    trained = project.files("models/small")
    assert project.dvc("repro", "--single-item", "code").returncode == 0  # what the code and settings were
    assert project.dvc("commit", "--force", "train@small").returncode == 0
    assert project.repro() == ["evaluate@small", "release@small", "register"]
    assert project.files("models/small") == trained
    assert project.versions("small") == before + 1


@pytest.mark.slow
def test_a_model_grows_from_another_one_of_the_file(tmp_path: Path) -> None:
    """DVC trains the other one first, and again when that one changes."""
    small = PARAMS["models"]["small"]
    child = {**small, "weights": {"model": "small"}}
    params = {**PARAMS, "trainer": {"max_epochs": 1}, "models": {"a-child": child, "small": small}}
    project = Project(tmp_path, params)
    stages = project.repro()
    assert stages.index("train@small") < stages.index("train@a-child")
    project.commit()
    params["models"] = {"a-child": child, "small": {**small, "seed": 5}}
    project.write_params(params)
    assert {"train@small", "train@a-child"} <= set(project.repro())
