"""Lines of a training and an evaluation, read back from the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sightline.evaluation.report.curves import ENDS, FEW, near_curve, overlap_curve, precision_recall, training_curves

LEVELS = np.linspace(0, 1, 101)


def curves(classes: int) -> pd.DataFrame:
    """Precision of class k falls to 0 after a recall of k / classes."""
    tables = [
        pd.DataFrame({"class": f"c{k:03d}", "recall": LEVELS, "precision": 0.9 * (k / classes >= LEVELS), "score": 0.5})
        for k in range(classes)
    ]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["class", "recall", "precision", "score"])


@pytest.mark.parametrize("classes", [1, 3, FEW, FEW + 1, 80])
def test_each_class_is_a_line_and_their_mean_is_mean_average_precision(classes: int) -> None:
    table = curves(classes)
    figure = precision_recall(table, {})
    assert figure is not None
    (axis,) = figure.axes
    assert len(axis.lines) == classes + (classes > 1)
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    averages = table.groupby("class")["precision"].mean()
    if classes > 1:
        (thick,) = [line for line in axis.lines if line.get_linewidth() == 3]
        assert np.mean(thick.get_ydata()) == pytest.approx(averages.mean())
        assert told.pop(0) == f"mean of {classes}  {averages.mean():.2f}"
    named = classes if classes <= FEW else 2 * ENDS
    assert len(told) == named
    assert told[0] == f"c{classes - 1:03d}  {averages.max():.2f}"
    assert told[-1] == f"c000  {averages.min():.2f}"
    looks = {(line.get_color(), line.get_linestyle()) for line in axis.lines if line.get_label() in told}
    assert len(looks) == named, "named lines can be told apart"


def test_without_a_true_object_there_is_no_curve() -> None:
    assert precision_recall(curves(0), {}) is None


def test_a_class_that_is_never_found_lies_on_zero() -> None:
    table = curves(2).assign(precision=0.0)
    figure = precision_recall(table, {})
    assert figure is not None
    assert all(np.max(line.get_ydata()) == 0 for line in figure.axes[0].lines)


def test_shares_are_marked_at_the_usual_threshold() -> None:
    near = pd.DataFrame({"fraction": [0.0, 0.1, 0.3, 0.5], "share": [0.0, 0.2, 0.6, 0.8]})
    over = pd.DataFrame({"iou": [0.0, 0.5, 1.0], "share": [1.0, 0.75, 0.0]})
    for figure, words in ((near_curve(near, {}), "40% at 0.2"), (overlap_curve(over, {}), "75% at 0.5")):
        assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [words]


def test_training_shows_each_score() -> None:
    curves = pd.DataFrame(
        {"epoch": [0, 1], "lr": [0.1, 0.01], "train_loss": [2, 1], "val_loss": [2, 1.5], "val_mean_iou": [0, 0.5]}
    )
    titles = [axis.get_title() for axis in training_curves(curves).axes]
    assert titles == ["loss", "validation mean iou", "learning rate"]
