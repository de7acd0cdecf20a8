"""Regression metrics against scikit-learn, resampling against a slow loop."""

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
from sightline.tasks.regression import Regression

Array = np.ndarray[Any, Any]


def task(values: int = 3) -> Regression:
    names = tuple("abc")[:values]
    return Regression(nn.Identity(), "", LabelMap((), (), values=names), [0.5], [0.5])


def some(count: int = 60) -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    actual = generator.normal(size=(count, 3)) * [1, 10, 0] + [0, 5, 7]  # the last number never changes
    return actual, (actual + generator.normal(size=actual.shape)).astype(np.float32)


def measured(actual: Array, predicted: Array) -> Measurement:
    ids = [f"{i:04d}" for i in range(len(actual))]
    truth = pd.DataFrame({"id": ids, "source": ids, "values": list(actual)})
    return task(actual.shape[1]).measure([Prediction(values=row) for row in predicted], truth, bins=15)


def test_metrics_are_those_of_scikit_learn() -> None:
    actual, predicted = some()
    result = measured(actual, predicted)
    assert result.values["r2"] == pytest.approx(oracle.r2_score(actual, predicted))
    assert result.values["mae"] == pytest.approx(oracle.mean_absolute_error(actual, predicted))
    table = result.tables["per_value"]
    np.testing.assert_allclose(table["r2"], oracle.r2_score(actual, predicted, multioutput="raw_values"))
    np.testing.assert_allclose(
        table["rmse"], oracle.root_mean_squared_error(actual, predicted, multioutput="raw_values")
    )


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    actual, predicted = some()
    rows = measured(actual[:, :2], predicted[:, :2]).rows
    counts = np.concatenate(list(resampled_counts(60, 15)))
    fast = resampled("regression", rows, counts, task(2).labels)
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(60), drawn)
        slow = measured(actual[again, :2], predicted[again, :2]).values
        assert fast["r2"][index] == pytest.approx(slow["r2"], abs=1e-4)
        assert fast["mae"][index] == pytest.approx(slow["mae"], abs=1e-4)


def test_values_are_learned_in_deviations_and_told_in_their_own_unit() -> None:
    own = task(2)
    own.set_scale(np.array([100.0, -5.0]), np.array([20.0, 0.5]))
    outputs = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    wanted = torch.tensor([[100.0, -5.0], [120.0, -6.0]])
    assert float(own.loss(outputs, {"values": wanted})) == 0
    np.testing.assert_allclose(np.stack([p.values for p in own.predictions(outputs, [])]), wanted)
    assert {"value_mean", "value_std"} <= set(own.state_dict())
