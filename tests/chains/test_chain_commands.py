"""Commands and a drift check with a model that sees crops."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.data.store import SplitStore
from sightline.operations.drift.images import recent_images
from sightline.operations.drift.observers import ModelObserver
from sightline.operations.drift.seen import look


@pytest.fixture
def folder(scenes: Path, tmp_path: Path) -> Path:
    store, folder = SplitStore(scenes / "test"), tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.png").write_bytes(store.image(index))
    return folder


def test_files_are_predicted(chain: Path, folder: Path) -> None:
    done = CliRunner().invoke(app, ["predict", str(chain), str(folder)])
    assert done.exit_code == 0, done.output
    assert all("; in " in line for line in done.output.splitlines())
    done = CliRunner().invoke(app, ["predict", str(chain), str(folder), "--to", "jsonl", "--out", "said.jsonl"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    assert [(row["height"], row["width"]) for row in rows] == [(96, 96)] * 3
    assert all(row["crop"]["box"] for row in rows)


def test_pictures_show_where_the_model_looked(chain: Path, folder: Path) -> None:
    done = CliRunner().invoke(app, ["predict", str(chain), str(folder), "--to", "pictures", "--out", "drawn"])
    assert done.exit_code == 0, done.output
    drawn, original = (cv2.imread(path) for path in ("drawn/0.png", str(folder / "0.png")))
    assert drawn is not None
    assert original is not None
    plain = cv2.resize(original, (384, 384), interpolation=cv2.INTER_NEAREST)
    changed = np.abs(drawn[:384].astype(int) - plain).max(-1) > 0
    assert 0 < changed.mean() < 0.1


def test_the_graph_is_told_to_be_the_second_one(chain: Path) -> None:
    done = CliRunner().invoke(app, ["convert", str(chain), "--to", "onnx", "--out", "namer.onnx"])
    assert done.exit_code == 0, done.output
    assert "the network sees crops; the detector that finds them is a model too" in done.output
    assert Path("namer.onnx").read_bytes() == (chain / "model.onnx").read_bytes()


def test_drift_looks_at_crops(chain: Path, folder: Path) -> None:
    seen = look(recent_images(folder, 10, 0), ModelObserver(chain, "namer"))
    assert seen is not None
    assert (len(seen.names), len(seen.vectors)) == (3, 3)
    assert set(seen.answers) == {"confidence"}
