"""The schedule of one project: Prefect's server, work pool, deployments and worker, on this machine only.

Prefect is run as a program: its settings are read when it is imported, and nothing of it belongs into this package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sightline.operations.retraining.programs import (
    HOST,
    Background,
    Report,
    answers,
    server_command,
    wait_until_it_answers,
)
from sightline.system.errors import UserError

POOL = "local"


@dataclass(frozen=True)
class Schedule:
    """The programs of a schedule, in the order in which they start."""

    server: Background
    worker: Background
    address: Path  # a file with the server's API address, there as long as the schedule runs

    @property
    def programs(self) -> tuple[Background, Background]:
        """Return the programs."""
        return self.server, self.worker


def schedule_of(root: Path) -> Schedule:
    """Return the schedule of the project at `root`, running or not."""
    folder = root.resolve() / ".sightline" / "schedule"
    return Schedule(Background("server", folder), Background("worker", folder), folder / "api")


def scheduled_server(root: Path) -> str | None:
    """Return the API address of the schedule's server, None if it does not run."""
    schedule = schedule_of(root)
    if schedule.server.pid() is None or not schedule.address.exists():
        return None
    api = schedule.address.read_text(encoding="utf-8")
    return api if answers(api) else None


def start(root: Path, port: int, report: Report) -> None:
    """Start what does not run yet, and bring the deployments in line with `prefect.yaml`.

    Raises:
        UserError: `prefect.yaml` is missing, the port is taken, or a program fails.
    """
    root = root.resolve()
    if not (root / "prefect.yaml").is_file():
        raise UserError(f"{root / 'prefect.yaml'}: no such file; it defines the schedule; `sightline init` writes one")
    schedule, api = schedule_of(root), f"http://{HOST}:{port}/api"
    environment = _environment(root, api)
    if schedule.server.pid() is None:
        if answers(api):
            raise UserError(f"port {port}: another Prefect server is running there; choose another port with --port")
        Path(environment["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
        schedule.server.start(server_command(port), root, environment)
        schedule.address.write_text(api, encoding="utf-8")
    else:
        api = schedule.address.read_text(encoding="utf-8")
        environment = _environment(root, api)
    wait_until_it_answers(api, lambda: schedule.server.pid() is not None, schedule.server.log)
    if not _prefect(["work-pool", "inspect", POOL], root, environment, check=False):
        _prefect(["work-pool", "create", POOL, "--type", "process"], root, environment)
    _prefect(["deploy", "--all"], root, environment)
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", "sightline"]
    schedule.worker.start(worker, root, environment)
    report(f"scheduled; pages: {api.removesuffix('/api')}  logs: {schedule.server.folder}")


def stop(root: Path, report: Report) -> None:
    """Stop the worker with what it runs, then the server."""
    schedule = schedule_of(root)
    ran = [program.name for program in reversed(schedule.programs) if program.stop()]
    schedule.address.unlink(missing_ok=True)
    report(f"stopped: {', '.join(ran)}" if ran else "nothing was running")


def tell(root: Path, report: Report) -> bool:
    """Report what runs and what is scheduled; return whether all runs."""
    schedule = schedule_of(root)
    for program in schedule.programs:
        pid = program.pid()
        report(f"{program.name}: {f'runs, process {pid}' if pid else 'does not run'}; log: {program.log}")
    api = scheduled_server(root)
    if api is not None:
        report(_prefect(["deployment", "ls"], root.resolve(), _environment(root.resolve(), api)))
        report(f"pages: {api.removesuffix('/api')}")
    return all(program.pid() is not None for program in schedule.programs)


def _environment(root: Path, api: str) -> dict[str, str]:
    """Return the environment of all Prefect programs of this project: their folder, and no telemetry."""
    return {
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": api,  # else the pages ask port 4200, wherever the server is
        "PREFECT_HOME": str(root / ".sightline" / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "COLUMNS": "120",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def _prefect(arguments: list[str], root: Path, environment: dict[str, str], check: bool = True) -> str:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    answer = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if answer.returncode and check:
        words = " ".join((answer.stderr or answer.stdout).split())
        raise UserError(f"`prefect {' '.join(arguments)}` fails: {words[-400:]}")
    return answer.stdout if not answer.returncode else ""
