"""Batches side by side: the same predictions in the same order as one by one, and errors that come through."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.config.tiling import Tiling
from sightline.data.encoding import encode_png
from sightline.data.structures import LabelMap
from sightline.evaluation import lanes as lanes_module
from sightline.evaluation.lanes import threads_each, worthwhile_lanes
from sightline.evaluation.predictor import Engine, load_predictor
from sightline.operations.prediction_files.lanes import Lanes
from sightline.operations.prediction_files.run import predict_files
from sightline.operations.prediction_files.sources import find_images
from sightline.operations.prediction_files.writers import open_writer
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model

LABELS = LabelMap(("cat", "dog"), ("7", "9"))


def write(folder: Path, tiling: Tiling | None = None) -> Path:
    torch.manual_seed(0)
    section = {"kind": "detection"} if tiling else {"kind": "classification", "architecture": "mnist_cnn"}
    config = TypeAdapter(TaskConfig).validate_python(section)
    image = Input(size=64, channels=3) if tiling else Input(size=28, channels=1)
    task = build(config, image, LABELS).eval()
    write_model(folder, task, ModelCard(config, image, LABELS, "32", False, 1, "0" * 64, tiling=tiling))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "digit")


def lines(model: Path, images: Path, out: Path, engine: Engine, lanes: int) -> list[dict[str, object]]:
    predictor, told = load_predictor(model, engine=engine, threads=threads_each(lanes)), list[int]()
    with open_writer("jsonl", out, LABELS, 0.5) as writer:
        files = find_images([str(images)], [], recursive=False)
        finished = predict_files(predictor, files, writer, 3, told.append, lanes=lanes)
    assert finished.good == 10
    assert [Path(name).name for name, _ in finished.bad] == ["03.png", "11.png"]
    assert told == [3, 3, 3, 3]
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_lanes_write_what_one_does_in_the_same_order(model: Path, tmp_path: Path, engine: Engine) -> None:
    generator = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(12):
        content = encode_png(generator.integers(0, 256, (20 + number, 30), np.uint8))
        (tmp_path / "images" / f"{number:02}.png").write_bytes(b"none" if number in (3, 11) else content)
    one, *others = (lines(model, tmp_path / "images", tmp_path / f"{count}", engine, count) for count in (1, 2, 3))
    assert [Path(str(row["file"])).name for row in one] == [f"{number:02}.png" for number in (0, 1, 2, *range(4, 11))]
    for other in others:
        for row, expected in zip(other, one, strict=True):
            assert row["probabilities"] == pytest.approx(expected.pop("probabilities"), abs=1e-6)
            expected["probabilities"] = row["probabilities"]
            assert {**row, "confidence": 0} == {**expected, "confidence": 0}


def test_batches_are_under_way_together_and_few_wait() -> None:
    both, taken = threading.Barrier(2, timeout=10), list[int]()

    def batches() -> object:
        for number in range(8):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        both.wait()  # never passed by one alone
        time.sleep(0.01 * (number % 2 == 0))
        return number

    with Lanes(2) as lanes:
        for place, number in enumerate(lanes.in_order(work, batches())):  # type: ignore[arg-type]
            assert number == place
            assert len(taken) <= place + 3


def test_an_error_in_a_lane_comes_through_and_ends_the_others() -> None:
    done = list[int]()

    def work(number: int) -> int:
        if number == 1:
            raise UserError("broken")
        done.append(number)
        return number

    with Lanes(2) as lanes, pytest.raises(UserError, match="broken"):
        list(lanes.in_order(work, range(100)))
    assert len(done) < 10


def test_one_lane_for_torch_for_heads_for_tiles_and_on_one_core(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "usable_processors", lambda: 8)
    assert worthwhile_lanes(model) == 2
    assert (threads_each(2), threads_each(1)) == (4, None)
    assert worthwhile_lanes(model, "torch") == 1
    assert worthwhile_lanes(model, "auto", "cuda") == 1
    (tmp_path / "model.json").write_text('{"head": {}}')
    assert worthwhile_lanes(tmp_path) == 1
    card = json.loads((model / "model.json").read_text())
    card["tiling"] = Tiling().model_dump(mode="json")
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert worthwhile_lanes(tmp_path) == 1
    with pytest.raises(UserError, match="no model"):
        worthwhile_lanes(tmp_path / "none")
    monkeypatch.setattr(lanes_module, "usable_processors", lambda: 1)
    assert worthwhile_lanes(model) == 1
