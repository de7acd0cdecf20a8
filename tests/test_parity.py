"""An exported network beside its original: the same numbers, and a planted difference that stops a release."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import numpy_helper
from scipy import stats

from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.structures import LabelMap, Prediction
from sightline.evaluation.evaluate import comparable_numbers, evaluate_model
from sightline.evaluation.parity import allowed_mismatches, compare_engines, is_same, output_difference
from sightline.evaluation.predictor import load_predictor
from sightline.registry.release import refuse_other_onnx
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json
from sightline.tasks.classification import Classification
from sightline.training.artifact.folder import ONNX, read_card, read_model, read_onnx, write_model
from sightline.training.fit import train


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    settings = Model.model_validate(
        {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mlp"},
            "weights": "random",
            "augment": "none",
            "input": {"size": 8, "channels": 1},
            "optimizer": {"name": "adam", "lr": 3e-3},
            "trainer": {"max_epochs": 2},
        }
    )
    train(settings, 1, digits, folder / "model", resume_root=folder / "resume")
    return folder / "model"


def changed(model: Path, folder: Path) -> Path:
    """Copy a model; the last layer's weights in its model.onnx are turned round, and its card agrees with the file."""
    shutil.copytree(model, folder)
    graph = onnx.load(str(folder / ONNX))
    last = [tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2][-1]
    values = numpy_helper.to_array(last)
    last.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[::-1]), last.name))
    onnx.save(graph, str(folder / ONNX))
    card = read_json(folder / "model.json")
    write_json(folder / "model.json", card | {"onnx_sha256": hashlib.sha256((folder / ONNX).read_bytes()).hexdigest()})
    return folder


def test_a_training_leaves_a_network_that_evaluation_finds_to_agree(digits: Path, model: Path, tmp_path: Path) -> None:
    metrics = evaluate_model(model, digits, Evaluation(resamples=100, batch_size=50), tmp_path)
    told = metrics["onnx"]
    assert told["agrees"]
    assert (told["same"], told["headline_difference"]) == (1.0, 0.0)
    assert told["headline"] == metrics["headline"]["value"]
    assert 0 <= told["largest_output_difference"] < 1e-3  # 0 on processors where both add up in one order
    refuse_other_onnx("digit", metrics)
    assert set(comparable_numbers(metrics)) == set(
        comparable_numbers({k: v for k, v in metrics.items() if k != "onnx"})
    )


def test_a_changed_layer_is_found_and_the_release_refused(digits: Path, model: Path, tmp_path: Path) -> None:
    metrics = evaluate_model(changed(model, tmp_path / "model"), digits, Evaluation(resamples=100), tmp_path)
    told = metrics["onnx"]
    assert not told["agrees"]
    assert told["headline"] < metrics["headline"]["value"] - 0.3
    assert told["largest_output_difference"] > 0.1
    with pytest.raises(
        UserError, match=r"^digit: model.onnx differs from .* accuracy 0\.\d+ instead of 0\.\d+, .*%"
    ) as error:
        refuse_other_onnx("digit", metrics)
    assert len(error.value.lines) == 1
    assert "dvc repro -f train@digit" in error.value.lines[0]


@pytest.mark.parametrize(("samples", "allowed"), [(8, 1), (100, 1), (250, 2), (999, 4), (1000, 4), (10_000, 18)])
def test_few_mismatches_are_allowed_as_chance_explains_them(samples: int, allowed: int) -> None:
    assert allowed_mismatches(samples) == allowed
    if allowed > 1:
        assert stats.binom.sf(allowed, samples, 1e-3) <= 0.01 < stats.binom.sf(allowed - 1, samples, 1e-3)
    bad = stats.binom.cdf(allowed, samples, 0.01)  # a network that is wrong once in a hundred
    assert samples < 999 or bad < 0.05


class Told(torch.nn.Module):
    """Says what it is told, whatever the pixels."""

    def __init__(self, scores: np.ndarray) -> None:  # type: ignore[type-arg]
        super().__init__()
        self.scores = torch.from_numpy(scores)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scores


@pytest.mark.parametrize(("wrong", "agrees"), [(0, True), (1, True), (2, False)])
def test_a_single_mismatch_of_a_hundred_images_refuses_nothing(wrong: int, agrees: bool) -> None:
    names = ("a", "b")
    label = np.arange(100) % 2
    scores = np.eye(2, dtype=np.float32)[label]
    other = scores.copy()
    other[:wrong] = 1 - other[:wrong]
    task = Classification(Told(scores), "", LabelMap(names, names), [0.5], [0.5])
    truth = pd.DataFrame({"id": label, "source": label, "label": label})
    pixels, placements = np.zeros((100, 1, 1, 1), np.uint8), [None] * 100
    measured = task.measure(task.predictions(torch.from_numpy(scores), placements), truth, 15)
    told = compare_engines(task, lambda _: torch.from_numpy(other), [(pixels, placements)], truth, 15, measured)
    assert told["headline_difference"] == pytest.approx(wrong / 100)
    assert (told["same"], told["agrees"]) == (1 - wrong / 100, agrees)


