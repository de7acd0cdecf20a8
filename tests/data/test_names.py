"""Names that are not UTF-8: left out with a line by prepare and ingest, found before DVC dies of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from raw_folders import config, png, write_folder
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.data.raw.names import is_utf8, names_not_utf8, printable, require_utf8
from sightline.data.raw.preparation import prepare
from sightline.system.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file systems hold UTF-8 alone")
LATIN = os.fsdecode(b"caf\xe9.png")


def test_names_are_printed_with_their_bytes() -> None:
    assert printable(LATIN) == "caf\\xe9.png"
    assert printable("é猫.png") == "é猫.png"
    assert is_utf8(printable("\ud800"))


def test_a_sample_is_left_out_with_a_line_and_other_files_are_told(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "raw")
    (root / "class0" / LATIN).write_bytes(png(500))
    (root / "class0" / os.fsdecode(b"n\xf6te.txt")).write_text("no image")
    card = prepare("tiny", config(format="image_folder", root=str(root)), tmp_path / "out")
    assert card.quarantined == 1
    assert card.findings["bad_name"]["first"][0]["source"] == "class0/caf\\xe9.png"
    assert card.findings["ignored"]["first"][0]["source"] == "class0/n\\xf6te.txt"
    assert "class0/caf\\xe9.png" in (tmp_path / "out/quarantine.csv").read_text(encoding="utf-8")
    assert "caf\\xe9.png" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_a_class_is_refused_with_a_line(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "raw")
    (root / "class0").rename(root / os.fsdecode(b"caf\xe9"))
    with pytest.raises(UserError, match=r"caf\\xe9: a class whose name is not UTF-8; rename it"):
        prepare("tiny", config(format="image_folder", root=str(root)), tmp_path / "out")


def test_they_are_found_before_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path / "data/raw/tiny")
    (root / "class0" / LATIN).write_bytes(png(500))
    assert list(names_not_utf8(root)) == ["class0/caf\\xe9.png"]
    with pytest.raises(UserError, match=r"caf\\xe9.png: the name is not UTF-8, which DVC cannot take; rename it"):
        require_utf8([root, tmp_path / "nowhere"])
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "seed: 0\ndatasets:\n  tiny: {format: image_folder, root: data/raw/tiny}\nmodels:\n  m:\n    dataset: tiny\n"
        "    task: {kind: classification, architecture: mlp}\n    weights: random\n    augment: none\n"
        "    input: {size: 8, channels: 1}\n    optimizer: {name: adam, lr: 0.001}\ntrainer: {}\nevaluation: {}\n"
    )
    with pytest.raises(UserError, match="not UTF-8"):
        CliRunner().invoke(app, ["check"], catch_exceptions=False)
