import fcntl
import importlib.util
import json
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from registry_project import PIPELINES, STAGES, STUB, Project
from warm_python import warm_python


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The flow's module, on a server of its own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    patch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
    specification = importlib.util.spec_from_file_location("retrain_flow", PIPELINES / "retrain.py")
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)  # type: ignore[union-attr]
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        yield module
    patch.undo()


@pytest.fixture
def repository(project: Project) -> Project:
    (project.root / "dvc.yaml").write_text(STAGES)
    (project.root / "dvc.lock").unlink()
    (project.root / "stub.py").write_text(STUB)
    return project


def logged(run: Any) -> list[str]:
    """Return what Prefect's server has in the log of a flow run and its tasks."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()  # waits until what is queued is sent
    with get_client(sync_client=True) as client:
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        return [entry.message for entry in client.read_logs(chosen, limit=200)]


def artifact(key: str) -> Any:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        found = client.read_artifacts(artifact_filter=chosen)
        return max(found, key=lambda entry: entry.created).data


def words(results: dict[str, dict[str, str]]) -> dict[str, str]:
    return {stage: word for group in results.values() for stage, word in group.items()}


def test_two_runs_then_a_change_taken_back(flow: ModuleType, repository: Project) -> None:
    first = flow.retrain(str(repository.root))
    assert list(first) == ["prepare", "train", "evaluate", "release", "register"]
    assert set(words(first).values()) == {"ran"}
    assert [line["decision"] for line in repository.ledger()] == ["promote"]
    second = words(flow.retrain(str(repository.root)))
    assert second.pop("register") == "ran"
    assert set(second.values()) == {"unchanged"}
    assert len(second) == 4
    assert len(repository.ledger()) == 1
    assert artifact("retrain-models").splitlines()[2].startswith("| digit | classification | accuracy 0.85")
    rows = json.loads(artifact("retrain-stages"))
    assert rows[-1] == {"group": "register", "stage": "register", "result": "ran"}
    repository.write_params(lr=0.002)
    assert words(flow.retrain(str(repository.root)))["train@digit"] == "ran"
    assert repository.aliases() == {"champion": "2"}
    repository.write_params(lr=0.001)
    fourth = words(flow.retrain(str(repository.root)))
    assert fourth["train@digit"] == "restored"
    assert repository.versions() == ["1", "2"]
    assert repository.aliases() == {"champion": "2", "challenger": "1"}


def test_a_failing_stage_fails_the_flow_and_nothing_is_published(
    flow: ModuleType, repository: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write_params(lr=0.5)
    state = flow.retrain(str(repository.root), return_state=True)
    assert state.is_failed()
    assert "train: `dvc repro` ended with" in state.message
    assert "the loss is not finite at step 17" in state.message
    log = logged(state.state_details.flow_run_id)
    assert any("the loss is not finite at step 17" in line for line in log)
    assert not any("git add" in line or not line.strip() for line in log), "DVC's hints after each stage"
    assert repository.ledger() == []
    assert repository.runs() == 0
    rows = json.loads(artifact("retrain-stages"))
    assert [row["result"] for row in rows] == ["ran", "failed", "skipped", "skipped", "skipped"]
    monkeypatch.chdir(repository.root)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert flow.main() == 1
    finally:
        signal.signal(signal.SIGTERM, handler)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("retrain: Failed: ")
    assert "failed to run: python stub.py train digit 0.5, exited with 1" in last


def test_a_second_run_at_the_same_time_does_nothing(flow: ModuleType, repository: Project) -> None:
    path = repository.root / ".sightline" / "retrain.lock"
    path.parent.mkdir()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = flow.retrain(str(repository.root), return_state=True)
    assert state.is_completed()
    assert "another retrain is running" in state.message
    assert not (repository.root / "data").exists()


@pytest.mark.slow
def test_a_run_tells_a_webhook_and_commits_on_a_branch(flow: ModuleType, repository: Project) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    got: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        message = {"title": "{{subject}}", "text": "{{body}}"}
        url = f"http://127.0.0.1:{server.server_port}/"
        CustomWebhookNotificationBlock(name="team", url=url, json_data=message).save("team", overwrite=True)
        file = repository.root / "params.yaml"
        file.write_text(file.read_text() + "retrain: {commit: true, notify: custom-webhook/team}\n")
        flow.retrain(str(repository.root))
        assert got == [{"title": "retrain", "text": "digit: promoted: first version"}]
        repository.write_params(lr=0.5)
        file.write_text(file.read_text() + "retrain: {notify: custom-webhook/team}\n")
        assert flow.retrain(str(repository.root), return_state=True).is_failed()
        server.shutdown()
    assert got[1]["title"] == "retrain failed"
    assert "the loss is not finite at step 17" in got[1]["text"]
    git = ["git", "-C", str(repository.root)]
    named = subprocess.run([*git, "branch", "--list", "retrain/*"], check=True, capture_output=True, text=True)
    branch = named.stdout.strip()
    changed = subprocess.run([*git, "diff", "--name-only", "HEAD", branch], check=True, capture_output=True, text=True)
    assert changed.stdout.split() == ["dvc.lock", "registry/ledger.jsonl"]
    report = artifact("retrain-report")
    assert "data:image/png;base64," in report
    assert f"committed on the branch {branch}" in report


@pytest.mark.slow
def test_a_run_pushes_what_another_clone_pulls(flow: ModuleType, repository: Project, tmp_path: Path) -> None:
    root, clone = repository.root, tmp_path / "clone"
    file = root / "params.yaml"
    file.write_text(file.read_text() + "retrain: {remote: store, push: true}\n")
    dvc = [warm_python(), "-m", "dvc"]
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]

    def commit(message: str) -> None:
        for command in ([*git, "add", "-A"], [*git, "commit", "-qm", message]):
            subprocess.run(command, cwd=root, check=True)

    subprocess.run([*dvc, "remote", "add", "store", str(tmp_path / "store")], cwd=root, check=True)
    commit("start")
    assert set(words(flow.retrain(str(root))).values()) == {"ran"}
    commit("trained")
    subprocess.run([*git, "clone", "-q", ".", str(clone)], cwd=root, check=True)
    again = words(flow.retrain(str(clone)))
    assert again.pop("register") == "ran"
    assert set(again.values()) == {"unchanged"}
    weights = "models/digit/weights.safetensors"
    assert (clone / weights).read_bytes() == (root / weights).read_bytes()
    assert (clone / "registry/ledger.jsonl").read_bytes() == (root / "registry/ledger.jsonl").read_bytes()
    assert "pushed to the DVC remote store" in artifact("retrain-report")
