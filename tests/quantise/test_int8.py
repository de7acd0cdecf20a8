"""A network in integers: the same bytes twice, as good as the original, refused where it is not."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sightline.config.evaluation import Evaluation
from sightline.config.export import Export
from sightline.config.models import Model
from sightline.data.store import SplitStore, load_labels
from sightline.evaluation.predictor import load_predictor
from sightline.evaluation.quantise.integers import Integers
from sightline.evaluation.quantise.layers import Layer
from sightline.evaluation.quantise.loss import too_few
from sightline.evaluation.quantise.search import TRIES, candidates, quantise_model
from sightline.system.disk import DiskError
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.artifact.int8 import INT8, INT8_REPORT, int8_folder

QUICK = Evaluation(resamples=200)


def test_it_is_released_smaller_and_says_what_it_loses(model: Path) -> None:
    report = read_json(int8_folder(model) / INT8_REPORT)
    assert report["released"], report["reason"]
    assert report["size_ratio"] < 0.3
    assert report["bytes"] == (int8_folder(model) / INT8).stat().st_size
    assert (report["layers_int8"], report["layers"], report["samples"]) == (4, 4, 270)
    assert report["loss"]["low"] <= report["loss"]["value"] <= report["loss"]["high"] <= 0.05
    assert report["fp32"] - report["int8"] == pytest.approx(report["loss"]["value"], abs=1e-6)
    assert report["reason"].startswith("it loses ")


def test_the_same_bytes_twice(model: Path, digits: Path, tmp_path: Path) -> None:
    quantise_model(model, digits, Export(int8=True, max_loss=0.05), QUICK, tmp_path)
    for name in (INT8, INT8_REPORT):
        assert (tmp_path / name).read_bytes() == (int8_folder(model) / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {INT8, INT8_REPORT}


def test_the_engine_runs_it(model: Path, digits: Path) -> None:
    store = SplitStore(digits / "val")
    images = [bytes(store.image(place)) for place in range(40)]
    ours, theirs = (load_predictor(model, engine=engine).predictions(images) for engine in ("onnx", "int8"))
    assert np.mean([one.label == other.label for one, other in zip(ours, theirs, strict=True)]) > 0.9
    pairs = [
        (np.asarray(own.probabilities), np.asarray(one.probabilities)) for own, one in zip(ours, theirs, strict=True)
    ]
    assert 0 < max(np.abs(own - one).max() for own, one in pairs) < 0.3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("none", r"model\.int8\.onnx: engine int8: this model has no such file; set export\.model\.int8"),
        ("refused", r"engine int8: not released: too bad; use engine onnx"),
        ("lost", r"model\.int8\.onnx: missing"),
        ("damaged", r"model\.int8\.onnx: does not match int8\.json"),
        ("other", r"was made from another model\.onnx"),
    ],
)
def test_what_is_not_this_models_is_refused(model: Path, tmp_path: Path, change: str, told: str) -> None:
    shutil.copytree(model, tmp_path / "model")
    folder = int8_folder(tmp_path / "model")
    if change != "none":
        shutil.copytree(int8_folder(model), folder)
    if change == "refused":
        write_json(folder / INT8_REPORT, {"released": False, "reason": "too bad"})
    if change == "lost":
        (folder / INT8).unlink()
    if change == "damaged":
        (folder / INT8).write_bytes(b"x")
    if change == "other":
        card = read_json(tmp_path / "model/model.json")
        graph = onnx.load(str(tmp_path / "model/model.onnx"))
        graph.doc_string = "another one"
        content = graph.SerializeToString()
        (tmp_path / "model/model.onnx").write_bytes(content)
        write_json(tmp_path / "model/model.json", card | {"onnx_sha256": hashlib.sha256(content).hexdigest()})
    with pytest.raises(UserError, match=told):
        load_predictor(tmp_path / "model", engine="int8")


def test_few_images_cannot_show_a_small_loss(digits: Path, model: Path, tmp_path: Path) -> None:
    report = quantise_model(model, digits, Export(int8=True, max_loss=0.001), QUICK, tmp_path)
    assert not report["released"]
    assert report["reason"].startswith("one of 270 validation images is 0.004 of accuracy, more than max_loss 0.001")
    assert not (tmp_path / INT8).exists()
    assert too_few(1000, "accuracy", 0.001) is None
    assert too_few(10, "mAP50", 0.001) is None


def spoiling(monkeypatch: pytest.MonkeyPatch, when: Callable[[Sequence[str]], bool]) -> None:
    """Let the weights of some of the graphs be zero; which, is asked with the layers that stay as they are."""
    write = Integers.write

    def spoiled(self: Integers, path: Path, kept: Sequence[str]) -> None:
        write(self, path, kept)
        graph = onnx.load(str(path))
        for one in graph.graph.initializer if when(kept) else ():
            values = numpy_helper.to_array(one)
            if values.dtype == np.int8 and values.ndim > 1:
                one.CopyFrom(numpy_helper.from_array(np.zeros_like(values), one.name))
        onnx.save(graph, str(path))

    monkeypatch.setattr(Integers, "write", spoiled)


def test_where_all_layers_hurt_too_much_the_outer_ones_are_kept(
    digits: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling(monkeypatch, lambda kept: not kept)
    report = quantise_model(model, digits, Export(int8=True, max_loss=0.05), QUICK, tmp_path)
    assert report["released"], report["reason"]
    assert [one["within"] for one in report["tries"]] == [False, True]
    assert (report["layers_int8"], report["layers"], len(report["kept_fp32"])) == (2, 4, 2)
    assert report["reason"].endswith("2 of 4 layers in int8, the first and the last layers in fp32")


def test_what_loses_much_however_it_is_made_is_not_written(
    digits: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling(monkeypatch, lambda kept: True)
    report = quantise_model(model, digits, Export(int8=True, max_loss=0.05), QUICK, tmp_path)
    assert not report["released"]
    assert not any(one["within"] for one in report["tries"])
    assert [path.name for path in tmp_path.iterdir()] == [INT8_REPORT]


def test_a_graph_that_cannot_be_quantised_is_told_and_a_full_disk_is_no_such_graph(
    digits: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Integers, path: Path, kept: Sequence[str]) -> None:
        raise failure

    monkeypatch.setattr(Integers, "write", fails)
    failure: Exception = ValueError("no such type")
    report = quantise_model(model, digits, Export(int8=True, max_loss=0.05), QUICK, tmp_path)
    assert report["reason"] == "ONNX Runtime cannot quantise this graph: no such type"
    failure = RuntimeError("model_path must not be empty: No space left on device")  # as of a library in C++
    with pytest.raises(DiskError, match="the disk is full"):
        quantise_model(model, digits, Export(int8=True, max_loss=0.05), QUICK, tmp_path)


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "detection", "architecture": "fcos", "backbone": "torchvision:resnet18"},
        {"kind": "semantic_segmentation", "architecture": "unet", "depth": 2},
    ],
    ids=["detector", "segmenter"],
)
def test_detectors_and_segmenters(scenes: Path, tmp_path: Path, task: dict[str, Any]) -> None:
    """Untrained ones, which find next to nothing before and after."""
    section = {"dataset": "scenes", "task": task, "weights": "random", "augment": "none", "input": {"size": 64}}
    settings = Model.model_validate(section)
    network = build(settings.task, settings.input, load_labels(scenes))
    card = ModelCard(settings.task, settings.input, network.labels, "32", False, 1, "0" * 64)
    write_model(tmp_path / "model", network.eval(), card)
    folder = int8_folder(tmp_path / "model")
    folder.mkdir()
    asked = Export(int8=True, max_loss=0.5, calibration_images=8)
    report = quantise_model(tmp_path / "model", scenes, asked, QUICK, folder)
    assert report["released"], report["reason"]
    assert report["size_ratio"] < 0.6  # the segmenter has few weights
    assert report["layers_share"] == 1.0
    store = SplitStore(scenes / "val")
    [said] = load_predictor(tmp_path / "model", engine="int8").predictions([bytes(store.image(0))])
    assert said.boxes is not None or said.semantic is not None


def layers(count: int) -> list[Layer]:
    return [Layer(f"l{n}", "Conv", "", "", "", n == 0, n == count - 1) for n in range(count)]


def test_layers_that_hurt_stay_in_fp32_the_noisiest_first() -> None:
    ratios = {f"l{n}": 40.0 - n if n < 8 else 40.0 for n in range(16)}
    found = list(candidates(layers(16), lambda: ratios))
    assert len(found) == TRIES
    assert [set(kept) for _, kept in found[:3]] == [set(), {"l0", "l15"}, {"l0", "l15", "l6", "l7"}]
    assert [len(kept) for _, kept in found] == [0, 2, 4, 6, 10]
    for (_, few), (_, more) in pairwise(found):
        assert set(few) <= set(more)
    assert [len(kept) for _, kept in candidates(layers(2), dict)] == [0]
