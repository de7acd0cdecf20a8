"""The command `drift`, its report and its mistakes, on a small project."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.operations.drift.images import image_files, recent_folder, recent_images
from sightline.operations.drift.verdicts import past_checks
from sightline.system.errors import UserError
from sightline.system.files import read_json


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "project"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root


def drift(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["drift", "scenes", *arguments])
    if isinstance(found.exception, UserError):
        return 2, "\n".join(found.exception.lines)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def test_unchanged_images_and_blurred_ones(project: Path) -> None:
    code, told = drift("--fail")
    assert code == 0
    assert "no drift" in told
    assert not (project / ".sightline").exists(), "a check by hand does not count"
    code, told = drift("--recent", "blurred", "--record", "--fail")
    assert code == 3
    assert "DRIFT" in told
    assert "verdict: not drifting" in told
    assert "verdict: drifting since" in drift("--recent", "blurred", "--record")[1]
    assert len(past_checks(project, "scenes")) == 2
    report = project / "reports/drift/scenes"
    written = read_json(report / "drift.json")
    assert written["drifting"]
    assert written["recent_samples"] == 40
    assert {"noise", "sharpness"} <= {test["name"] for test in written["tests"] if test["adjusted"] < 0.01}
    page = (report / "index.html").read_text()
    assert "broken.jpg" in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page), "loads nothing from elsewhere"
    for name in ("histograms", "map", "strange"):
        assert cv2.imread(str(report / f"{name}.png")) is not None
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    drift("--recent", "blurred")
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before, "the same inputs give the same bytes"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--recent", "nowhere"], "nowhere: no such folder; put recent images there"),
        (["--recent", "models"], "models: 1 readable images, min_samples is 30; wait for more, or lower it"),
        (["--model", "cmm"], "cmm: no model there"),
    ],
)
def test_mistakes_are_one_line(project: Path, arguments: list[str], told: str) -> None:
    (project / "models").mkdir()
    shutil.copy(project / "blurred/0.png", project / "models")
    code, line = drift(*arguments)
    assert code == 2
    assert line.startswith(told)
    assert "\n" not in line


def test_recent_images_are_those_of_the_inbox_else_of_the_newest_batch(tmp_path: Path) -> None:
    inbox, root = tmp_path / "inbox", tmp_path / "raw"
    assert recent_folder(inbox, root) == inbox
    for name in ("20261101-aaaa", "20261102-bbbb"):
        (root / ".batches" / name).mkdir(parents=True)
    assert recent_folder(inbox, root) == root / ".batches/20261102-bbbb"
    (inbox / "a" / ".hidden").mkdir(parents=True)
    for name in (".hidden/x.png", "y.png", "z.txt"):
        (inbox / "a" / name).write_bytes(b"")
    assert image_files(inbox) == [inbox / "a/y.png"]
    assert recent_folder(inbox, root) == inbox
    assert recent_images(inbox, 10, 0).names == ["a/y.png"]
