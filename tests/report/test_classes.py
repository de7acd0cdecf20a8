"""Bars per class and per size, read back from the figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sightline.evaluation.report.classes import BEST, WORST, average_precisions, class_bars


def detection(averages: list[float]) -> pd.DataFrame:
    known = np.array(averages)
    names = [f"class {k}" for k in range(len(known))]
    counts = np.where(np.isnan(known), 0, 7)
    return pd.DataFrame({"class": names, "objects": counts, "AP50": known, "AP": known / 2, "threshold": known})


def names_of(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_yticklabels()]


def lengths_of(axis: Any) -> list[float]:
    return [bar.get_width() for bar in axis.patches]


def test_the_worst_class_is_above_and_one_without_objects_last() -> None:
    figure = class_bars(detection([0.5, np.nan, 0.25, 0.75]), {})
    assert figure is not None
    (axis,) = figure.axes
    assert names_of(axis) == ["class 2", "class 0", "class 3", "class 1"]
    assert lengths_of(axis) == [0.25, 0.5, 0.75, 0.0]
    bottom, top = axis.get_ylim()
    assert bottom > top, "the first bar is above"
    written = [text.get_text() for text in axis.texts]
    assert written == ["AP", "objects", "0.25", "7", "0.50", "7", "0.75", "7", "-", "0"]
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    assert told == ["AP at IoU 0.5", "AP at IoU 0.5 to 0.95", "mean over classes 0.50"]
    (marks,) = [line for line in axis.lines if line.get_marker() == "D"]
    np.testing.assert_array_equal(marks.get_xdata(), [0.125, 0.25, 0.375, np.nan])


def test_of_many_classes_the_worst_and_the_best_are_shown() -> None:
    averages = np.random.default_rng(0).permutation(np.linspace(0, 1, 200))
    averages[[3, 50]] = np.nan
    figure = class_bars(detection(averages.tolist()), {})
    assert figure is not None
    (axis,) = figure.axes
    ordered = np.sort(averages)[:198]
    np.testing.assert_array_equal(lengths_of(axis), [*ordered[:WORST], *ordered[-BEST:]])
    assert f"{198 - WORST - BEST} more between" in [text.get_text() for text in axis.texts]
    figure.draw_without_rendering()
    inches = figure.get_tightbbox().height
    assert inches < 12


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"class": ["a", "b", "c"], "samples": [4, 0, 0], "iou": [0.5, 0.0, np.nan], "dice": [0.6, 0, np.nan]}, "bac"),
        ({"class": ["a", "b", "c"], "samples": [4, 0, 2], "precision": 1.0, "recall": 0.3, "f1": [0.5, 0, 0.4]}, "cab"),
        ({"class": ["a", "b"], "samples": [4, 3], "average_precision": [0.5, 0.4], "f1": [0.1, 0.9]}, "ba"),
        ({"class": ["a", "b"], "samples": [4, 3], "mean_iou": [0.5, 0.4], "class_accuracy": 1.0}, "ba"),
        ({"joint": ["a", "b"], "points": [0, 3], "pck": [0.0, 0.4], "mean_error": 2.0}, "ba"),
    ],
)
def test_tables_of_each_task_are_known(table: dict[str, Any], expected: str) -> None:
    figure = class_bars(pd.DataFrame(table), {})
    assert figure is not None
    assert names_of(figure.axes[0]) == list(expected)
    column = next(name for name in ("iou", "average_precision", "mean_iou", "f1", "pck") if name in table)
    each = "points" if column == "pck" else "classes"
    counted = [value for value, count in zip(table[column], list(table.values())[1], strict=True) if count]
    if column == "iou":
        counted = [0.5, 0.0]  # a class that is only predicted counts, one that is nowhere does not
    assert f"mean over {each} {np.mean(counted):.2f}" in [
        text.get_text() for text in figure.axes[0].get_legend().get_texts()
    ]


def test_other_tables_and_empty_ones_are_not_drawn() -> None:
    assert class_bars(pd.DataFrame({"value": ["a"], "mae": [0.1]}), {}) is None
    assert class_bars(detection([]), {}) is None


@pytest.mark.parametrize("classes", [2, WORST + BEST + 9])
def test_nothing_but_classes_without_objects(classes: int) -> None:
    figure = class_bars(detection([np.nan] * classes), {})
    assert figure is not None
    assert lengths_of(figure.axes[0]) == [0] * min(classes, WORST + BEST)
    assert not [text for text in figure.axes[0].get_legend().get_texts() if "mean" in text.get_text()]


def test_names_are_shown_as_they_are_and_shortened() -> None:
    table = detection([0.1, 0.2]).assign(**{"class": ["$x$ and $y", "a very long name of one of the classes"]})
    figure = class_bars(table, {})
    assert figure is not None
    figure.draw_without_rendering()
    first, second = figure.axes[0].get_yticklabels()
    assert first._preprocess_math(first.get_text()) == ("$x$ and $y", False)  # type: ignore[attr-defined]
    assert second.get_text() == "a very long name of one o…"


def test_average_precision_is_drawn_by_size_with_intervals() -> None:
    metrics: dict[str, Any] = {
        "box_mAP50": 0.7,
        "mask_mAP50": 0.6,
        "mask_mAP": 0.4,
        "mask_mAP_small": 0.2,
        "headline": {"name": "mask_mAP50"},
        "box_mAP": 0.5,
        "mask_mAR": 0.55,
        "confidence": 0.95,
        "interval": {"mask_mAP50": {"low": 0.5, "high": 0.65}},
    }
    figure = average_precisions(metrics)
    assert figure is not None
    (axis,) = figure.axes
    assert [label.get_text().split("\n")[0] for label in axis.get_xticklabels()] == [
        "overlap",
        "overlaps",
        "small",
        "recall",
    ]
    assert sorted(bar.get_height() for bar in axis.patches) == [0.2, 0.4, 0.5, 0.55, 0.6, 0.7]
    (interval,) = axis.lines
    np.testing.assert_array_equal(interval.get_ydata(), [0.5, 0.65])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["mask", "box"]
    assert average_precisions({"accuracy": 0.9, "interval": {}}) is None
