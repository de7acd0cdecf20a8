"""Prefect flow `retrain`: new data in, DVC's stage groups in DVC's order, the publishing one last, a report out.

Prefect adds when, progress and a record; what depends on what stays in dvc.yaml. A failed group ends the flow before
anything is published. `python pipelines/retrain.py` runs it once: on the schedule's server if that runs, on the one
that PREFECT_API_URL names, else on one that ends with it.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sightline.config import Params, load_params
from sightline.data.raw.names import require_utf8
from sightline.operations.retraining.branch import commit_on_branch, records
from sightline.operations.retraining.decision import Decision, decide, old_champions, record, today_utc
from sightline.operations.retraining.programs import guarded, temporary_server
from sightline.operations.retraining.schedule import scheduled_server
from sightline.operations.retraining.story import Story, decision_table, models_text, report_text
from sightline.pipeline.process import fail, set_up_process
from sightline.pipeline.refreshing import refresh
from sightline.pipeline.store import HINTS, OUTCOMES, DvcStore, git_dirty
from sightline.registry.history import plot_history
from sightline.registry.ledger import Ledger, now
from sightline.registry.outcomes import last_outcomes

set_up_process()  # Prefect reads its settings when it is imported
if "PREFECT_HOME" not in os.environ:
    os.environ["PREFECT_HOME"] = str(Path(".sightline/prefect").resolve())
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # its server does not start without it

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import (  # noqa: E402
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.blocks.core import Block  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402
from prefect.states import Completed  # noqa: E402

LAST_WORDS = 3  # lines of a failed stage that go into the message of the failure


@task(task_run_name="{group}")  # type: ignore[untyped-decorator]
def reproduce(group: str, root: str, lock: int) -> dict[str, str]:
    """Run one stage group and return what became of each of its stages; what it prints goes to the log."""
    lines = run_dvc(["repro", "--single-item", group], root, lock)
    said = {found["stage"]: word for line in lines for word, rule in OUTCOMES.items() if (found := rule.search(line))}
    return said or {group: "unchanged"}


@task(retries=2, retry_delay_seconds=[5, 30])  # type: ignore[untyped-decorator]
def transfer(direction: str, remote: str | None, root: str, lock: int) -> None:
    """Pull from or push to a DVC remote, what earlier runs have made included; a network may fail for a moment."""
    lenient = ["--allow-missing"] if direction == "pull" else []  # what nobody has pushed yet is made here
    run_dvc([direction, "--run-cache", *lenient, *(["--remote", remote] if remote else [])], root, lock)


def run_dvc(arguments: list[str], root: str, lock: int) -> list[str]:
    """Run a command of DVC and return its lines, each logged as it comes; a failure reports its stage's last lines."""
    logger = get_run_logger()
    lines: list[str] = []
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    with guarded(command, Path(root), locks=[lock]) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            if not HINTS.match(line):
                logger.info(lines[-1])
        code = process.wait()
    if code:
        place = next((number for number, line in enumerate(lines) if line.startswith("ERROR")), len(lines))
        words = [line.strip() for line in lines[:place] if not HINTS.match(line)][-LAST_WORDS:]
        errors = [line.strip() for line in lines[place:] if line.startswith("ERROR")][-1:]
        told = " | ".join([*words, *errors]) or "see the log above"
        raise RuntimeError(f"{arguments[-1]}: `dvc {arguments[0]}` ended with {code}: {told}")
    return lines


@task  # type: ignore[untyped-decorator]
def ingest(params: Params, root: str) -> list[str]:
    """Take in the batches of data/inbox and return a line for each."""
    from sightline.operations.ingest import ingest as take_in

    batches = take_in(params, Path(root), get_run_logger().info)
    return [f"{b.dataset}/{b.name}: {b.samples} samples, {b.quarantined} quarantined" for b in batches]


@task(name="decide")  # type: ignore[untyped-decorator]
def find_reasons(params: Params, root: str, batches: list[str], force: bool) -> Decision:
    """Look for what speaks for a retraining, and record it."""
    from sightline.operations.drift import last_verdicts

    place = Path(root)
    drifting = {name: verdict.reason for name, verdict in last_verdicts(place).items() if verdict.drifting}
    ledger = Ledger(place / "registry" / "ledger.jsonl")
    old = old_champions(ledger, list(params.registered()), params.retrain.max_age, now())
    decision = decide(batches, DvcStore(place).changed_stages(), drifting, old, force)
    record(decision, place)
    create_table_artifact(
        decision_table(decision), key="retrain-decision", description="Why this run trained or skipped models"
    )
    get_run_logger().info(decision.sentence())
    return decision


