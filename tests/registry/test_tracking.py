import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from registry_project import Project, png, write_evaluation, write_model, write_training

from sightline.registry.tracking import (
    Connection,
    DataSource,
    Runs,
    Searches,
    Versions,
    mark_trained,
    project_root,
    tracking_uri,
    training_logger,
)

DATA = DataSource("digits", "data/prepared/digits", "d" * 64)
WEIGHTS = "a" * 64


@pytest.fixture
def connection(project: Project) -> Connection:
    return Connection(project.root)


@pytest.fixture
def runs(connection: Connection) -> Runs:
    return Runs(connection)


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    assert project_root() == tmp_path / "main"
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    assert tracking_uri(tmp_path) == "http://somewhere:5000"


def test_the_experiment_keeps_its_files_in_the_project(project: Project, connection: Connection) -> None:
    identity = connection.experiment
    found = project.client().get_experiment(identity)
    assert found.artifact_location == (project.root / "mlartifacts").as_uri()
    assert Connection(project.root).experiment == identity


def test_a_search_goes_on_with_its_run_and_ends_with_its_trainings(project: Project, connection: Connection) -> None:
    searches, client = Searches(connection), project.client()
    parent = searches.begin("choose net", {"minutes": 2.0})
    child = client.create_run(connection.experiment, tags={"mlflow.parentRunId": parent}).info.run_id
    other = client.create_run(connection.experiment).info.run_id

    def states() -> list[str]:
        return [client.get_run(one).info.status for one in (parent, child, other)]

    with pytest.raises(ZeroDivisionError), searches.running(parent):
        raise ZeroDivisionError
    assert states() == ["KILLED", "KILLED", "RUNNING"]
    assert searches.begin("choose net", {"minutes": 3.0}, parent) == parent
    with searches.running(parent):
        searches.end(parent, {"trials": 2.0}, [])
    assert states() == ["FINISHED", "KILLED", "RUNNING"]
    run = client.get_run(parent)
    assert (run.data.metrics, run.data.params) == ({"trials": 2.0}, {"minutes": "2.0"})
    assert searches.begin("choose net", {}, "f" * 32) not in (parent, "f" * 32)  # MLflow has lost it


