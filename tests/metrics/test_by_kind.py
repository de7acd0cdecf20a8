"""Metrics that can be resampled, from rows alone: against scikit-learn, and in little memory."""

import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from bench.gate import SETTINGS, drawn
from sightline.config.metrics import smaller_is_better
from sightline.data.structures import LabelMap
from sightline.tasks.metrics.by_kind import metrics_of, resampled, whole
from sightline.tasks.metrics.resampling import resampled_counts

NAMES = ("a", "b", "c")
LABELS = LabelMap(NAMES, NAMES, values=("x", "y"))


def classified(count: int, classes: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    label = random.integers(0, classes, count)
    predicted = np.where(random.random(count) < 0.7, label, random.integers(0, classes, count))
    return pd.DataFrame({"label": label, "predicted": predicted, "rank": (label != predicted) * 7})


def test_classes_have_the_figures_of_scikit_learn() -> None:
    rows = classified(60, 3)
    counts = np.concatenate(list(resampled_counts(60, 8)))
    metrics = metrics_of("classification", rows, LABELS)
    for place, drawn_rows in enumerate(counts.astype(int)):
        label, predicted = (np.repeat(rows[name], drawn_rows) for name in ("label", "predicted"))
        precision, recall, f1, _ = oracle.precision_recall_fscore_support(label, predicted, labels=range(3))
        for number, name in enumerate(NAMES):
            for kind, wanted in (("precision", precision), ("recall", recall), ("f1", f1)):
                assert metrics[f"{kind}_of_{name}"](counts)[place] == pytest.approx(wanted[number])
        balanced = metrics["balanced_accuracy"](counts)[place]
        assert balanced == pytest.approx(oracle.balanced_accuracy_score(label, predicted))


def test_a_class_that_is_not_drawn_has_no_recall() -> None:
    rows = classified(60, 3)
    counts = np.stack([rows["label"] != 1, rows["label"] == 1]).astype(np.float32)
    found = metrics_of("classification", rows, LABELS)["recall_of_b"](counts)
    assert np.isnan(found[0])
    assert found[1] > 0.5


def test_numbers_and_labels_have_figures_of_their_own() -> None:
    random = np.random.default_rng(0)
    actual, predicted = random.normal(5, 1, (2, 40, 2))
    rows = pd.DataFrame({"values": list(actual), "predicted_values": list(predicted)})
    once = {
        name: metric(np.ones((1, 40), np.float32))[0] for name, metric in metrics_of("regression", rows, LABELS).items()
    }
    assert once["r2_of_y"] == pytest.approx(oracle.r2_score(actual[:, 1], predicted[:, 1]))
    assert once["mae_of_x"] == pytest.approx(oracle.mean_absolute_error(actual[:, 0], predicted[:, 0]))
    assert once["rmse"] == pytest.approx(oracle.root_mean_squared_error(actual.ravel(), predicted.ravel()))
    present, sure = random.random((40, 3)) < 0.4, np.round(random.random((40, 3)), 1)
    said = [np.flatnonzero(row).tolist() for row in sure > 0.5]
    columns = {"labels": [np.flatnonzero(row).tolist() for row in present], "predicted_labels": said}
    labels = metrics_of("multilabel", pd.DataFrame({**columns, "probabilities": list(sure)}), LABELS)
    for number, name in enumerate(NAMES):
        wanted = oracle.average_precision_score(present[:, number], sure[:, number])
        assert labels[f"average_precision_of_{name}"](np.ones((1, 40), np.float32))[0] == pytest.approx(wanted)
        wanted = oracle.recall_score(present[:, number], sure[:, number] > 0.5)
        assert labels[f"recall_of_{name}"](np.ones((1, 40), np.float32))[0] == pytest.approx(wanted)


@pytest.mark.parametrize("name", SETTINGS)
def test_any_part_of_the_rows_has_the_metrics_that_it_has_as_draws(name: str) -> None:
    """The gate judges shared samples by a part of the rows; nothing may depend on the others."""
    setting = SETTINGS[name]
    rows = next(drawn(setting, 1, 0.0))[0]
    labels = LabelMap(tuple("abcdefghij"), tuple("abcdefghij")) if setting.kind == "classification" else None
    five = labels or LabelMap(tuple("abcde"), tuple("abcde"), values=("x", "y"))
    part = np.arange(len(rows)) % 3 > 0
    ones = np.ones((1, part.sum()), np.float32)
    alone = resampled(setting.kind, rows[part].reset_index(drop=True), ones, five)
    among = resampled(setting.kind, rows, part[None].astype(np.float32), five)
    assert setting.metric in alone
    for metric, values in alone.items():
        assert among[metric] == pytest.approx(values, nan_ok=True), metric


def test_a_thousand_classes_need_no_more_memory_than_ten() -> None:
    """A one-hot of 50,000 x 1,000 float32 alone is 200 MB."""
    peaks = []
    for classes in (10, 1000):
        rows = classified(50_000, classes)
        names = tuple(map(str, range(classes)))
        counts = next(resampled_counts(50_000, 20))
        tracemalloc.start()
        metrics = metrics_of("classification", rows, LabelMap(names, names))
        for metric in whole(metrics).values():
            metric(counts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3e6, "3,000 functions of single classes"


def test_errors_are_better_when_smaller() -> None:
    assert [smaller_is_better(name) for name in ("mae", "mae_of_age", "mean_error", "accuracy", "r2_of_mae")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_gate_needs_no_torch() -> None:
    code = "import sys, sightline.registry.gate, sightline.tasks.metrics.by_kind as b; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_kind_is_an_error() -> None:
    rows: Any = pd.DataFrame()
    with pytest.raises(ValueError, match="no metrics of dreams"):
        metrics_of("dreams", rows, LABELS)
