"""The claims of docs/deployment.md: spoiled networks are refused, and how often a loss goes unseen."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap
from sightline.evaluation.predictor import Engine, load_predictor
from sightline.evaluation.quantise.loss import Loss, measured_loss
from sightline.evaluation.quantise.search import TRIES
from sightline.system.files import read_json, write_json
from sightline.tasks.metrics.by_kind import metrics_of
from sightline.training.artifact.int8 import INT8, INT8_REPORT, int8_folder
from sightline.training.truth import truth_of

Values = dict[str, NDArray[Any]]
LABELS = LabelMap(("a", "b"), ("a", "b"))


def rows(right: NDArray[np.bool_]) -> pd.DataFrame:
    wrong = 1 - right.astype(np.int64)
    return pd.DataFrame({"label": np.zeros(len(right), np.int64), "predicted": wrong, "rank": wrong})


def passed(count: int, lost: float, gained: float, pairs: int) -> float:
    """Return how often a network is released that loses and gains such shares of N images; nine in ten were right."""
    random, kept = np.random.default_rng(5), 0
    for _ in range(pairs):
        ours, draw = random.random(count) < 0.9, random.random(count)
        theirs = np.where(ours, draw >= lost / 0.9, draw < gained / 0.1)
        loss = measured_loss(
            rows(ours), rows(theirs), "accuracy", lambda own: metrics_of("classification", own, LABELS), 200, 0.95
        )
        kept += loss.within(0.01)
    return kept / pairs


@pytest.mark.slow
def test_how_often_a_network_is_released() -> None:
    """A loss of `max_loss` passes in one of 40 cases, one of nothing in nearly all where images are many."""
    assert passed(3000, 0.012, 0.002, 300) <= 0.06
    assert passed(3000, 0.022, 0.002, 300) == 0
    assert passed(3000, 0.002, 0.002, 300) >= 0.99
    assert passed(1000, 0.001, 0.001, 300) >= 0.97
    assert passed(300, 0.0, 0.0, 100) == 1


def plants(values: Mapping[str, NDArray[Any]]) -> dict[str, Callable[[Values], None]]:
    """Return 20 ways to spoil the numbers of a graph in integers."""
    weights = sorted(name for name, own in values.items() if own.dtype == np.int8 and own.ndim > 1)
    scales = sorted(name for name, own in values.items() if own.dtype == np.float32 and own.size == 1)
    found: dict[str, Callable[[Values], None]] = {}

    def changed(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Values], None]:
        return lambda own: own.update({name: change(own[name]).astype(own[name].dtype)})

    for place, name in enumerate(weights[:4]):
        found[f"channels reversed {place}"] = changed(name, lambda own: own[::-1])
        found[f"zeroed {place}"] = changed(name, np.zeros_like)
        found[f"sign {place}"] = changed(name, lambda own: -own)
    for place, name in enumerate(scales[:4]):
        found[f"saturated {place}"] = changed(name, lambda own: own / 100)
        found[f"coarse {place}"] = changed(name, lambda own: own * 2000)  # all of it rounds to nothing
    return found


@pytest.mark.slow
def test_twenty_of_twenty_spoiled_networks_are_refused(digits: Path, model: Path, tmp_path: Path) -> None:
    predictor = load_predictor(model, engine="onnx")
    store = SplitStore(digits / "val")
    images, truth = [bytes(store.image(place)) for place in range(len(store))], truth_of(store, predictor.task)
    shutil.copytree(model, tmp_path / "model")
    folder = int8_folder(tmp_path / "model")
    shutil.copytree(int8_folder(model), folder)

    def measured(engine: Engine) -> pd.DataFrame:
        said = load_predictor(tmp_path / "model", engine=engine).predictions(images)
        return predictor.task.measure(iter(said), truth, 15).rows

    def loss() -> Loss:
        def named(own: pd.DataFrame) -> Any:
            return metrics_of("classification", own, predictor.task.labels)

        return measured_loss(original, measured("int8"), "accuracy", named, 500, 0.95, TRIES)

    good, original, report = onnx.load(str(folder / INT8)), measured("onnx"), read_json(folder / INT8_REPORT)
    assert loss().within(0.05)
    numbers = {one.name: numpy_helper.to_array(one) for one in good.graph.initializer}
    ways, released = plants(numbers), []
    assert len(ways) == 20
    for what, plant in ways.items():
        values, spoiled = dict(numbers), onnx.ModelProto()
        plant(values)
        spoiled.CopyFrom(good)
        for one in spoiled.graph.initializer:
            one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[one.name]), one.name))
        content = spoiled.SerializeToString()
        (folder / INT8).write_bytes(content)
        write_json(folder / INT8_REPORT, report | {"sha256": hashlib.sha256(content).hexdigest()})
        if loss().within(0.05):
            released.append(what)
    assert not released
