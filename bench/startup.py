"""What starting costs: `python -m bench.startup`.

A `dvc repro` that finds nothing to do, in a project with the stages of this repository's `params.yaml`, against the
same in a copy whose `dvc.yaml` and `dvc.lock` have `true` in place of every command: of ours, the stages `code` and
`register` run each time. And a training process, from its start to the end of its first step, against a process that
imports torch and Lightning and does nothing else. The project is made anew, with an epoch per model and few scenes, as
neither changes what is measured; that takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.pairs import take_turns, timed
from bench.report import Report, parsed, parser
from sightline.commands.init import make_project
from sightline.commands.skeleton import skeleton

ROOT = Path(__file__).parents[1]
ALWAYS = {"code", "register"}  # stages that run each time
_QUICK = "digit-mlp"  # the one model of a quick run, and the one whose training is started
_OURS, _BARE = "cmd: python pipelines/", "cmd: 'true pipelines/"


def small_params(quick: bool) -> dict[str, Any]:
    """Return this repository's params with the same stages and little to do."""
    params: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    params["datasets"]["scenes"]["count"] = 300
    params["trainer"]["max_epochs"] = 1
    params["evaluation"]["resamples"] = 100
    for model in params["models"].values():
        model.setdefault("trainer", {})["max_epochs"] = 1
    if quick:
        kept = {"datasets": ("digits",), "models": (_QUICK,)}
        for section in ("datasets", "augmentations", "models", "features", "heads", "explanations"):
            params[section] = {name: own for name, own in params[section].items() if name in kept.get(section, ())}
    return params


def environment() -> Mapping[str, str]:
    """Return this process's environment; `python` is this one, finds the package and keeps what it compiles."""
    before = os.environ.get("PYTHONPATH")
    found = [str(ROOT), str(ROOT / "src"), *([before] if before else [])]
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(found)}


def run(folder: Path, *command: str) -> str:
    """Run a program in a project, and return what it prints."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def repro(folder: Path) -> str:
    """Run `dvc repro`."""
    return run(folder, sys.executable, "-m", "dvc", "repro")


def ran(output: str) -> set[str]:
    """Return the stages that DVC ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def project(folder: Path, quick: bool) -> Path:
    """Make a project in which everything is done."""
    text = StringIO()
    YAML(typ="safe").dump(small_params(quick), text)
    make_project(folder, {**skeleton(), "params.yaml": text.getvalue().encode()})
    repro(folder)
    return folder


def bare_copy(folder: Path, copy: Path) -> Path:
    """Copy a project; all commands of the copy are `true`."""
    shutil.copytree(folder, copy, symlinks=True)
    for name in ("dvc.yaml", "dvc.lock"):
        lines = (copy / name).read_text(encoding="utf-8").splitlines()
        changed = [line.replace(_OURS, _BARE) + "'" if _OURS in line else line for line in lines]
        (copy / name).write_text("\n".join(changed) + "\n", encoding="utf-8")
    return copy


def measure(report: Report, options: argparse.Namespace, folder: Path) -> None:
    """Compare both in a project."""
    ours = options.project or project(folder / "ours", options.quick)
    bare = bare_copy(ours, folder / "bare")
    for own in (ours, bare):
        if not ran(repro(own)) <= ALWAYS:
            raise SystemExit(f"{own.name}: stages ran that should not: {ran(repro(own))}")
    runs = {own.name: timed(partial(repro, own)) for own in (ours, bare)}
    taken = take_turns(runs, options.pairs)
    report.add(report.case("`dvc repro`, nothing to do"), taken[ours.name], taken[bare.name])
    start = partial(run, ours, sys.executable, "-m", "bench.first_step", _QUICK)
    imports = partial(run, ours, sys.executable, "-c", "import torch, pytorch_lightning")
    taken = take_turns({"ours": timed(start), "imports": timed(imports)}, options.pairs)
    report.add(report.case("a training process to its first step"), taken["ours"], taken["imports"])


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__)
    own.add_argument("--project", type=Path, help="a project in which all is done, with the model digit-mlp")
    options = parsed(own, argv)
    report = Report("startup", options)
    with tempfile.TemporaryDirectory() as folder:
        measure(report, options, Path(folder).resolve())
    report.finish()


if __name__ == "__main__":
    main()
