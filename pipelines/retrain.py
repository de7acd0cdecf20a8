"""Prefect flow `retrain`: runs DVC's stage groups in DVC's own order, the publishing one last.

Prefect adds when, progress and a record; what depends on what stays in dvc.yaml. A failed group ends the flow before
anything is published. `python pipelines/retrain.py` runs it once, on a temporary server unless PREFECT_API_URL is set.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sightline.dvc_store import DvcStore
from sightline.errors import UserError
from sightline.publish import last_outcomes
from sightline.stage import be_quiet, fail

be_quiet()  # Prefect reads its settings when it is imported
if "PREFECT_HOME" not in os.environ:
    os.environ["PREFECT_HOME"] = str(Path(".sightline/prefect").resolve())
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # its server does not start without it
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")  # 20 is too short on a busy machine

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact, create_table_artifact  # noqa: E402
from prefect.states import Completed  # noqa: E402

# What `dvc repro` says of each stage.
SAID = {
    "ran": re.compile(r"Running stage '(?P<stage>[^']+)'"),
    "restored": re.compile(r"Stage '(?P<stage>[^']+)' is cached - skipping run"),
    "unchanged": re.compile(r"Stage '(?P<stage>[^']+)' didn't change, skipping"),
}
# What it says after each stage, of no use in a log.
HINTS = re.compile(
    r"\s*$|To (track the changes with git|enable auto staging), run:|\s+(git add|dvc config) |Use `dvc push`"
)


@task(task_run_name="{group}")  # type: ignore[untyped-decorator]
def reproduce(group: str, root: str, lock: int) -> dict[str, str]:
    """Run one stage group and return what became of each of its stages; what it prints goes to the log."""
    logger = get_run_logger()
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", group]
    said: dict[str, str] = {}
    with child(command, Path(root), lock) as process:
        lines: list[str] = []
        for line in process.stdout or ():
            lines.append(line)
            if not HINTS.match(line):
                logger.info(line.rstrip("\n"))
            for word, pattern in SAID.items():
                if found := pattern.search(line):
                    said[found["stage"]] = word
        code = process.wait()
    if code:
        errors = [line.strip() for line in lines if line.startswith("ERROR")]
        raise RuntimeError(f"{group}: `dvc repro` ended with {code}: {' '.join(errors[-1:]) or 'see the log above'}")
    return said or {group: "unchanged"}


@contextmanager
def child(command: list[str], root: Path, lock: int) -> Iterator[subprocess.Popen[str]]:
    """Run a command in its own session, holding the lock too; whatever happens here, nothing of it is left running."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # stages say `python`
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=[lock],
    )
    try:
        yield process
    finally:
        for kind, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)


@contextmanager
def only_one(root: Path) -> Iterator[TextIO | None]:
    """Yield a lock that children inherit, so that it outlives a killed flow; None when another run has it."""
    path = root / ".sightline" / "retrain.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file


def run_name() -> str:
    """Return what Prefect's pages call a run: a time says more than two random words."""
    return f"retrain {datetime.now().astimezone():%Y-%m-%d %H:%M}"


@flow(name="retrain", flow_run_name=run_name)  # type: ignore[untyped-decorator]
def retrain(root: str = ".") -> Any:
    """Bring every model up to date with data and params, and publish the result."""
    logger = get_run_logger()
    place = Path(root).resolve()
    with only_one(place) as lock:
        if lock is None:
            logger.warning("another retrain is running; this one does nothing")
            return Completed(message="another retrain is running; this one did nothing")
        store = DvcStore(place)
        groups, publishing = store.stage_groups(), store.always_run()
        done: dict[str, dict[str, str]] = {}
        try:
            for group in groups:
                retries = {"retries": 1, "retry_delay_seconds": 10} if group in publishing else {}
                done[group] = reproduce.with_options(**retries)(group, str(place), lock.fileno())
        finally:
            report_stages(groups, done)
        report_models(place)
        return done


def report_stages(groups: list[str], done: dict[str, dict[str, str]]) -> None:
    """Record what became of each stage: ran, restored (from DVC's cache), unchanged, failed or skipped."""
    rows = []
    failed = next((group for group in groups if group not in done), None)
    for group in groups:
        default = {group: "failed" if group == failed else "skipped"}
        rows += [{"group": group, "stage": stage, "result": word} for stage, word in done.get(group, default).items()]
    create_table_artifact(rows, key="retrain-stages", description="What `dvc repro` did in each stage group")


def report_models(root: Path) -> None:
    """Record the headline metric and the gate's decision of each model."""
    lines = ["| model | task | test score [interval] | version | decision |", "|---|---|---|---|---|"]
    for outcome in last_outcomes(root):
        version = f"v{outcome.version} {outcome.alias}"
        told = f"{outcome.decision_text()}: {outcome.reason}".replace("|", "\\|")
        lines.append(f"| {outcome.name} | {outcome.task} | {outcome.headline_text()} | {version} | {told} |")
    create_markdown_artifact("\n".join(lines), key="retrain-models", description="Models and the gate's decisions")


def main() -> int:
    """Run the flow once in the present folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and stages are ended too
    try:
        DvcStore(Path()).stage_groups()
    except UserError as error:
        return fail(error)
    state = retrain(return_state=True)
    print(f"retrain: {state.name}{': ' + state.message if state.message else ''}", file=sys.stderr)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
