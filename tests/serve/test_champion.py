"""A new champion takes over while requests come; a broken one does not."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import registry_project
import torch
from registry_project import CLASSES, Project
from served import Running, Start, encoded, photograph, write_random_model

from sightline.operations.serve import Batching, Following, load_served

Model = dict[str, Any]
TASK = {"kind": "classification", "architecture": "mnist_cnn"}


def write_version(folder: Path, weights: str, *_: Any) -> None:
    torch.manual_seed(sum(weights.encode()))
    write_random_model(folder, TASK, classes=tuple(CLASSES))


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Load:
    """Threads that send images until the block ends, and what they were answered."""

    def __init__(self, address: str, threads: int = 4) -> None:
        self.answers: list[tuple[int, str]] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(address,)) for _ in range(threads)]

    def _send(self, address: str) -> None:
        image = encoded(photograph())
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            while not self._ended.is_set():
                answer = client.post("/predict", files={"image": image})
                self.answers.append((answer.status_code, answer.json().get("version", "")))

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_a_new_version_takes_over_and_a_broken_one_does_not(tmp_path: Path, start: Start) -> None:
    alias = tmp_path / "champion"
    alias.write_text("1")
    for version in ("1", "2"):
        write_version(tmp_path / version, version)
    (tmp_path / "3").mkdir()

    def load() -> Any:
        version = alias.read_text()
        return load_served(tmp_path / version, "digit", version)

    server: Running = start(load(), batching=Batching(workers=2), following=Following(alias.read_text, load, 0.05))
    health = server.client.get("/health")
    assert health.json() == {"ready": True, "model": "digit", "version": "1"}
    with Load(server.address) as sent:
        wait_for(lambda: sent.answers)
        alias.write_text("2")
        wait_for(lambda: sent.answers[-1][1] == "2")
        alias.write_text("3")
        wait_for(lambda: "problem" in server.client.get("/health").json())
        count = len(sent.answers)
        wait_for(lambda: len(sent.answers) > count + 20)
    assert {status for status, _ in sent.answers} == {200}
    assert {version for _, version in sent.answers} == {"1", "2"}
    told = server.client.get("/health").json()
    assert (told["ready"], told["version"]) == (True, "2")
    assert told["problem"].startswith("version 3 cannot be read (")
    assert "contains no model" in told["problem"]
    assert 'sightline_model_info{name="digit",version="2"} 1.0' in server.client.get("/metrics").text
    alias.write_text("1")
    wait_for(lambda: server.client.get("/health").json() == health.json())


def test_a_request_keeps_the_model_that_it_came_to(tmp_path: Path, start: Start) -> None:
    begun, go_on = threading.Event(), threading.Event()
    models = {version: load_served(make(tmp_path, version), "digit", version) for version in ("1", "2")}
    first = models["1"].predict

    def wait(*asked: Any) -> Any:
        begun.set()
        go_on.wait(30)
        return first(*asked)

    models["1"].predict = wait  # type: ignore[method-assign]
    alias = ["1"]
    server = start(
        models["1"],
        batching=Batching(max_batch=1),
        following=Following(lambda: alias[0], lambda: models[alias[0]], 0.02),
    )
    image = encoded(photograph())
    with ThreadPoolExecutor(4) as pool:
        old = [pool.submit(server.send, image, image) for _ in range(2)]
        assert begun.wait(10)
        wait_for(lambda: "sightline_queue_images 3.0" in server.client.get("/metrics").text)
        alias[0] = "2"
        wait_for(lambda: server.client.get("/health").json()["version"] == "2")
        new = pool.submit(server.send, image)
        wait_for(lambda: "sightline_queue_images 4.0" in server.client.get("/metrics").text)
        go_on.set()
        assert [one.result().json()["version"] for one in (*old, new)] == ["1", "1", "2"]
        assert old[0].result().json()["predictions"][0] != new.result().json()["predictions"][0]


def make(root: Path, version: str) -> Path:
    write_version(root / version, version)
    return root / version


def test_requests_under_way_are_answered_before_the_end(tmp_path: Path, start: Start) -> None:
    model = load_served(make(tmp_path, "1"), "digit", "1")
    begun, go_on, predict = threading.Event(), threading.Event(), model.predict

    def wait(*asked: Any) -> Any:
        begun.set()
        go_on.wait(30)
        return predict(*asked)

    model.predict = wait  # type: ignore[method-assign]
    server = start(model, batching=Batching(max_batch=1))
    with ThreadPoolExecutor(4) as pool:
        under_way = [pool.submit(server.send, encoded(photograph())) for _ in range(3)]
        assert begun.wait(10)
        wait_for(lambda: "sightline_queue_images 2.0" in server.client.get("/metrics").text)
        threading.Timer(0.5, go_on.set).start()
        ended = pool.submit(server.end)
        assert [one.result().status_code for one in under_way] == [200] * 3
        ended.result()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    import mlflow

    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setattr(registry_project, "write_model", write_version)
    database = tmp_path / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{database}").search_registered_models()
    return Project(tmp_path / "project", database)


@pytest.fixture
def command(project: Project) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sightline", "serve", *arguments, "--port", "0"],
            cwd=project.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_the_champion_of_a_registry_is_followed(
    project: Project, command: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.make("one", range(0, 240, 4))
    project.register()
    process = command("digit@champion", "--poll", "0.2")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("digit version 1: http://127.0.0.1:"), line
    address = line.split()[3]
    with Load(address) as sent:
        wait_for(lambda: sent.answers)
        project.make("two", range(0, 80, 4))
        project.register()
        assert project.aliases()["champion"] == "2"
        wait_for(lambda: sent.answers[-1][1] == "2")
        monkeypatch.undo()  # the third one is no model
        project.make("three", [])
        project.register()
        assert project.aliases()["champion"] == "3"
        wait_for(lambda: "problem" in httpx.get(f"{address}/health").json())
    assert {status for status, _ in sent.answers} == {200}
    health = httpx.get(f"{address}/health").json()
    assert health["version"] == "2"
    assert "model.json: damaged" in health["problem"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.slow
def test_what_cannot_be_served_is_told_in_one_line(
    project: Project, command: Callable[..., subprocess.Popen[str]]
) -> None:
    process = command("nothing")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert told.startswith("nothing: no model there")
    assert told.count("\n") == 1
    process = command("nothing", "--host", "203.0.113.1")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "choose another address with --host or --port" in told
