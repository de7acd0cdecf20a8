"""How single samples are judged, and which are the worst."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sightline.evaluation.report.quality import Quality, quality_of, worst_first
from sightline.evaluation.report.values import BARS, distribution


def rows(**columns: Any) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    ids = [f"{k:03d}" for k in range(count)]
    return pd.DataFrame({"id": ids, "source": ids, "told": ids, "score": np.zeros(count)} | columns)


def objects(prefix: str = "") -> pd.DataFrame:
    """One right and one false and one missed; nothing at all; a false alarm; one right below its threshold; ignored."""
    columns: dict[str, list[Any]] = {
        "object_labels": [[0, 1], [], [1], [0], [1]],
        "object_scores": [[0.9, 0.8], [], [0.9], [0.3], [0.9]],
        "found": [[0b1, 0b0], [], [0], [0b11], [0b10]],
        "ignored": [[0, 0], [], [0], [0], [0b1]],
        "truths": [[2, 0], [0, 0], [0, 0], [1, 0], [0, 0]],
    }
    return rows(**{prefix + name: values for name, values in columns.items()})


@pytest.mark.parametrize("prefix", ["", "mask_"])
def test_objects_are_judged_by_f1_at_their_thresholds(prefix: str) -> None:
    quality = quality_of(objects(prefix), np.array([0.5, np.nan]))
    np.testing.assert_allclose(quality.values, [0.5, 1, 0, 0, 1])
    assert quality_of(objects(prefix), np.array([0.2, 0.95])).values[3] == 1


def test_a_score_that_is_its_classs_threshold_counts() -> None:
    score = np.float32(0.1)
    table = rows(object_labels=[[0]], object_scores=[[score]], found=[[1]], ignored=[[0]], truths=[[1]])
    assert quality_of(table, np.array([float(score)])).values[0] == 1


def test_other_samples_are_judged_by_what_their_rows_hold() -> None:
    maps = rows(hits=[[8, 0], [0, 0]], actual=[[8, 2], [0, 0]], claimed=[[10, 0], [4, 0]])
    np.testing.assert_allclose(quality_of(maps, None).values, [0.4, np.nan])
    poses = rows(similarity=[0.3, 0.0], points=[5, 0])
    np.testing.assert_allclose(quality_of(poses, None).values, [0.3, np.nan])
    labels = rows(labels=[[0, 2], [], []], predicted_labels=[[0, 1], [], [3]])
    np.testing.assert_allclose(quality_of(labels, None).values, [0.5, 1, 0])
    classes = rows(label=[1, 0], probabilities=[[0.2, 0.8], [0.3, 0.7]], confidence=[0.8, 0.7])
    np.testing.assert_allclose(quality_of(classes, None).values, [0.8, 0.3])
    images = quality_of(rows(score=[20.0, 31.0], psnr=[20.0, 31.0]), None)
    assert (images.ends, images.unit, images.of(0)) == (None, " dB", "")


def test_the_worst_come_first_and_those_without_anything_last() -> None:
    quality = Quality("F1", np.array([0.5, np.nan, 0.1, 0.5]))
    worst = worst_first(rows(score=[3, 0, 5, 2]), quality)
    assert worst.order.tolist() == [2, 3, 0, 1]
    assert worst.marked.tolist() == [2, 3, 0]
    assert [quality.of(place) for place in (2, 1)] == ["F1 0.10", "nothing to find"]


def test_of_classifiers_errors_are_shown_the_surest_first() -> None:
    table = rows(label=[0, 0, 0, 0], score=[0, 1, 0, 0], confidence=[0.6, 0.9, 0.8, 0.8])
    worst = worst_first(table, Quality("probability", np.zeros(4)))
    assert worst.order.tolist() == [2, 3, 0]
    assert worst_first(table.assign(score=1), Quality("probability", np.ones(4))).title == "no errors"


def test_a_distribution_counts_every_sample_and_marks_the_worst() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.random(99), [np.nan] * 3])
    quality = Quality("F1", values)
    figure = distribution(quality, worst_first(rows(score=values), quality))
    assert figure is not None
    (axis,) = figure.axes
    worst, others = (sum(bar.get_height() for bar in group) for group in axis.containers)  # type: ignore[attr-defined]
    assert (worst, others) == (12, 87)
    assert len(axis.containers[0]) == BARS  # type: ignore[arg-type]
    assert axis.get_title() == "99 samples; 3 more have nothing to find"


def test_few_values_far_below_do_not_hide_the_others() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0.8, 0.1, 200), [-500.0]])
    quality = Quality("share of r2", values, None)
    figure = distribution(quality, worst_first(rows(score=values), quality))
    assert figure is not None
    low, high = figure.axes[0].get_xlim()
    assert -1 < low < 0.6 < high < 1.3
    assert figure.axes[0].patches[0].get_height() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_without_anything_measured_there_is_no_distribution(values: list[float]) -> None:
    quality = Quality("F1", np.array(values, np.float64))
    assert distribution(quality, worst_first(rows(score=np.zeros(len(values))), quality)) is None


def test_equal_values_are_drawn() -> None:
    quality = Quality("psnr", np.full(5, 60.0), None)
    figure = distribution(quality, worst_first(rows(score=np.full(5, 60.0)), quality))
    assert figure is not None
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(("right", "scale"), [(300, "symlog"), (20, "linear")])
def test_a_single_error_shows_beside_many_others(right: int, scale: str) -> None:
    table = rows(score=np.repeat([1.0, 0.0], [right, 1]), label=np.zeros(right + 1, int), confidence=np.ones(right + 1))
    quality = Quality("probability", table["score"].to_numpy())
    figure = distribution(quality, worst_first(table, quality))
    assert figure is not None
    (axis,) = figure.axes
    assert axis.get_yscale() == scale
    figure.draw_without_rendering()
    shown = axis.get_window_extent().height
    assert axis.patches[0].get_window_extent().height > shown / 50
