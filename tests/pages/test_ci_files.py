"""The CI files of a user's project: valid YAML, whose commands and options exist."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator

import pytest
import typer
from dvc_project import ROOT
from ruamel.yaml import YAML

from sightline.commands.cli import app

GITHUB, GITLAB = ROOT / "skeleton/.github/workflows/sightline.yml", ROOT / "skeleton/.gitlab-ci.yml"


def scripts(system: str) -> list[str]:
    if system == "gitlab":
        return [str(line) for line in YAML(typ="safe").load(GITLAB)["models"]["script"]]
    steps = YAML(typ="safe").load(GITHUB)["jobs"]["models"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def calls(system: str) -> Iterator[list[str]]:
    for script in scripts(system):
        if script.startswith("sightline "):
            yield shlex.split(script)[1:]


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_shells_can_read_the_scripts(system: str) -> None:
    for script in scripts(system):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_commands_and_options_exist(system: str) -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = list(calls(system))
    assert [words[0] for words in found] == ["check", "report"]
    for name, *words in found:
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_a_fork_gets_no_token_and_no_code_runs_with_rights() -> None:
    """`pull_request_target` would run a stranger's code with the repository's secrets."""
    workflow = YAML(typ="safe").load(GITHUB)
    assert list(workflow["on"]) == ["pull_request"]
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    for step in workflow["jobs"]["models"]["steps"]:
        assert "${{" not in step.get("run", "")  # values of a pull request come by the environment, never as code