def test_a_replayed_run_has_everything_within_limits(project: Project, runs: Runs, tmp_path: Path) -> None:
    write_training(tmp_path / "training", "w")
    assert runs.find("digit", WEIGHTS) is None
    run = runs.replay("digit", WEIGHTS, tmp_path / "training")
    assert runs.find("digit", WEIGHTS) == run
    assert runs.find("other", WEIGHTS) is None
    client = project.client()
    data = client.get_run(run).data
    assert data.params["optimizer.name"] == "adam"
    assert data.params["long"] == "x" * 244 + " [cut]"
    history = client.get_metric_history(run, "val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.1), (1, 0.6)]
    assert client.get_run(run).info.status == "FINISHED"
    assert "training/curves.png" in [file.path for file in client.list_artifacts(run, "training")]


def test_a_run_cut_short_is_not_found(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_training(tmp_path / "training", "w")
    with monkeypatch.context() as patch:
        patch.setattr("sightline.registry.tracking.runs._curves", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runs.replay("digit", WEIGHTS, tmp_path / "training")
    assert runs.find("digit", WEIGHTS) is None


def test_an_evaluation_is_added_once(project: Project, runs: Runs, tmp_path: Path) -> None:
    write_training(tmp_path / "training", "w")
    write_evaluation(tmp_path / "evaluation", [1], [f"s{number}" for number in range(10)])
    run = runs.replay("digit", WEIGHTS, tmp_path / "training")
    assert runs.add_evaluation(run, "m1", tmp_path / "evaluation", DATA)
    assert not runs.add_evaluation(run, "m1", tmp_path / "evaluation", DATA)
    found = project.client().get_run(run)
    assert found.data.metrics["test/accuracy"] == 0.9
    assert found.data.metrics["test/calibration.ece"] == 0.01
    assert {name for name in found.data.metrics if name.startswith("test/")} == {
        "test/accuracy",
        "test/accuracy_low",
        "test/accuracy_high",
        "test/calibration.ece",
    }
    names = {Path(file.path).name for file in project.client().list_artifacts(run, "evaluation")}
    assert names == {"confusion.png", "confusion.csv", "per_class.csv", "metrics.json"}
    [lineage] = found.inputs.dataset_inputs
    assert (lineage.dataset.name, lineage.dataset.digest, lineage.dataset.source_type) == ("digits", "d" * 12, "dvc")
    assert json.loads(lineage.dataset.source) == {"path": "data/prepared/digits", "sha256": "d" * 64}


def test_versions_aliases_and_tags(project: Project, connection: Connection, tmp_path: Path) -> None:
    runs, versions = Runs(connection), Versions(connection)
    write_training(tmp_path / "training", "w")
    write_model(tmp_path / "model", "w")
    run = runs.replay("digit", WEIGHTS, tmp_path / "training")
    assert versions.aliases("digit") == {}
    assert versions.find("digit", "m") is None
    made = versions.create("digit", run, tmp_path / "model", {"dvc.md5": "m"})
    assert versions.find("digit", "m") == made
    assert (made.number, made.run) == ("1", run)
    [software] = (project.root / "mlartifacts").rglob("sbom.cdx.json")
    listed = json.loads(software.read_text())["metadata"]["component"]
    assert (listed["name"], listed["version"]) == ("digit", "m")
    assert {one["name"] for one in listed["components"]} == {path.name for path in (tmp_path / "model").iterdir()}
    versions.set_alias("digit", "champion", "1")
    assert versions.aliases("digit") == {"champion": "1"}
    versions.delete_alias("digit", "champion")
    assert versions.aliases("digit") == {}
    versions.tag(made, {"gate.reason": "x" * 9000})
    assert len(project.client().get_model_version("digit", "1").tags["gate.reason"]) == 5000


def test_lightning_logs_live(project: Project, connection: Connection, tmp_path: Path) -> None:
    params: dict[str, Any] = {"lr": 0.1, "long": "x" * 9000, "a" * 300: 1, "odd (name)": 2, "task": {"kind": "x"}}
    logger = training_logger("digit", params, tmp_path, project.root)
    logger.log_metrics({"val_loss": 0.5}, step=0)
    mark_trained(logger, WEIGHTS)
    logger.finalize("success")
    run = Runs(connection).find("digit", WEIGHTS)
    assert run == logger.run_id
    found = project.client().get_run(run)
    assert found.info.run_name == "digit"
    assert found.data.metrics == {"val_loss": 0.5}
    assert len(found.data.params) == 5
    assert found.data.params["task.kind"] == "x"
    assert found.data.params["odd _name_"] == "2"
    assert max(len(value) for value in found.data.params.values()) == 250
    assert training_logger("digit", params, tmp_path, project.root).run_id == run


@pytest.mark.parametrize("lost", ["database", "run"])
def test_a_remembered_run_that_is_lost_is_begun_anew(
    project: Project, connection: Connection, database: Path, tmp_path: Path, lost: str
) -> None:
    old = training_logger("digit", {"lr": 0.1}, tmp_path, project.root).run_id
    if lost == "database":
        shutil.copy(database, project.root / "mlflow.db")
    else:
        connection.client.delete_run(old)
    logger = training_logger("digit", {"lr": 0.1}, tmp_path, project.root)
    logger.log_metrics({"val_loss": 0.5}, step=1)
    assert logger.run_id != old
    assert project.client().get_run(logger.run_id).data.params == {"lr": "0.1"}
    assert training_logger("digit", {"lr": 0.1}, tmp_path, project.root).run_id == logger.run_id


def test_a_run_is_made_after_the_first_epoch_and_began_before(
    project: Project, connection: Connection, tmp_path: Path
) -> None:
    before = time.time()
    logger = training_logger("digit", {"lr": 0.1}, tmp_path, project.root)
    after = time.time()
    assert not hasattr(logger, "experiment"), "Lightning asks for it before the first step"
    assert (logger.name, logger.version) == (None, None)
    assert not (tmp_path / "mlflow-run").exists()
    time.sleep(0.02)
    logger.log_metrics({"val_loss": 0.5}, step=0)
    run = project.client().get_run((tmp_path / "mlflow-run").read_text())
    assert before - 0.001 <= run.info.start_time / 1000 <= after
    assert run.data.tags["mlflow.runName"] == "digit"
    assert "mlflow.source.name" in run.data.tags


def test_a_run_that_failed_before_is_made_too(project: Project, connection: Connection, tmp_path: Path) -> None:
    training_logger("digit", {}, tmp_path, project.root).finalize("failed")
    run = (tmp_path / "mlflow-run").read_text()
    assert project.client().get_run(run).info.status == "FAILED"
    (project.root / "mlflow.db").write_bytes(b"no database")
    training_logger("digit", {}, tmp_path, project.root).finalize("failed")  # what failed is told, not this


def test_a_remembered_run_is_known_when_its_folder_is_gone(
    project: Project, connection: Connection, tmp_path: Path
) -> None:
    memory = tmp_path / "resume"
    memory.mkdir()
    run = training_logger("digit", {}, memory, project.root).run_id
    logger = training_logger("digit", {}, memory, project.root)
    shutil.rmtree(memory)
    mark_trained(logger, WEIGHTS)
    assert logger.run_id == run


def test_without_mlflow_there_is_no_logger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sightline.registry.tracking.live.find_spec", lambda name: None)
    assert training_logger("digit", {}, tmp_path) is None


STUB = """
import sys, types
module = types.ModuleType("sightline.evaluation.predictor")
class Predictor:
    def predict(self, images):
        return [{"label": str(len(image)), "label_id": 1, "confidence": 0.5, "probabilities": {}} for image in images]
module.load_predictor = lambda *_: Predictor()
sys.modules["sightline.evaluation.predictor"] = module
"""


def test_mlflow_serves_it_over_http(project: Project, tmp_path: Path) -> None:
    project.make("one", [])
    project.register()
    (tmp_path / "sitecustomize.py").write_text(STUB)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "MLFLOW_TRACKING_URI": tracking_uri(project.root),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/digit@champion"]
    options = ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, *options], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        image = base64.b64encode(png()).decode()
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[image]]}}).encode()
        url = f"http://127.0.0.1:{port}/invocations"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        answer = None
        for _ in range(120):
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    answer = json.load(response)
                break
            except (ConnectionError, OSError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.5)
        assert answer is not None, log.read_text()
        [row] = answer["predictions"]
        assert row["label"] == str(len(png()))
        assert json.loads(row["prediction"])["confidence"] == 0.5
    finally:
        os.killpg(server.pid, 9)
        server.wait()
