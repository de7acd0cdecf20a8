"""What a person sees: the pages of MLflow and of Prefect, in a real browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_project import PIPELINES, STAGES, STUB, Project

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
WAIT = 30_000  # ms
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is found: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database."""
    import mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def project(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path / "project", database)


@pytest.fixture
def outside() -> list[str]:
    """Addresses beyond this machine that a page has asked for."""
    return []


@pytest.fixture
def page(outside: list[str], tmp_path: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT)

        def refuse(route: Any) -> None:
            outside.append(route.request.url)
            route.abort()

        page.route(lambda url: not url.startswith(("http://127.0.0.1", "data:", "blob:")), refuse)
        yield page
        page.screenshot(path=tmp_path / "last.png")  # shows where a test failed
        browser.close()


Server = Callable[[list[str], str, dict[str, str]], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Server]:
    """Start `python -m COMMAND --host 127.0.0.1 --port FREE`, wait for its health page, return its address.

    Values of the environment may name `{address}`.
    """
    running = []

    def start(command: list[str], health: str, environment: dict[str, str]) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address, log = f"http://127.0.0.1:{port}", tmp_path / f"{command[0]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
                env={**os.environ, **{name: value.format(address=address) for name, value in environment.items()}},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running.append(process)
        for _ in range(240):
            try:
                urllib.request.urlopen(address + health, timeout=5).close()
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.25)
            else:
                return address
        raise AssertionError(log.read_text())

    yield start
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shows(page: Any, *texts: str) -> None:
    """Wait until each text is visible."""
    for text in texts:
        page.get_by_text(text).filter(visible=True).first.wait_for()


def ask(address: str) -> list[dict[str, Any]]:
    """Return everything that one of Prefect's filters finds."""
    request = urllib.request.Request(address, b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        found: list[dict[str, Any]] = json.load(response)
        return found


def test_mlflow_shows_runs_curves_pictures_and_versions(
    project: Project, page: Any, serve: Server, outside: list[str], tmp_path: Path
) -> None:
    project.make("one", range(0, 240, 4))
    project.register()
    project.make("two", range(0, 236, 4))
    project.register()
    client = project.client()
    experiment = client.get_experiment_by_name("sightline").experiment_id
    run = client.get_model_version("digit", "1").run_id
    store = ["--backend-store-uri", f"sqlite:///{project.root / 'mlflow.db'}"]
    address = serve(["mlflow", "ui", *store, "--workers", "1"], "/health", {"MLFLOW_DISABLE_TELEMETRY": "true"})
    page.goto(f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning")
    shows(page, "digit", "2 matching runs", "digits (dddddddddddd)")
    page.screenshot(path=tmp_path / "runs.png")
    page.goto(f"{address}/#/experiments/{experiment}/runs/{run}")
    shows(page, "Finished", "optimizer.name", "test/accuracy_low")
    page.screenshot(path=tmp_path / "run.png")
    page.goto(f"{address}/#/experiments/{experiment}/runs/{run}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("val_")
    shows(page, "val_accuracy", "val_loss")
    page.locator(".js-plotly-plot .scatterlayer path").first.wait_for(state="attached")  # the curve itself
    page.screenshot(path=tmp_path / "metrics.png")
    page.goto(f"{address}/#/experiments/{experiment}/runs/{run}/artifacts/evaluation/confusion.png")
    shows(page, "per_class.csv")
    picture = page.locator("img[src*='confusion.png'], img[src^='blob:']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") == 8
    page.screenshot(path=tmp_path / "artifacts.png")
    page.goto(f"{address}/#/models/digit")
    shows(page, "Version 2", "challenger", "champion", "accuracy 0.850 [")
    page.screenshot(path=tmp_path / "model.png")
    assert outside == []


def test_prefect_shows_the_flow_and_its_artifacts(
    project: Project, page: Any, serve: Server, outside: list[str], tmp_path: Path
) -> None:
    (project.root / "dvc.yaml").write_text(STAGES)
    (project.root / "dvc.lock").unlink()
    (project.root / "stub.py").write_text(STUB)
    home = tmp_path / "prefect"
    home.mkdir()
    environment = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    pages = {"PREFECT_SERVER_UI_API_URL": "{address}/api"}  # else they ask port 4200, wherever the server is
    address = serve(["prefect", "server", "start"], "/api/health", {**environment, **pages})
    done = subprocess.run(
        [sys.executable, str(PIPELINES / "retrain.py")],
        cwd=project.root,
        env={**os.environ, **environment, "PREFECT_API_URL": f"{address}/api"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [run] = ask(f"{address}/api/flow_runs/filter")
    page.goto(f"{address}/runs/flow-run/{run['id']}")
    # ingest, decide, five stages, withdraw
    shows(page, run["name"], "Completed", "8 Task runs", "Running stage 'train@digit':")
    page.screenshot(path=tmp_path / "flow.png")
    artifacts = {artifact["key"]: artifact["id"] for artifact in ask(f"{address}/api/artifacts/filter")}
    page.goto(f"{address}/artifacts/artifact/{artifacts['retrain-stages']}")
    shows(page, "train@digit", "evaluate@digit", "ran")
    page.screenshot(path=tmp_path / "stages.png")
    page.goto(f"{address}/artifacts/artifact/{artifacts['retrain-models']}")
    shows(page, "accuracy 0.850 [0.830, 0.870]", "v1 champion", "promoted: first version")
    page.screenshot(path=tmp_path / "models.png")
    assert run["name"].startswith("retrain 20")
    assert outside == []
