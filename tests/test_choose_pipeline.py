"""`sightline choose` in a real project: killed, taken up again, its winner written and found in DVC's cache."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project

from sightline.config import load_params
from sightline.labs.choose.journal import Journal

pytestmark = pytest.mark.slow
PARAMS = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "models": {
        "small": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mlp"},
            "weights": "random",
            "recipe": "fast",
            "input": {"size": 16, "channels": 1},
            "trainer": {"batch_size": 64, "threads": 1},
        }
    },
    "evaluation": {"resamples": 200},
}


def begun(project: Project, minutes: float) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "sightline", "choose", "small", "--minutes", str(minutes)],
        cwd=project.root,
        env={**kept, "PYTHONPATH": project.path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def of_git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


def asked(project: Project, query: str) -> list[tuple[Any, ...]]:
    database = Journal(project.root / ".sightline/choose/small.db", "")._database
    return database.execute(query).fetchall()


def states(project: Project) -> dict[str, tuple[str, int]]:
    rows = asked(project, "SELECT key, state, starts FROM trials")
    return {key: (state, starts) for key, state, starts in rows}


def minutes_for_the_rest(project: Project) -> float:
    """Return the minutes after which a search has ended the trial that was killed, on a machine as busy as this one."""
    [(spent,)] = asked(project, "SELECT SUM(last - began) FROM sessions")
    [(expected,)] = asked(project, "SELECT expected FROM trials WHERE state = 'running'")
    return max(1.0, (float(spent) + 1.2 * float(expected) + 15) / 60)


def test_a_search_is_killed_goes_on_and_its_winner_is_not_trained_again(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    project = Project(tmp_path / "p", PARAMS)
    (project.root / "params.yaml").write_text("# not committed\n" + (project.root / "params.yaml").read_text())
    text = (project.root / "params.yaml").read_text()
    assert project.dvc("repro", "prepare@digits").returncode == 0
    status = of_git(project.root, "status", "--porcelain")
    process = begun(project, 5)  # more than it is left to use
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial 2: good"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (project.root / "params.yaml").read_text() == text
    assert of_git(project.root, "status", "--porcelain") == status
    assert of_git(project.root, "stash", "list") == ""
    before = states(project)
    assert [state for state, _ in before.values()] == ["finished", "running"]

    process = begun(project, minutes_for_the_rest(project))
    said, _ = process.communicate()
    assert process.returncode == 0, said
    after = states(project)
    assert [after[key] for key in before] == [("finished", 1), ("finished", 2)], said
    found = json.loads((project.root / "reports/choose/small.json").read_text())
    assert found["winner"]["reported"]["samples"] + found["winner"]["naive"]["samples"] == 270
    assert (project.root / "reports/choose/small.html").is_file()
    assert "sightline choose:" in (project.root / "params.yaml").read_text()
    assert load_params(project.root / "params.yaml").models["small"].trainer.keep == "last"
    refs = of_git(project.root, "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").split()
    finished = [trial for trial in found["trials"] if trial["state"] == "finished"]
    assert sorted(refs) == sorted(trial["experiment"] for trial in finished)

    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    [parent] = [run for run in runs if run.info.run_name == "choose small"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) >= len(finished)
    assert parent.data.metrics["reported/accuracy"] == found["winner"]["reported"]["value"]

    done = project.dvc("repro", "evaluate@small")
    assert done.returncode == 0, done.stderr
    assert "Stage 'train@small' is cached" in done.stdout
