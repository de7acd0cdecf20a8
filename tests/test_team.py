"""The servers of examples/team, really run: PostgreSQL, S3, MLflow and Prefect, and two clones of one project."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from ruamel.yaml import YAML

from sightline.pipeline.process import QUIET

TEAM = Path(__file__).parents[1] / "examples" / "team"
MOTO = os.environ.get("MOTO_SERVER") or shutil.which("moto_server")
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
MISSING = [
    *([] if POSTGRES or os.environ.get("PG_BIN") else ["PostgreSQL (apt-get install postgresql)"]),
    *([] if MOTO else ["moto's server (see examples/team/local.sh; name it by MOTO_SERVER)"]),
    *(f"the package {name}" for name in ("psycopg", "boto3", "dvc_s3") if find_spec(name) is None),
]
needs_servers = pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}")
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {"max_epochs": 1, "batch_size": 64},
    "models": {
        "small": {
            "dataset": "digits",
            "weights": "random",
            "augment": "none",
            "input": {"size": 8, "channels": 1},
            "optimizer": {"name": "adam", "lr": 2e-3},
            "task": {"kind": "classification", "architecture": "mlp"},
        }
    },
    "evaluation": {"resamples": 100},
}


@dataclass(frozen=True)
class Servers:
    """What `local.sh env` tells: by which addresses the servers are reached."""

    environment: dict[str, str]

    def run(self, root: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `python COMMAND...` of a project, as somebody of the team would."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "PREFECT_"))
        }
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
        }
        done = subprocess.run(
            [sys.executable, *command],
            cwd=root,
            env={**kept, **QUIET, **self.environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def mlflow(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.environment["MLFLOW_TRACKING_URI"])

    def state(self) -> tuple[int, list[str], dict[str, str]]:
        """Return how many runs MLflow has, the versions and the aliases of the model."""
        client = self.mlflow()
        runs = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
        versions = sorted(str(version.version) for version in client.search_model_versions("name='small'"))
        aliases = client.get_registered_model("small").aliases
        return len(runs), versions, {alias: str(number) for alias, number in aliases.items()}


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="sightline-team-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    ports = {f"{name}_PORT": free_port() for name in ("POSTGRES", "S3", "MLFLOW", "PREFECT")}
    own = {"TEAM_DIR": str(folder), "MOTO_SERVER": str(MOTO), "MLFLOW_WORKERS": "1", **ports}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "AWS_"))}

    def script(word: str) -> str:
        command = [str(TEAM / "local.sh"), word]
        done = subprocess.run(command, env={**kept, **path, **own}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        script("start")
        assert script("start").count("already running") == 4
        yield Servers(dict(re.findall(r"^export (\w+)=(.*)$", script("env"), re.MULTILINE)))
    finally:
        assert script("stop").count("stopped") == 4
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose DVC remote is the S3, in the state after its first retrain."""
    project = Project(tmp_path_factory.mktemp("team") / "project", PARAMS)
    servers.run(project.root, "-m", "dvc", "remote", "add", "--default", "team", "s3://sightline-dvc/project")
    done = servers.run(project.root, "pipelines/retrain.py")
    assert "retrain: Completed" in done.stderr
    project.commit()
    servers.run(project.root, "-m", "dvc", "push", "--run-cache")
    return project


def stages_run(output: str) -> list[str]:
    """Return the stages that ran or were restored, from what `dvc repro` says; `code` always does."""
    return re.findall(r"^(?:Running stage|Stage) '(?!code')([^']+)'(?! didn't change)", output, re.MULTILINE)


# The tests below go on from one another in this order.


@needs_servers
@pytest.mark.slow
def test_the_flow_twice_on_the_servers(servers: Servers, project: Project) -> None:
    first = (1, ["1"], {"champion": "1"})
    assert servers.state() == first
    run = servers.mlflow().search_runs(["1"])[0]
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/"), "through the server, whose keys nobody else needs"
    assert {"val_loss", "test/accuracy"} <= set(run.data.metrics)
    assert "sightline.replayed" not in run.data.tags, "it was logged while it trained"
    assert not (project.root / "mlflow.db").exists()
    done = servers.run(project.root, "pipelines/retrain.py")
    assert "retrain: Completed" in done.stderr
    assert servers.state() == first
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(servers.environment["PREFECT_API_URL"]) as prefect:
        assert [flow.state_name for flow in prefect.read_flow_runs()] == ["Completed", "Completed"]


@needs_servers
@pytest.mark.slow
def test_a_second_clone_pulls_and_has_nothing_to_do(servers: Servers, project: Project, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project.root), str(clone)], check=True)
    assert not (clone / "models").exists()
    servers.run(clone, "-m", "dvc", "pull", "--run-cache")
    ledger = (clone / "registry/ledger.jsonl").read_bytes()
    done = servers.run(clone, "-m", "dvc", "repro")
    assert stages_run(done.stdout) == ["register"]
    assert servers.state() == (1, ["1"], {"champion": "1"})
    assert (clone / "registry/ledger.jsonl").read_bytes() == ledger
    # What somebody else has trained once is not trained here: the run cache came along.
    (clone / "dvc.lock").unlink()
    shutil.rmtree(clone / "models")
    done = servers.run(clone, "-m", "dvc", "repro")
    assert "Running stage 'train@small'" not in done.stdout
    assert "Stage 'train@small' is cached" in done.stdout
    assert servers.state() == (1, ["1"], {"champion": "1"})


@needs_servers
@pytest.mark.slow
def test_a_champion_answers_from_the_server_alone(servers: Servers, project: Project, tmp_path: Path) -> None:
    """In an empty folder: no project, no cache, no keys of the S3."""
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "one.png"), np.eye(8, dtype=np.uint8) * 255)
    shutil.copytree(project.root / "src", tmp_path / "src")
    without = {name: value for name, value in servers.environment.items() if not name.startswith("AWS_")}
    done = Servers(without).run(tmp_path, "-m", "sightline", "predict", "small@champion", "one.png", "--to", "jsonl")
    assert '"file": "one.png"' in done.stdout or "one.png" in done.stdout
    assert '"label"' in done.stdout


@needs_servers
@pytest.mark.slow
def test_files_that_the_s3_has_lost_are_registered_again(servers: Servers, project: Project) -> None:
    import boto3

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    keys = {name.lower(): servers.environment[name] for name in names}
    store = boto3.resource("s3", endpoint_url=servers.environment["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys)
    assert list(store.Bucket("sightline-dvc").objects.limit(1))
    assert store.Bucket("sightline-mlflow").objects.all().delete()
    servers.run(project.root, "pipelines/register.py")
    assert servers.state()[1:] == (["1", "2"], {"champion": "2"})


def test_containers_are_pinned_and_open_on_this_machine_only() -> None:
    compose = YAML(typ="safe").load(TEAM / "compose.yaml")
    text = (TEAM / "compose.yaml").read_text()
    documented = set(re.findall(r"^([A-Z0-9_]+)=", (TEAM / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_0-9]+)", text)) <= documented | {"PROJECT"}
    assert set(compose["services"]) == {"postgres", "s3", "buckets", "mlflow", "prefect", "worker"}
    for name, service in compose["services"].items():
        assert re.search(r":[\w.-]*\d|:local$", service["image"]), name
        assert ":latest" not in service["image"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
    ignored = subprocess.run(["git", "check-ignore", "examples/team/.env"], cwd=TEAM.parents[1], check=False)
    assert ignored.returncode in (0, 128), "128: no git repository"
