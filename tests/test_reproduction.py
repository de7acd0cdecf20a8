"""Stages side by side: everything in its turn, two at a time, nothing twice, nothing after a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sightline.pipeline.reproduction import reproduce

# Notes when it began and ended, and copies what it needs; `left` and `right` wait until they have seen each other.
STAGE = """
import sys, time
from pathlib import Path
name, *needs = sys.argv[1:]
log = Path("log.txt")
with log.open("a") as file: file.write(f"+{name}\\n")
if Path(f"broken-{name}").exists(): sys.exit(f"{name} is broken")
if name in ("left", "right") and not Path("alone").exists():
    deadline = time.monotonic() + 30
    while not {"+left", "+right"} <= set(log.read_text().split()):
        assert time.monotonic() < deadline, "alone"
        time.sleep(0.05)
Path(f"{name}.out").write_text(name + "".join(Path(f"{need}.out").read_text() for need in needs))
with log.open("a") as file: file.write(f"-{name}\\n")
"""
NEEDS = {"first": [], "left": ["first"], "right": ["first"], "last": ["left", "right"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A DVC repository with four stages in a diamond."""
    (tmp_path / "stage.py").write_text(STAGE)
    stages = {
        name: {
            "cmd": f"python stage.py {name} {' '.join(needs)}",
            "deps": ["settings.txt", *(f"{need}.out" for need in needs)]
            if name == "first"
            else [f"{need}.out" for need in needs],
            "outs": [f"{name}.out"],
        }
        for name, needs in NEEDS.items()
    }
    (tmp_path / "settings.txt").write_text("one")
    YAML().dump({"stages": stages}, tmp_path / "dvc.yaml")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def outcomes(root: Path) -> tuple[dict[str, str], list[str], list[str]]:
    """Reproduce; return outcome per stage, the log, and what was told."""
    (root / "log.txt").write_text("")
    told: list[str] = []
    results = reproduce(root, 2, lambda stage, line: told.append(f"{stage}: {line}"))
    return {result.stage: result.outcome for result in results}, (root / "log.txt").read_text().split(), told


def test_each_in_its_turn_and_two_at_a_time(root: Path) -> None:
    done, log, _ = outcomes(root)
    assert done == dict.fromkeys(NEEDS, "ran")
    assert log[:2] == ["+first", "-first"]
    assert set(log[2:4]) == {"+left", "+right"}  # each waited for the other
    assert log[-2:] == ["+last", "-last"]
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=root, check=True, capture_output=True, text=True
    )
    assert "up to date" in status.stdout

    assert outcomes(root) == ({}, [], [])  # nothing is run a second time

    (root / "settings.txt").write_text("two")  # first runs again and makes the same: the others are looked at, not run
    done, log, _ = outcomes(root)
    assert done == {"first": "ran", "left": "unchanged", "right": "unchanged", "last": "unchanged"}
    assert log == ["+first", "-first"]

    (root / "settings.txt").write_text("one")
    (root / "left.out").unlink()
    done, log, _ = outcomes(root)
    assert done["first"] == "restored"
    assert not log
    assert (root / "left.out").read_text() == "leftfirst"


def test_nothing_begins_after_a_failure(root: Path) -> None:
    (root / "broken-left").touch()
    done, log, told = outcomes(root)
    assert done == {"first": "ran", "left": "failed", "right": "ran", "last": "skipped"}
    assert "+last" not in log
    assert "left: left is broken" in told
    (root / "broken-left").unlink()
    (root / "alone").touch()
    done, _, _ = outcomes(root)
    assert done == {"left": "ran", "last": "ran"}
