"""`sightline predict --to parquet`: shards, by any workers, that a kill does not begin again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from raw_folders import contents
from typer.testing import CliRunner, Result

from sightline.commands.cli import app
from sightline.data.store import SplitStore
from sightline.evaluation.predictor import load_predictor
from sightline.system.errors import UserError


@pytest.fixture(scope="module")
def images(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty digits and a file that is none."""
    store, folder = SplitStore(digits / "test"), tmp_path_factory.mktemp("images")
    for index in range(40):
        (folder / f"{index:02}.png").write_bytes(bytes(store.image(index)))
    (folder / "20-bad.png").write_bytes(b"no image")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_shards_hold_every_file_in_order_whatever_the_workers(model: Path, images: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(model, images, "--to", "parquet", "--out", one, "--shard", 16, "--workers", "local:1")
    assert done.exit_code == 2, done.output  # a file was bad
    assert f"{one}: 41 images in 3 shards" in done.output
    assert "20-bad.png: " in done.output
    assert "1 of 41 files skipped" in done.output
    assert run(model, images, "--to", "parquet", "--out", two, "--shard", 16, "--workers", "local:2").exit_code == 2
    assert contents(one) == contents(two)
    assert sorted(contents(one)) == [f"part-{number:05}.parquet" for number in range(3)]
    rows = [row for path in sorted(one.iterdir()) for row in pq.read_table(path).to_pylist()]
    assert [row["file"] for row in rows] == sorted(str(path) for path in images.iterdir())
    bad = [row for row in rows if row["problem"]]
    assert [Path(row["file"]).name for row in bad] == ["20-bad.png"]
    assert bad[0]["prediction"] is None
    own = load_predictor(model, engine="onnx").predict([(images / "07.png").read_bytes()])[0]
    row = next(row for row in rows if row["file"].endswith("07.png"))
    assert (row["label"], row["height"], row["width"]) == (own["label"], 8, 8)
    assert row["confidence"] == pytest.approx(own["confidence"], abs=1e-6)
    assert json.loads(row["prediction"])["probabilities"] == pytest.approx(own["probabilities"], abs=1e-6)


def test_what_is_not_possible_is_refused(model: Path, images: Path, tmp_path: Path) -> None:
    for more, told in (
        ([], "--to parquet: writes a folder; give one with --out"),
        (["--out", tmp_path / "out", "--device", "cuda"], "--device cuda is not possible; use --to jsonl"),
        (["--out", tmp_path / "out", "--workers", "many"], "--workers many: expected local or local:N"),
        (["--out", images], "exists and is not empty; give a new folder"),
    ):
        refused = run(model, images, "--to", "parquet", *more).exception
        assert isinstance(refused, UserError)
        assert told in str(refused)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(model: Path, images: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    options = ["--to", "parquet", "--shard", "2", "--batch-size", "2", "--workers", "local:1"]
    assert run(model, images, *options, "--out", whole).exit_code == 2
    command = [sys.executable, "-m", "sightline", "predict", str(model), str(images), *options, "--out", str(out)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(out.glob("part-*"))) < 3 and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert 3 <= len(kept) < 21
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert f"41 images in 21 shards, {len(kept)} of them were there already" in done.stdout
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert contents(out) == contents(whole)
