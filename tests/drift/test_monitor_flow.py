"""The flow `monitor` on a real Prefect server."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sightline.operations.drift import last_verdicts
from sightline.operations.drift.verdicts import past_checks

FLOW = Path(__file__).parents[2] / "pipelines/monitor.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The flow's module, on a server of its own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    patch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        patch.delenv(name, raising=False)
    specification = importlib.util.spec_from_file_location("monitor_flow", FLOW)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)  # type: ignore[union-attr]
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        yield module
    patch.undo()


def artifacts(key: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return [entry.data for entry in sorted(found, key=lambda entry: entry.created)]


def scheduled() -> list[str]:
    """Return the flow runs that wait, by the flow they are of."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [str(run.tags) for run in client.read_flow_runs() if run.state is not None and run.state.is_scheduled()]


def deploy_retrain() -> None:
    from prefect import flow as make_flow
    from prefect.client.orchestration import get_client

    @make_flow(name="retrain")
    def retrain() -> None:
        """Stands for the flow that is deployed."""

    with get_client(sync_client=True) as client:
        client.create_deployment(client.create_flow(retrain), name="retrain")


def test_drift_begins_after_two_checks_and_triggers_once(
    flow: ModuleType,
    made: Path,
    tmp_path: Path,
) -> None:
    root = tmp_path / "project"
    shutil.copytree(made, root)
    shutil.rmtree(root / "data/inbox")
    waiting = flow.monitor(str(root), return_state=True)
    assert waiting.is_completed(), waiting.message
    assert json.loads(artifacts("monitor-verdicts")[-1])[0]["verdict"] == "too few images"
    assert last_verdicts(root) == {}
    shutil.copytree(root / "blurred", root / "data/inbox/scenes")
    first = flow.monitor(str(root), return_state=True)
    assert "nothing drifting" in first.message
    second = flow.monitor(str(root), return_state=True)
    assert "scenes drifting; retraining: scenes began to drift; not triggered" in second.message
    assert "no deployment retrain/retrain" in second.message
    assert last_verdicts(root)["scenes"].drifting
    assert len(past_checks(root, "scenes")) == 2
    page = artifacts("drift-scenes")[-1]
    assert page.startswith("**scenes: drift.**")
    assert page.count("(data:image/webp;base64,") == 3
    # once more: it drifts already, so nothing begins
    deploy_retrain()
    assert "no data set began to drift" in flow.monitor(str(root), return_state=True).message
    assert scheduled() == []
    (root / ".sightline/monitor.json").unlink()
    assert "triggered retrain/retrain" in flow.monitor(str(root), return_state=True).message
    assert len(scheduled()) == 1
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    [experiment] = [own for own in client.search_experiments() if own.name == "sightline"]
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in runs} == {"drift scenes"}
    pictures = {file.path for file in client.list_artifacts(runs[0].info.run_id, "pictures")}
    assert "pictures/map.png" in pictures


def test_a_name_that_is_not_watched_fails_in_one_line(flow: ModuleType, made: Path) -> None:
    state = flow.monitor(str(made), ["scene"], return_state=True)
    assert state.is_failed()
    assert "datasets: 'scene' is not in monitor of params.yaml (did you mean scenes?)" in state.message
