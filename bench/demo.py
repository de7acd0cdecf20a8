"""`make demo` against the work in it: `python -m bench.demo`, over an hour.

Ours is `dvc repro` of a fresh project with the `params.yaml` of this repository: each stage is a process that starts,
imports and ends, with DVC's bookkeeping around it. The reference runs the same scripts in the same order in one
process, in another fresh project, after it has run them all in one with little to do, so that everything is imported:
it pays for no start, no import, no hash of a file and no copy into a cache. `code` and `register` are left out of it,
as they are bookkeeping. Both run a stage at a time; `make demo` runs two at once on two cores, and takes less.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.machine import in_process
from bench.pairs import take_turns, timed
from bench.report import Report, parsed, parser
from bench.startup import ALWAYS, ROOT, repro, small_params
from sightline.commands.init import make_project
from sightline.commands.skeleton import skeleton

WITHIN = "--within"
_STAGE, _COMMAND = "Running stage", "> python "


def make(folder: Path, params: dict[str, Any]) -> Path:
    """Make a project in which nothing is done."""
    text = StringIO()
    YAML(typ="safe").dump(params, text)
    make_project(folder, {**skeleton(), "params.yaml": text.getvalue().encode()})
    return folder


def commands(output: str) -> list[list[str]]:
    """Return the stage, script and arguments of each stage that `dvc repro` ran, in their order."""
    found, stage = [], ""
    for line in output.splitlines():
        if line.startswith(_STAGE):
            stage = line.split("'")[1]
        elif line.startswith(_COMMAND):
            found.append([stage, *shlex.split(line.removeprefix(_COMMAND))])
    return found


def within(folder: Path, stages: Sequence[Sequence[str]]) -> float:
    """Run stages in this process; return the seconds."""
    before = Path.cwd(), sys.argv
    os.chdir(folder)
    began = time.perf_counter()
    try:
        for stage, script, *arguments in stages:
            if stage not in ALWAYS:
                sys.argv = [script, *arguments]
                with redirect_stdout(StringIO()):
                    runpy.run_path(script, run_name="__main__")
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
    return time.perf_counter() - began


def _answer(small: str, whole: str, stages: str) -> None:
    within(Path(small), json.loads(stages))
    print(json.dumps(within(Path(whole), json.loads(stages))))


class Rounds:
    """Both ways, each time in fresh projects.

    Args:
        folder: for the projects.
        quick: whether with little to do.
    """

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick, self.count, self.stages = folder, quick, 0, list[list[str]]()

    def _make(self, small: bool) -> Path:
        self.count += 1
        params = small_params(self.quick) if small or self.quick else YAML(typ="safe").load(ROOT / "params.yaml")
        return make(self.folder / str(self.count), params)

    def ours(self) -> float:
        """Run `dvc repro`."""
        folder, told = self._make(small=False), list[str]()
        seconds = timed(lambda: told.append(repro(folder)))()
        self.stages = commands(told[0])
        return seconds

    def reference(self) -> float:
        """Run the stages that ours has run in one process."""
        small, whole = str(self._make(small=True)), str(self._make(small=False))
        return float(in_process("bench.demo", WITHIN, small, whole, json.dumps(self.stages)))


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument(WITHIN, nargs=3, default=None, help=argparse.SUPPRESS)
    options = parsed(own, argv)
    if options.within is not None:
        _answer(*options.within)
        return
    report = Report("demo", options)
    with tempfile.TemporaryDirectory() as folder:
        rounds = Rounds(Path(folder).resolve(), options.quick)
        taken = take_turns({"ours": rounds.ours, "reference": rounds.reference}, options.pairs, warm_up=0)
        report.add(
            report.case("`dvc repro` of a fresh project"), taken["ours"], taken["reference"], stages=len(rounds.stages)
        )
    report.finish()


if __name__ == "__main__":
    main()
