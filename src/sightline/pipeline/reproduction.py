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
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sightline.pipeline.refreshing import refresh
from sightline.pipeline.stamps import CODE
from sightline.pipeline.store import HINTS, OUTCOMES, DvcStore

Report = Callable[[str, str], None]  # stage, a line that it printed
Needs = Mapping[str, set[str]]  # stage -> stages that it needs
_BESIDE_ITS_NAME = re.compile(r"(Generating|Updating) lock file|> python pipelines/")  # nothing new


@dataclass(frozen=True)
class Result:
    """A stage and what became of it: `ran`, `restored` (from DVC's cache), `unchanged`, `failed` or `skipped`."""

    stage: str
    outcome: str
    seconds: float


def reproduce(root: Path, jobs: int, report: Report) -> list[Result]:
    """Run the stages that have changed and all that depend on them, `jobs` at a time.

    Of the stages that are ready, the one with the longest chain of others behind it is first. After a failure what runs
    is finished and nothing new is begun.

    Raises:
        UserError: no DVC repository, or `params.yaml` is not as it should be.
    """
    refresh(root)
    store = DvcStore(root)
    needs = {stage: others - {CODE} for stage, others in store.stage_needs().items() if stage != CODE}
    pending = _affected(needs, store.stages_to_run())
    urgency = _chain_lengths(needs)
    done: set[str] = set(needs) - pending
    results: list[Result] = []
    running: dict[Future[Result], str] = {}
    failed = False
    with ThreadPoolExecutor(jobs) as pool:
        while running or (pending and not failed):
            ready = sorted((stage for stage in pending if needs[stage] <= done), key=lambda one: (-urgency[one], one))
            for stage in ready[: 0 if failed else jobs - len(running)]:
                pending.remove(stage)
                running[pool.submit(_run, stage, root, partial(report, stage))] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                results.append(future.result())
                failed |= results[-1].outcome == "failed"
                done.add(results[-1].stage)
    return [*results, *(Result(stage, "skipped", 0.0) for stage in needs if stage in pending)]


def _affected(needs: Needs, changed: set[str]) -> set[str]:
    """Return the changed stages and all that directly or indirectly need one."""
    found = changed & set(needs)
    while more := {stage for stage in set(needs) - found if needs[stage] & found}:
        found |= more
    return found


def _chain_lengths(needs: Needs) -> dict[str, int]:
    """Return for each stage the length of the longest chain of stages that begins with it."""
    needed_by: dict[str, set[str]] = {stage: set() for stage in needs}
    for stage, own in needs.items():
        for other in own:
            needed_by[other].add(stage)
    lengths: dict[str, int] = {}

    def length(stage: str) -> int:
        if stage not in lengths:
            lengths[stage] = 1 + max((length(other) for other in needed_by[stage]), default=0)
        return lengths[stage]

    for stage in needs:
        length(stage)
    return lengths


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
