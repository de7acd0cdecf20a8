"""`sightline check`: what it says of a project whose raw files are not there."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.commands.cli import app

PARAMS = """
datasets:
  cor: {format: FORMAT, root: data/raw/cor}
models:
  first: {dataset: cor, task: detection, weights: random}
"""
FORMATS = ("image_folder", "csv", "text_list", "idx", "coco", "voc", "yolo", "dota", "via", "mvtec", "instance_masks")


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_root_is_named_and_no_error(tmp_path: Path, name: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.replace("FORMAT", name))
    done = CliRunner().invoke(app, ["check", str(file)])
    assert done.exit_code == 0, done.output
    assert "datasets.cor.root: data/raw/cor: no such folder; put the raw files there, or correct" in done.stderr
    assert "good, but 1 of its data sets not here yet" in done.stdout


@pytest.mark.parametrize("pointer", ["data/raw/cor.dvc", "data/raw.dvc"])
def test_what_dvc_has_is_to_be_pulled(tmp_path: Path, pointer: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.replace("FORMAT", "voc"))
    (tmp_path / pointer).parent.mkdir(parents=True)
    (tmp_path / pointer).touch()
    told = CliRunner().invoke(app, ["check", str(file)]).stderr
    assert told == f"datasets.cor.root: data/raw/cor: no such folder; fetch it with `dvc pull {pointer}`\n"
    (tmp_path / "data/raw/cor").mkdir(parents=True)
    assert CliRunner().invoke(app, ["check", str(file)]).stderr == ""


def test_a_misspelt_network_is_named(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    task = "{kind: classification, architecture: 'timm:tf_eficientnet_lite2'}"
    text = PARAMS.replace("FORMAT", "image_folder").replace("task: detection, weights: random", f"task: {task}")
    file.write_text(text)
    (tmp_path / "data/raw/cor").mkdir(parents=True)
    told = CliRunner().invoke(app, ["check", str(file)]).stderr
    assert told.startswith("models.first: timm:tf_eficientnet_lite2: not among the networks of timm")
    assert told.endswith("(did you mean timm:tf_efficientnet_lite2?)\n")
    file.write_text(text.replace("eficientnet", "efficientnet"))
    assert CliRunner().invoke(app, ["check", str(file)]).stderr == ""
