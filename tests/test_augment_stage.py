"""The stage `augment@NAME` in a real DVC repository, and what of it makes models train again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from dvc_project import Project

MODEL: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "input": {"size": 8, "channels": 1},
    "augment": "digits-light",
    "optimizer": {"name": "adam"},
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "augmentations": {"digits-light": {"dataset": "digits", "policy": "light"}},
    "trainer": {"max_epochs": 1},
    "models": {"varied": MODEL, "plain": {**MODEL, "augment": "none"}},
    "evaluation": {"resamples": 100},
}


def test_a_policy_is_tried_and_models_depend_on_it(tmp_path: Path) -> None:
    project = Project(tmp_path, PARAMS)
    done = project.dvc("repro", "augment@digits-light")
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("digits-light:")]
    assert line.endswith("images/s; see reports/augment/digits-light/report.md")
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/augment*/digits-light/*")}
    assert made == {
        "data/augmented/digits-light/policy.json",
        *(f"reports/augment/digits-light/{name}" for name in ("sheet.png", "summary.json", "report.md")),
    }
    assert json.loads((tmp_path / "data/augmented/digits-light/policy.json").read_text())["copies"] == 0
    project.commit()
    assert not [path for path in project.files("data/augmented") if "digits-light" in path and _in_git(project, path)]
    status = json.loads(project.dvc("status", "--json").stdout)
    assert "augment@digits-light" not in status
    assert {"train@varied", "train@plain"} <= set(status)
    project.write_params({**PARAMS, "augmentations": {"digits-light": {"dataset": "digits", "policy": "medium"}}})
    graph = project.dvc("dag", "train@varied").stdout + project.dvc("dag", "train@plain").stdout
    assert graph.count("augment@digits-light") == 1
    assert list(json.loads(project.dvc("status", "augment@digits-light", "--json").stdout)) == ["augment@digits-light"]


def test_params_without_augmentations_are_good(tmp_path: Path) -> None:
    params = {name: value for name, value in PARAMS.items() if name != "augmentations"}
    project = Project(tmp_path, {**params, "models": {"plain": {**MODEL, "augment": "tencrop"}}})
    listed = project.dvc("stage", "list", "--name-only")
    assert listed.returncode == 0, listed.stderr
    assert "train@plain" in listed.stdout
    assert "augment" not in listed.stdout


def _in_git(project: Project, path: str) -> bool:
    command = ["git", "ls-files", "--error-unmatch", path]
    return subprocess.run(command, cwd=project.root, capture_output=True, check=False).returncode == 0