def test_the_file_is_the_same_twice_and_names_no_path(model: Path, tmp_path: Path) -> None:
    task, card = read_model(model)
    assert write_model(tmp_path / "again", task, card) == card
    content = (tmp_path / "again" / ONNX).read_bytes()
    assert content == (model / ONNX).read_bytes()
    assert b".py" not in content
    assert str(Path(torch.__file__).parents[1]).encode() not in content


def test_a_file_that_is_not_the_cards_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / ONNX).write_bytes(b"x")
    card = read_card(tmp_path / "model")
    with pytest.raises(UserError, match=r"model\.onnx: does not match model.json"):
        read_onnx(tmp_path / "model", card)
    (tmp_path / "model" / ONNX).unlink()
    with pytest.raises(UserError, match=r"model\.onnx: missing"):
        load_predictor(tmp_path / "model")
    assert load_predictor(tmp_path / "model", engine="torch").onnx is None
    assert read_onnx(tmp_path / "model", replace(card, onnx_sha256="")) is None


def test_what_an_exporter_cannot_write_loses_no_training(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task, card = read_model(model)

    class Strange(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigh(images[:, 0].mT @ images[:, 0])[0]  # no operator of ONNX

    task.network = Strange()
    written = write_model(tmp_path / "model", task, card)
    assert written.onnx_sha256 == ""
    assert capsys.readouterr().out.startswith("classification: Strange: no ONNX: ")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]


def boxes(scores: list[float], labels: list[int], shift: float = 0.0) -> Prediction:
    corners = np.array([[10 * n + shift, 0, 10 * n + 8 + shift, 8] for n in range(len(scores))], np.float32)
    corners = corners.reshape(-1, 4)
    return Prediction(boxes=corners, box_labels=labels, box_scores=np.array(scores, np.float32))


def test_same_objects() -> None:
    one = boxes([0.9, 0.6, 0.2], [0, 1, 2])
    assert is_same(one, boxes([0.9, 0.6, 0.2], [0, 1, 2], shift=0.1))
    assert is_same(one, boxes([0.9, 0.495], [0, 1]))
    assert not is_same(one, boxes([0.9, 0.6], [0, 2]))
    assert not is_same(one, boxes([0.9], [0]))
    assert not is_same(boxes([0.9], [0]), one)
    assert not is_same(one, boxes([0.9, 0.6], [0, 1], shift=2))
    assert is_same(boxes([], []), boxes([0.3], [1]))
    flat, moved = boxes([0.9], [0]), boxes([0.9], [0])
    flat.boxes[:, 2], moved.boxes[:, 2] = flat.boxes[:, 0], moved.boxes[:, 0]  # type: ignore[index]
    assert is_same(flat, moved), "a box without an area is itself, though it overlaps nothing"
    moved.boxes[:] += 1  # type: ignore[index]
    assert not is_same(flat, moved)
    assert not is_same(boxes([], []), boxes([0.8], [1]))


def test_same_maps_points_numbers_and_pictures() -> None:
    grey = np.zeros((40, 40), np.uint8)
    spot = grey.copy()
    spot[0, 0] = 1
    assert is_same(Prediction(semantic=grey), Prediction(semantic=spot))
    assert not is_same(Prediction(semantic=grey), Prediction(semantic=grey + 1))
    points = np.array([[[5, 5, 0.9], [7, 7, 0.1]]], np.float32)
    assert is_same(Prediction(keypoints=points), Prediction(keypoints=points + np.array([[[0.5, 0, 0], [9, 0, 0]]])))
    assert not is_same(Prediction(keypoints=points), Prediction(keypoints=points + np.array([[[2, 0, 0], [0, 0, 0]]])))
    values = np.array([100.0, -2.0], np.float32)
    assert is_same(Prediction(values=values), Prediction(values=values * 1.0005))
    assert not is_same(Prediction(values=values), Prediction(values=values * 1.1))
    picture = np.full((4, 4, 1), 100, np.uint8)
    assert is_same(Prediction(image=picture), Prediction(image=picture + 1))
    assert not is_same(Prediction(image=picture), Prediction(image=picture + 3))
    assert not is_same(Prediction(labels=[0, 2]), Prediction(labels=[0]))
    assert not is_same(Prediction(label=1), Prediction(label=2))


def test_differences_of_outputs_stay_numbers() -> None:
    ours = torch.tensor([1.0, float("inf"), 2.0])
    assert output_difference(ours, torch.tensor([1.5, float("inf"), 2.0])) == 0.5
    assert output_difference({"a": ours}, {"a": torch.tensor([1.0, 0.0, float("nan")])}) == pytest.approx(1e30)
    assert output_difference(torch.zeros(0), torch.zeros(0)) == 0