@task  # type: ignore[untyped-decorator]
def withdraw(params: Params, root: str) -> list[str]:
    """Take the batches out of the data whose models the gate refused; return a line for each."""
    from sightline.operations.ingest import withdraw_refused

    return withdraw_refused(params, Path(root), get_run_logger().info)


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
def retrain(root: str = ".", force: bool = False) -> Any:
    """Bring every model up to date with data and params, and publish the result; `force` is a sufficient reason."""
    place = Path(root).resolve()
    with only_one(place) as lock:
        if lock is None:
            told = "another retrain is running; this one did nothing"
            get_run_logger().warning(told)
            return Completed(message=told)
        params, story = load_params(place / "params.yaml", policies=False), Story()
        try:
            require_utf8(place / dataset.root for dataset in params.datasets.values())
            done = run_groups(params, str(place), lock.fileno(), force, story)
            finish(params, str(place), lock.fileno(), story)
        except Exception as error:
            notify(params.retrain.notify, "retrain failed", str(error))
            raise
        if news := story.news():
            notify(params.retrain.notify, "retrain", news)
        return done


def run_groups(params: Params, root: str, lock: int, force: bool, story: Story) -> dict[str, dict[str, str]]:
    """Get the data, decide, run the stage groups, and return what became of each stage."""
    progress = create_progress_artifact(0.0, key="retrain-progress", description="data")
    if params.retrain.remote:
        transfer.with_options(name="pull")("pull", params.retrain.remote, root, lock)
    batches = ingest(params, root)
    refresh(Path(root))
    story.decision = find_reasons(params, root, batches, force)
    store = DvcStore(Path(root))
    groups, publishing = store.stage_groups(), store.always_run()
    waiting = [group for group in groups if story.decision.runs_stages or group in publishing]
    done = {group: {group: "unchanged"} for group in groups if group not in waiting}
    try:
        for number, group in enumerate(waiting):
            update_progress_artifact(progress, 100 * number / len(waiting), description=group)
            retries = {"retries": 1, "retry_delay_seconds": 10} if group in publishing else {}
            done[group] = reproduce.with_options(**retries)(group, root, lock)
        update_progress_artifact(progress, 100.0, description="done")
    finally:
        report_stages(groups, done)
    return {group: done[group] for group in groups}


def finish(params: Params, root: str, lock: int, story: Story) -> None:
    """Take refused data out again, commit and push where that is asked for, and report."""
    place = Path(root)
    story.outcomes, story.withdrawn = last_outcomes(place), withdraw(params, root)
    if params.retrain.commit:
        sentence = story.decision.sentence() if story.decision else ""
        unsure = "\n\nCode, settings or data differed from the commit before." if git_dirty(place) else ""
        message = f"Retrain: {story.news() or sentence}{unsure}"
        branch = commit_on_branch(place, records(place, DvcStore(place)), today_utc(), message)
        story.notes.append(f"committed on the branch {branch}" if branch else "nothing to commit")
    if params.retrain.push:
        transfer.with_options(name="push")("push", params.retrain.remote, root, lock)
        story.notes.append(f"pushed to the DVC remote {params.retrain.remote or '(default)'}")
    entries = [e for e in Ledger(place / "registry" / "ledger.jsonl").entries if e.name in params.registered()]
    if entries:
        plot_history(entries, place / "reports" / "history.png")
    create_markdown_artifact(models_text(story.outcomes), "retrain-models", "Models and the gate's decisions")
    create_markdown_artifact(report_text(story, place), "retrain-report", "What happened, with pictures")


def report_stages(groups: list[str], done: dict[str, dict[str, str]]) -> None:
    """Record what became of each stage: ran, restored (from DVC's cache), unchanged, failed or skipped."""
    rows = []
    failed = next((group for group in groups if group not in done), None)
    for group in groups:
        default = {group: "failed" if group == failed else "skipped"}
        rows += [{"group": group, "stage": stage, "result": word} for stage, word in done.get(group, default).items()]
    create_table_artifact(rows, key="retrain-stages", description="What `dvc repro` did in each stage group")


def notify(block: str | None, subject: str, body: str) -> None:
    """Send a message through a notification block; that it cannot be sent fails no run."""
    if block is None:
        return
    try:
        Block.load(block).notify(body=body, subject=subject)
    except Exception as error:  # any exception of any block
        get_run_logger().warning("retrain.notify: %s: not sent: %s", block, error)


def server_address(root: Path) -> str:
    """Return the API of a Prefect server: one set or scheduled here, else a new one that ends with this process."""
    return (
        PREFECT_API_URL.value()
        or scheduled_server(root)
        or temporary_server(Path(os.environ["PREFECT_HOME"]) / "server.log")
    )


def main() -> int:
    """Run the flow once in the present folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and stages are ended too
    try:
        DvcStore(Path()).stage_groups()
        with temporary_settings({PREFECT_API_URL: server_address(Path())}):
            state = retrain(force=True, return_state=True)
    except Exception as error:
        return fail(error)
    print(f"retrain: {state.name}{': ' + state.message if state.message else ''}", file=sys.stderr)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
