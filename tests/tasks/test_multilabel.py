"""Multi-label metrics against scikit-learn, thresholds against a search, resampling against a slow loop."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as oracle
from torch import nn

from sightline.data.structures import LabelMap, Prediction
from sightline.tasks.base import Measurement
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.tasks.multilabel import Multilabel, best_threshold

CLASSES = 5
Array = np.ndarray[Any, Any]


def some(count: int = 80, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    actual = generator.random((count, CLASSES)) < [0.5, 0.3, 0.1, 0.8, 0.0]  # the last class never occurs
    probabilities = 1 / (1 + np.exp(-generator.normal(size=actual.shape) - 1.5 * (actual - 0.5)))
    return actual, probabilities.round(2).astype(np.float32)  # rounding makes ties


def task() -> Multilabel:
    names = tuple("abcde")
    return Multilabel(nn.Identity(), "", LabelMap(names, names), [0.5], [0.5])


def measured(actual: Array, probabilities: Array) -> Measurement:
    ids = [f"{i:04d}" for i in range(len(actual))]
    truth = pd.DataFrame({"id": ids, "source": ids, "labels": [np.flatnonzero(row).tolist() for row in actual]})
    said = [Prediction(labels=np.flatnonzero(row >= 0.5).tolist(), probabilities=row) for row in probabilities]
    return task().measure(said, truth, bins=15)


def test_metrics_are_those_of_scikit_learn() -> None:
    actual, probabilities = some()
    result = measured(actual, probabilities)
    average = [oracle.average_precision_score(actual[:, k], probabilities[:, k]) for k in range(4)]
    np.testing.assert_allclose(result.tables["per_class"]["average_precision"][:4], average, rtol=1e-6)
    assert result.values["mean_average_precision"] == pytest.approx(np.mean(average))
    predicted = probabilities >= 0.5
    assert result.values["micro_f1"] == pytest.approx(oracle.f1_score(actual, predicted, average="micro"))
    assert result.values["exact_match"] == pytest.approx(oracle.accuracy_score(actual, predicted))


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    actual, probabilities = some(40)
    rows = measured(actual, probabilities).rows
    counts = np.concatenate(list(resampled_counts(40, 15)))
    fast = resampled("multilabel", rows, counts, task().labels)
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(40), drawn)
        slow = measured(actual[again], probabilities[again]).values
        for name in fast:
            assert fast[name][index] == pytest.approx(slow[name], abs=1e-5)


def test_thresholds_give_the_best_f1() -> None:
    actual, probabilities = some(200)
    for k in range(4):
        at = best_threshold(probabilities[:, k], actual[:, k])
        reached = oracle.f1_score(actual[:, k], probabilities[:, k] >= at)
        searched = [oracle.f1_score(actual[:, k], probabilities[:, k] >= t) for t in np.unique(probabilities[:, k])]
        assert reached == pytest.approx(max(searched))
    assert best_threshold(probabilities[:, 4], actual[:, 4]) == 0.5


def test_calibration_sets_a_threshold_per_class_which_predictions_use() -> None:
    own = task()
    logits = torch.tensor([[-3.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0], [-4.0, 0, 0, 0, 0]])
    truth = torch.zeros(3, CLASSES)
    truth[1, 0] = 1
    own.calibrate(logits, {"labels": truth})
    assert 0.05 < float(own.thresholds[0]) < 0.27
    assert [p.labels[:1] if p.labels else [] for p in own.predictions(logits, [])][1] == [0]
    assert 0 not in (own.predictions(logits, [])[0].labels or [])
    assert "thresholds" in own.state_dict()
