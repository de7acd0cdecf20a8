"""The flow as a schedule and a person start it: real servers, a worker, signals, no network."""

import json
import os
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
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

# Python runs this at every start: a connection to another machine is refused and noted.
NO_NETWORK = """\
import os, socket
connect, look_up = socket.socket.connect, socket.getaddrinfo
def refuse(host):
    if str(host) not in ("127.0.0.1", "::1", "localhost", "None", "0.0.0.0"):
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{host}\\n")
        raise OSError(f"no network: {host}")
def checked_connect(self, address):
    if self.family != socket.AF_UNIX:
        refuse(address[0])
    return connect(self, address)
def checked_look_up(host, *rest, **named):
    refuse(host.decode() if isinstance(host, bytes) else host)
    return look_up(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = checked_connect, checked_look_up
"""


def until(condition: Callable[[], Any], seconds: float, what: Callable[[], object] = str) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not in {seconds} s: {what()}"
        time.sleep(0.2)
    return found


def processes(root: Path) -> list[str]:
    """Return the commands of the processes that work in a folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if root in (place := (process / "cwd").readlink(), *place.parents):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # gone, or a zombie
    return found


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    (project.root / "dvc.yaml").write_text(STAGES)
    (project.root / "dvc.lock").unlink()
    (project.root / "stub.py").write_text(STUB)
    yield project
    subprocess.run([sys.executable, "-m", "sightline", "schedule", "stop"], cwd=project.root, check=True)


def start(project: Project, **more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(PIPELINES / "retrain.py")]
    environment = {**os.environ, **more}
    return subprocess.Popen(command, cwd=project.root, env=environment, stderr=subprocess.PIPE, text=True)


def run(project: Project, **more: str) -> str:
    process = start(project, **more)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def test_twice_without_a_network(repository: Project, tmp_path: Path) -> None:
    block, asked = tmp_path / "block", tmp_path / "asked"
    block.mkdir()
    (block / "sitecustomize.py").write_text(NO_NETWORK)
    offline = {"PYTHONPATH": f"{block}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "ASKED": str(asked)}
    ask = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    done = subprocess.run([sys.executable, "-c", ask], env={**os.environ, **offline}, check=False, capture_output=True)
    assert b"no network: 192.0.2.1" in done.stderr
    assert asked.read_text() == "192.0.2.1\n"
    asked.unlink()
    run(repository, **offline)
    before = (repository.runs(), repository.versions(), repository.aliases(), repository.ledger())
    assert before[1:3] == (["1"], {"champion": "1"})
    began = time.monotonic()
    told = run(repository, **offline)
    print(f"the second run took {time.monotonic() - began:.1f} s, a server of its own included")
    assert (repository.runs(), repository.versions(), repository.aliases(), repository.ledger()) == before
    assert "Running stage 'register'" in told
    assert told.count("Running stage") == 1
    lines = (repository.root / ".sightline/retrain.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert [reason["kind"] for reason in first["reasons"]] == ["changed", "forced"]
    assert (first["runs_stages"], second["runs_stages"]) == (True, False)
    assert not asked.exists(), asked.read_text()
    until(lambda: not processes(repository.root), 5, lambda: processes(repository.root))


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_flow_leaves_nothing_and_the_next_one_completes(repository: Project, kind: int) -> None:
    repository.write_params(lr=0.7)
    process = start(repository)
    noted = repository.root / "pid"
    until(lambda: noted.exists() and noted.read_text(), 240, lambda: processes(repository.root))
    process.send_signal(kind)
    ended = time.monotonic()
    until(
        lambda: not processes(repository.root), 5 if kind == signal.SIGKILL else 15, lambda: processes(repository.root)
    )
    print(f"all ended {time.monotonic() - ended:.1f} s after the signal")
    process.communicate()
    assert process.returncode != 0
    assert repository.ledger() == []
    repository.write_params(lr=0.001)
    run(repository)
    assert repository.aliases() == {"champion": "1"}


def ask(address: str, values: object = None, method: str = "POST") -> Any:
    body = json.dumps(values or {}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or "null")


def sightline(project: Project, *arguments: str) -> str:
    command = [sys.executable, "-m", "sightline", "schedule", *arguments]
    done = subprocess.run(command, cwd=project.root, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + done.stdout
    return done.stdout


def test_a_schedule_fires_runs_one_at_a_time_and_stops(repository: Project) -> None:
    root = repository.root
    (root / "pipelines").symlink_to(PIPELINES)
    agreed = YAML(typ="safe").load(PIPELINES.parent / "prefect.yaml")["deployments"][0]
    agreed["schedules"] = [{"cron": "* * * * *", "timezone": "UTC", "slug": "often"}]
    with (root / "prefect.yaml").open("w") as file:
        YAML(typ="safe").dump({"deployments": [agreed]}, file)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    assert f"pages: http://127.0.0.1:{port}" in sightline(repository, "start", "--port", port)
    began, api = time.monotonic(), f"http://127.0.0.1:{port}/api"
    own = root / ".sightline" / "schedule"

    def states() -> list[str]:
        return [found["state"]["name"] for found in ask(f"{api}/flow_runs/filter")]

    until(lambda: "Completed" in states(), 300, lambda: (states(), (own / "worker.log").read_text()))
    print(f"the cron fired and its run was complete {time.monotonic() - began:.0f} s after the start")
    assert repository.aliases() == {"champion": "1"}
    pids = [(own / f"{name}.pid").read_text() for name in ("server", "worker")]
    agreed["schedules"][0]["active"] = False
    with (root / "prefect.yaml").open("w") as file:
        YAML(typ="safe").dump({"deployments": [agreed]}, file)
    sightline(repository, "start", "--port", port)  # brings the deployment in line and starts nothing anew
    assert [(own / f"{name}.pid").read_text() for name in ("server", "worker")] == pids
    [deployment] = ask(f"{api}/deployments/filter")
    assert [found["active"] for found in deployment["schedules"]] == [False]
    until(lambda: not {"Running", "Pending", "Late"} & set(states()), 120, states)
    assert "retrain/retrain" in sightline(repository, "status")
    repository.write_params(lr=0.7)  # a training without an end, now that no cron fires any more
    before = states().count("Cancelled")  # by a cron that fired while the first run went on
    for _ in range(2):
        ask(f"{api}/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    until(lambda: states().count("Cancelled") > before, 120, states)
    until((root / "pid").exists, 120, states)
    assert (states().count("Cancelled") - before, states().count("Running")) == (1, 1)
    assert sightline(repository, "stop") == "stopped: worker, server\n"
    until(lambda: not processes(root), 5, lambda: processes(root))
