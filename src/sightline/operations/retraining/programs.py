"""Starts programs: guarded ones that end with this process, and background ones that are known by a lock on a file."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from sightline.operations.retraining.guard import PATIENCE, end_group
from sightline.system.errors import UserError

HOST = "127.0.0.1"
Report = Callable[[str], None]


@contextmanager
def guarded(
    command: Sequence[str],
    root: Path,
    output: int | IO[str] = subprocess.PIPE,
    locks: Sequence[int] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[subprocess.Popen[str]]:
    """Run a command under a guard; when the block or this process ends, nothing of it is left running.

    Args:
        command: program and arguments.
        root: the folder to run in.
        output: where stdout and stderr go together.
        locks: open files whose locks are held until the command has ended, even if this process ends before.
        environment: variables in addition to those of this process.
    """
    process, held = _start(command, root, output, locks, environment)
    try:
        yield process
    finally:
        os.close(held)
        try:
            process.wait(PATIENCE + 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(
    command: Sequence[str],
    root: Path,
    output: int | IO[str],
    locks: Sequence[int] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[subprocess.Popen[str], int]:
    """Start a command under a guard; return the guard and the end of the pipe that keeps it running."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # stages say `python`
    lifeline, held = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline.operations.retraining.guard", str(lifeline), *command],
        cwd=root,
        env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **environment},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=[lifeline, *locks],
    )
    os.close(lifeline)
    return process, held


def server_command(port: int) -> list[str]:
    """Return the command of a Prefect server on this machine only."""
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]


def answers(api: str) -> bool:
    """Return whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def wait_until_it_answers(api: str, runs: Callable[[], bool], log: Path, seconds: float = 120) -> None:
    """Wait for a Prefect server.

    Raises:
        UserError: it ends or does not answer in time.
    """
    until = time.monotonic() + seconds
    while not answers(api):
        if not runs() or time.monotonic() > until:
            raise UserError(f"Prefect's server does not respond at {api}; see its log, {log}")
        time.sleep(0.2)


def temporary_server(log: Path) -> str:
    """Start a Prefect server that ends with this process, however that ends; return the address of its API.

    Nothing ends it before: Prefect sends its last logs when the interpreter exits, and would wait for a server gone.
    """
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    api = f"http://{HOST}:{port}/api"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process, _ = _start(server_command(port), log.parent, output)
    wait_until_it_answers(api, lambda: process.poll() is None, log)
    return api


@dataclass(frozen=True)
class Background:
    """A program in the background; it holds a lock on its pid file, so a reused process id misleads nobody."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """Return the file with its output."""
        return self.folder / f"{self.name}.log"

    def pid(self) -> int | None:
        """Return its process, which leads its session; None if it does not run."""
        path = self.folder / f"{self.name}.pid"
        with suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
        return None

    def start(self, command: Sequence[str], root: Path, environment: Mapping[str, str]) -> int:
        """Start it unless it runs already; return its process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.pid").open("a+") as file, self.log.open("a") as log:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                return int(file.read())
            process = subprocess.Popen(
                command,
                cwd=root,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[file.fileno()],
            )
            file.truncate(0)
            file.write(str(process.pid))
        return process.pid

    def stop(self, patience: float = 15.0) -> bool:
        """End it and all that it has started; return whether it ran."""
        import psutil

        pid = self.pid()
        if pid is not None:
            started: dict[psutil.Process, None] = {}  # parents before their children

            def look() -> None:
                with suppress(psutil.NoSuchProcess):
                    started.update(dict.fromkeys(psutil.Process(pid).children(recursive=True)))

            end_group(pid, patience, look)
            # Prefect's worker gives each flow run a separate session, and does not always end it with itself.
            for process in started:
                with suppress(ProcessLookupError):
                    if process.is_running():
                        end_group(os.getpgid(process.pid), patience)
        (self.folder / f"{self.name}.pid").unlink(missing_ok=True)
        return pid is not None
