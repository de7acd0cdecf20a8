"""`sightline schema`: what an editor is told of params.yaml is what the project accepts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc_project import ROOT
from ruamel.yaml import YAML

from sightline.commands.cli import main
from sightline.commands.schema import params_schema

jsonschema = pytest.importorskip("jsonschema", reason="comes with DVC")
FILES = [ROOT / "params.yaml", ROOT / "skeleton/params.yaml", *sorted((ROOT / "examples").glob("*.yaml"))]


def run(*words: str) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sightline", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


def undescribed(schema: dict[str, Any]) -> Iterator[str]:
    """Yield SECTION.FIELD of each property without a description; all sections are in the schema's definitions."""
    for section, made in [("Params", schema), *schema["$defs"].items()]:
        for name, value in made.get("properties", {}).items():
            if not value.get("description"):
                yield f"{section}.{name}"


def values_of(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe").load(file)
    return values


def mistakes(values: dict[str, Any]) -> list[Any]:
    schema = params_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return list(jsonschema.Draft202012Validator(schema).iter_errors(values))


def test_every_property_is_described() -> None:
    assert list(undescribed(params_schema())) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_files_of_the_project_are_accepted(file: Path) -> None:
    assert mistakes(values_of(file)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trainer.max_epoch", 3),
        ("models.digit-cnn.optimizer.name", "adamm"),
        ("models.digit-cnn.optimizer.lr", "fast"),
        ("models.Digit CNN", {}),
        ("models.digit-cnn.task.label_smoothing", 1.5),
        ("datasets.digits.format", "digit"),
        ("heads.digit-svm.C", []),
    ],
)
def test_a_mistake_is_refused(path: str, value: object) -> None:
    values = values_of(ROOT / "params.yaml")
    *above, last = path.split(".")
    section = values
    for name in above:
        section = section[name]
    section[last] = value
    assert mistakes(values)


def test_the_command_prints_and_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("schema") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == params_schema()
    assert run("schema", "--to", ".sightline/params.schema.json") == 0
    assert "$schema=.sightline/params.schema.json" in capsys.readouterr().out
    assert (tmp_path / ".sightline/params.schema.json").read_text() == printed


def test_kinds_of_sections_are_told_by_what_they_are() -> None:
    optimizer = params_schema()["$defs"]["Momentum"]["properties"]["name"]
    told = "Gradient descent with a heavy ball's momentum (Polyak 1964)."
    assert optimizer == {"const": "momentum", "description": told, "type": "string"}


def sightline(*words: str, **more: str) -> str:
    environment = {**os.environ, **more}
    command = [sys.executable, "-m", "sightline", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_a_script(shell: str) -> None:
    shown = sightline("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_SIGHTLINE_COMPLETE" in shown


def test_a_shell_completes() -> None:
    asked = {"_SIGHTLINE_COMPLETE": "complete_bash", "COMP_WORDS": "sightline sche", "COMP_CWORD": "1"}
    assert sightline(**asked).split() == ["schedule", "schema"]
    asked = {"_SIGHTLINE_COMPLETE": "complete_bash", "COMP_WORDS": "sightline schema --", "COMP_CWORD": "2"}
    assert "--to" in sightline(**asked).split()
