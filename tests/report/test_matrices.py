"""Confusion of samples and pixels, read back from the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sightline.evaluation.report.matrices import MOST_ERRORS, MOST_NAMES, confusion, pixels


def test_samples_are_counted_and_coloured_by_true_class() -> None:
    table = pd.DataFrame({"actual": ["b", "b", "b", "a"], "predicted": ["b", "b", "c", "a"]})
    figure = confusion(table, {})
    assert figure is not None
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "c"]
    shares = axis.images[0].get_array()
    assert shares is not None
    np.testing.assert_allclose(shares, [[1, 0, 0], [0, 2 / 3, 1 / 3], [0, 0, 0]])
    assert {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axis.texts} == {
        (0, 0): "1",
        (1, 1): "2",
        (1, 2): "1",
    }


def test_pixels_are_told_in_percent_of_each_true_class_whatever_the_names() -> None:
    names = ["actual", "1", "sky"]
    table = pd.DataFrame([[8, 2, 0], [0, 0, 0], [1, 1, 2]], columns=["actual.1", "1", "sky"])
    table.insert(0, "actual", names)
    figure = pixels(table, {})
    assert figure is not None
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == names
    assert [text.get_text() for text in axis.texts] == ["80%", "20%", "25%", "25%", "50%"]


def test_of_many_classes_the_most_frequent_errors_are_listed() -> None:
    count = 300
    names = [f"class {k:03d}" for k in range(count)]
    table = pd.DataFrame({"actual": names * 10, "predicted": names * 10})
    table.loc[table.index[:900:300], "predicted"] = "class 007"  # class 000, three times
    table.loc[table.index[1:600:300], "predicted"] = "class 008"
    figure = confusion(table, {})
    assert figure is not None
    assert (figure.get_size_inches() <= 16).all()
    listed = figure.axes[1]
    assert [label.get_text() for label in listed.get_yticklabels()] == [
        "class 000 → class 007",
        "class 001 → class 008",
    ]
    assert [bar.get_width() for bar in listed.patches] == [3, 2]
    assert [text.get_text() for text in listed.texts] == [" 30%", " 20%"]
    assert not figure.axes[0].texts
    assert count > MOST_NAMES
    assert len(listed.patches) <= MOST_ERRORS


def test_without_samples_or_pixels_there_is_no_matrix() -> None:
    assert confusion(pd.DataFrame({"actual": [], "predicted": []}), {}) is None
    assert pixels(pd.DataFrame({"actual": ["a"], "a": [0]}), {}) is None
