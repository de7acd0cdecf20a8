"""The examples of docs/contributing do what the pages say, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_project import ROOT

PAGES = ["add-a-format", "add-a-metric", "add-a-command", "add-a-stage"]
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_PARTS = ("src", "tests", "pipelines", "bench", "data/embedded", "data/weights", "data/augmented", "data/slices")


def edits(page: str) -> dict[str, list[tuple[str, str]]]:
    """Return by file what the page replaces by what, in order; a new file replaces nothing."""
    found: dict[str, list[tuple[str, str]]] = {}
    for language, file, text in _BLOCK.findall((ROOT / f"docs/contributing/{page}.md").read_text()):
        parts = re.split(r"^@@\n", text, flags=re.MULTILINE) if language == "diff" else [f"+{text}"]
        for part in parts:
            lines = part.splitlines(keepends=True) if language == "diff" else []
            old = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
            new = "".join(line[1:] or "\n" for line in lines if not line.startswith("-")) if lines else text
            found.setdefault(file, []).append((old, new))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_edits_fit_the_present_files(page: str) -> None:
    for file, changes in edits(page).items():
        if changes[0][0]:
            text = (ROOT / file).read_text()
            assert [old for old, _ in changes if text.count(old) != 1] == [], file
        else:
            assert not (ROOT / file).exists()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_example_passes_its_own_test(page: str, tmp_path: Path) -> None:
    for part in _PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    for file, changes in edits(page).items():
        target = tmp_path / file
        text = target.read_text() if target.exists() else ""
        for old, new in changes:
            text = text.replace(old, new, 1) if old else new
        target.write_text(text)
    for command in ([*("pytest", "-p", "no:cacheprovider"), *words_of(page)], ["ruff", "check", "."]):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
        environment.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def words_of(page: str) -> list[str]:
    """Return the words after `python -m pytest` on the page."""
    text = (ROOT / f"docs/contributing/{page}.md").read_text()
    (line,) = re.findall(r"^python -m pytest (.*)$", text, re.MULTILINE)
    words, _, chosen = line.partition(" -k ")
    return [*words.split(), *(["-k", chosen.strip('"')] if chosen else [])]
