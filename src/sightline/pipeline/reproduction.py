"""Runs DVC's stages, those that do not need each other side by side; DVC itself runs one after the other.

DVC locks its files, but not while a stage runs, so several `dvc repro --single-item` may run in one repository
(https://dvc.org/doc/command-reference/repro, "Parallel stage execution").
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from sightline.pipeline.ordering import Needs, chain_lengths, ready_stages
from sightline.pipeline.refreshing import refresh
from sightline.pipeline.stamps import CODE
from sightline.pipeline.store import HINTS, OUTCOMES, DvcStore

Report = Callable[[str, str], None]  # stage, a line that it printed
_BESIDE_ITS_NAME = re.compile(r"(Generating|Updating) lock file|> python pipelines/")  # nothing new


@dataclass(frozen=True)
class Result:
    """A stage and what became of it: `ran`, `restored` (from DVC's cache), `unchanged`, `failed` or `skipped`."""

    stage: str
    outcome: str
    seconds: float


class Follower(Protocol):
    """Is told what a run does, always by the same thread."""

    def plan(self, needs: Needs, pending: set[str]) -> None:
        """Before anything runs: what all stages need, and those that will be looked into."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def end(self, result: Result) -> None:
        """A stage has ended."""


def reproduce(root: Path, jobs: int, report: Report, follower: Follower | None = None) -> list[Result]:
    """Run the stages that have changed and all that depend on them, `jobs` at a time.

    Of the stages that are ready, the one with the longest chain of others behind it is first. After a failure what runs
    is finished and nothing new is begun.

    Args:
        root: of the project.
        jobs: stages at a time.
        report: is given each line that a stage prints.
        follower: is told when stages begin and end.

    Raises:
        UserError: no DVC repository, or `params.yaml` is not as it should be.
    """
    refresh(root)
    store = DvcStore(root)
    needs = {stage: others - {CODE} for stage, others in store.stage_needs().items() if stage != CODE}
    pending = _affected(needs, store.stages_to_run())
    lengths = chain_lengths(needs)
    if follower is not None:
        follower.plan(needs, set(pending))
    done: set[str] = set(needs) - pending
    results: list[Result] = []
    running: dict[Future[Result], str] = {}
    failed = False
    with ThreadPoolExecutor(jobs) as pool:
        while running or (pending and not failed):
            ready = ready_stages(needs, pending, done, lengths)
            for stage in ready[: 0 if failed else jobs - len(running)]:
                pending.remove(stage)
                if follower is not None:
                    follower.begin(stage)
                running[pool.submit(_run, stage, root, partial(report, stage))] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                results.append(future.result())
                failed |= results[-1].outcome == "failed"
                done.add(results[-1].stage)
                if follower is not None:
                    follower.end(results[-1])
    return [*results, *(Result(stage, "skipped", 0.0) for stage in needs if stage in pending)]


def _affected(needs: Needs, changed: set[str]) -> set[str]:
    """Return the changed stages and all that directly or indirectly need one."""
    found = changed & set(needs)
    while more := {stage for stage in set(needs) - found if needs[stage] & found}:
        found |= more
    return found


def _run(stage: str, root: Path, report: Callable[[str], None]) -> Result:
    began = time.monotonic()
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # stages say `python`
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
    outcome = "ran"
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            if said := next((word for word, rule in OUTCOMES.items() if rule.search(line)), None):
                outcome = said
            elif not (HINTS.match(line) or _BESIDE_ITS_NAME.match(line)):
                report(line.rstrip("\n"))
    return Result(stage, "failed" if process.returncode else outcome, time.monotonic() - began)
