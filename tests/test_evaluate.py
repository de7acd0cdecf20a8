"""Metrics against scikit-learn, intervals against slow loops and theory."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as oracle
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.structures import LabelMap, Prediction
from sightline.evaluation.evaluate import comparable_numbers, evaluate_model, with_intervals
from sightline.system.errors import UserError
from sightline.system.files import read_json
from sightline.tasks.base import Measurement
from sightline.tasks.classification import Classification
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.classification import reliability
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.training.fit import train

CLASSES = 7


def some(count: int = 300, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES - 1, count)  # the last class has no sample
    logits = generator.normal(size=(count, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def task() -> Classification:
    names = tuple("abcdefg")
    return Classification(nn.Identity(), "", LabelMap(names, names), [0.5], [0.5])


def measured(labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> Measurement:
    ids = [f"{i:04d}" for i in range(len(labels))]
    truth = pd.DataFrame({"id": ids, "source": ids, "label": labels})
    predictions = [Prediction(label=int(p.argmax()), probabilities=p) for p in probabilities]
    return task().measure(predictions, truth, bins=15)


def test_metrics_are_those_of_scikit_learn() -> None:
    labels, probabilities = some()
    predicted = probabilities.argmax(1)
    result = measured(labels, probabilities)
    values = result.values
    present = list(range(CLASSES - 1))
    assert values["accuracy"] == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert values["top5"] == pytest.approx(
        oracle.top_k_accuracy_score(labels, probabilities, k=5, labels=range(CLASSES))
    )
    assert values["balanced_accuracy"] == pytest.approx(
        oracle.recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
    )
    assert values["macro_f1"] == pytest.approx(
        oracle.f1_score(labels, predicted, labels=present, average="macro", zero_division=0)
    )
    assert values["log_loss"] == pytest.approx(oracle.log_loss(labels, probabilities, labels=range(CLASSES)), rel=1e-4)
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        labels, predicted, labels=range(CLASSES), zero_division=0
    )
    table = result.tables["per_class"]
    np.testing.assert_allclose(table["precision"], precision)
    np.testing.assert_allclose(table["recall"], recall)
    np.testing.assert_allclose(table["f1"], f1)
    np.testing.assert_array_equal(table["samples"], support)


def test_calibration_error_is_the_mean_gap() -> None:
    labels, probabilities = some()
    result = measured(labels, probabilities)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=CLASSES, n_bins=15
    )
    assert result.values["calibration_error"] == pytest.approx(float(theirs), abs=1e-5)
    confidence, correct = probabilities.max(1), (probabilities.argmax(1) == labels).astype(float)
    gap = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            gap += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert result.values["calibration_error"] == pytest.approx(gap, abs=1e-5)
    table = reliability(confidence, correct.astype(np.float32), 15)
    assert table["samples"].sum() == len(labels)
    assert np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["samples"]) == pytest.approx(gap)


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    labels, probabilities = some(60)
    rows = measured(labels, probabilities).rows
    counts = np.concatenate(list(resampled_counts(60, 20)))
    assert (counts.sum(1) == 60).all()
    fast = resampled("classification", rows, counts, task().labels)
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(60), drawn)
        slow = measured(labels[again], probabilities[again]).values
        for name in ("accuracy", "top5", "macro_f1"):
            assert fast[name][index] == pytest.approx(slow[name], abs=1e-5)


def test_the_interval_is_the_binomial_one() -> None:
    labels, probabilities = some(2000)
    metrics = with_intervals(task(), measured(labels, probabilities), Evaluation(resamples=4000))
    p = metrics["headline"]["value"]
    half = 1.96 * np.sqrt(p * (1 - p) / 2000)
    assert metrics["headline"]["low"] == pytest.approx(p - half, abs=0.004)
    assert metrics["headline"]["high"] == pytest.approx(p + half, abs=0.004)


@pytest.mark.parametrize("right", [True, False])
def test_a_score_of_all_or_nothing_is_not_certain(right: bool) -> None:
    labels = np.arange(40) % 5
    given = labels if right else (labels + 1) % 5
    probabilities = np.eye(CLASSES, dtype=np.float32)[given] * 0.9 + 0.1 / CLASSES
    headline = with_intervals(task(), measured(labels, probabilities.astype(np.float32)), Evaluation(resamples=200))[
        "headline"
    ]
    low, high = headline["low"], headline["high"]
    assert (high - low, high if right else low) == (pytest.approx(1 - 0.025 ** (1 / 40)), float(right))
    # A model whose true accuracy is at the edge of the interval is all right as rarely as the interval says.
    edge = low if right else 1 - high
    draws = np.random.default_rng(0).random((20_000, 40)) < edge
    assert draws.all(1).mean() == pytest.approx(0.025, abs=0.004)


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
            "trainer": {"max_epochs": 3},
        }
    )
    train(settings, 1, digits, folder / "model", resume_root=folder / "resume")
    return folder / "model"


def test_evaluating_a_model_writes_metrics_rows_and_tables(digits: Path, model: Path, tmp_path: Path) -> None:
    metrics = evaluate_model(model, digits, Evaluation(resamples=200), tmp_path)
    assert read_json(tmp_path / "metrics.json") == metrics
    rows = pd.read_parquet(tmp_path / "predictions.parquet")
    assert len(rows) == metrics["samples"]
    assert metrics["headline"]["low"] < metrics["headline"]["value"] < metrics["headline"]["high"]
    assert metrics["headline"]["value"] > 0.8
    assert {"per_class.csv", "confusion.csv", "reliability.csv"} <= {path.name for path in tmp_path.iterdir()}
    again = tmp_path / "again"
    again.mkdir()
    evaluate_model(model, digits, Evaluation(resamples=200), again)
    assert (again / "predictions.parquet").read_bytes() == (tmp_path / "predictions.parquet").read_bytes()


@pytest.mark.parametrize("headline", ["macro_f1", "log_loss", "recall_of_3"])
def test_any_metric_can_be_the_headline(digits: Path, model: Path, tmp_path: Path, headline: str) -> None:
    metrics = evaluate_model(model, digits, Evaluation(resamples=200), tmp_path, headline)
    own, rows = metrics["headline"], pd.read_parquet(tmp_path / "predictions.parquet")
    assert own["name"] == headline
    assert own["low"] < own["value"] == metrics[headline] < own["high"]
    if headline == "recall_of_3":
        assert own["value"] == pytest.approx((rows["predicted"] == 3)[rows["label"] == 3].mean())
    assert metrics["onnx"]["headline"] == pytest.approx(own["value"], abs=1e-3)
    numbers = comparable_numbers(metrics)
    assert (numbers[f"{headline}_low"], numbers[headline]) == (own["low"], own["value"])


def test_an_unknown_headline_is_told_with_the_nearest(digits: Path, model: Path, tmp_path: Path) -> None:
    told = (
        r"evaluation.headline.model: no metric 'recall_of_threee' \(did you mean recall_of_\d\?\); there are accuracy"
    )
    with pytest.raises(UserError, match=told):
        evaluate_model(model, digits, Evaluation(), tmp_path, "recall_of_threee")
    assert not (tmp_path / "metrics.json").exists()


def test_a_model_of_other_classes_is_refused(digits: Path, model: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(digits, other)
    names = tuple("9876543210")
    (other / "labels.json").write_text(__import__("json").dumps(LabelMap(names, names).to_json()))
    with pytest.raises(UserError, match=r"its classes are \['0', .*those of .* are \['9'"):
        evaluate_model(model, other, Evaluation(), tmp_path)
