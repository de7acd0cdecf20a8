"""What twice the data is worth: on classes whose learning curve is known, how far off, how often in the interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.datasets import load_digits

from sightline.config.heads import Head
from sightline.data.structures import FLOAT32
from sightline.training.heads.curve_report import curve_values
from sightline.training.heads.doubling import gain_of_doubling
from sightline.training.heads.learning_curve import DRAWS, ENOUGH_JUDGED, FOLDS, measure_curve

CENTROIDS: Head = TypeAdapter(Head).validate_python(
    {"dataset": "d", "features": "f", "kind": "nearest_centroid", "standardize": False}
)
Means = NDArray[np.float64]


def gaussians(random: np.random.Generator, count: int, means: Means) -> tuple[FLOAT32, NDArray[np.int64]]:
    labels = np.arange(count, dtype=np.int64) % len(means)
    return (means[labels] + random.standard_normal((count, means.shape[1]))).astype(np.float32), labels


def accuracies(random: np.random.Generator, count: int, means: Means) -> NDArray[np.float64]:
    """Return the recall of each class of the nearest centroid of `count` images: the mean over 60 of them."""
    tested, truth = gaussians(random, 4000, means)
    found = []
    for _ in range(60):
        vectors, labels = gaussians(random, count, means)
        centres = np.stack([vectors[labels == one].mean(0) for one in range(len(means))])
        right = (tested @ centres.T - 0.5 * (centres**2).sum(1)).argmax(1) == truth
        found.append([right[truth == one].mean() for one in range(len(means))])
    return np.mean(found, axis=0)


def means_of(classes: int, dimensions: int, distance: float) -> Means:
    random = np.random.Generator(np.random.Philox(key=[classes, dimensions]))
    drawn = random.standard_normal((classes, dimensions))
    return drawn * distance / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_the_gain_of_known_classes_is_found_and_its_interval_holds() -> None:
    """12 train splits of three kinds: many dimensions gain much, classes that overlap little, those far apart nothing.

    The second kind is the hardest: most of its errors will never go away, which 240 images do not show.
    """
    covered, reached = [], []  # true gain, mean of those found, mean error
    for classes, dimensions, distance, count in ((5, 100, 2.5, 200), (4, 20, 2.5, 240), (3, 30, 5.0, 150)):
        means = means_of(classes, dimensions, distance)
        random = np.random.Generator(np.random.Philox(key=[dimensions, 1]))
        true = 100 * float((accuracies(random, 2 * count, means) - accuracies(random, count, means)).mean())
        gains = []
        for seed in range(12):
            vectors, labels = gaussians(random, count, means)
            curve = measure_curve(CENTROIDS, {}, vectors, labels, seed)
            assert curve is not None
            gains.append(gain_of_doubling(curve, count).overall)
        values = 100 * np.array([gain.value for gain in gains])
        covered.append(np.mean([100 * gain.low <= true + 0.05 and true - 0.05 <= 100 * gain.high for gain in gains]))
        reached.append((true, float(values.mean()), float(np.abs(values - true).mean())))
    for (true, mean, error), most in zip(reached, (1.5, 2.0, 0.3), strict=True):
        assert abs(mean - true) < most
        assert error < most + 0.3
    assert reached[0][1] > reached[1][1] > reached[2][1]  # in the right order
    assert covered[0] > 0.8
    assert covered[2] > 0.8


def test_the_class_that_gains_most_is_named() -> None:
    """Two classes that are hard to tell apart, and three far away from everything."""
    means = means_of(5, 60, 8.0)
    means[1] = means[0] + means_of(1, 60, 2.0)[0]
    random = np.random.Generator(np.random.Philox(key=[60, 2]))
    vectors, labels = gaussians(random, 200, means)
    curve = measure_curve(CENTROIDS, {}, vectors, labels, 0)
    assert curve is not None
    doubling = gain_of_doubling(curve, 200)
    assert {one.label for one in doubling.classes[:2]} == {0, 1}
    assert doubling.classes[1].gain.value > 2 * doubling.overall.value > 10 * doubling.classes[2].gain.value
    for one in doubling.classes:
        assert one.gain.low <= one.gain.value <= one.gain.high


def test_every_image_is_judged_once_per_draw_and_sizes_rise() -> None:
    vectors, labels = gaussians(np.random.Generator(np.random.Philox(key=[0, 3])), 160, means_of(4, 10, 3.0))
    curve = measure_curve(CENTROIDS, {}, vectors, labels, 0)
    assert curve is not None
    assert curve.rows.tolist() == list(range(160))
    assert [len(part) for part in curve.wrong] == list(DRAWS.values())
    assert curve.sizes.tolist() == [16, 32, 64, 128]
    assert (np.diff(curve.errors()) < 0.02).all()


def test_large_train_splits_are_judged_on_one_fold() -> None:
    count = FOLDS * ENOUGH_JUDGED + 100
    vectors, labels = gaussians(np.random.Generator(np.random.Philox(key=[0, 4])), count, means_of(2, 3, 3.0))
    curve = measure_curve(CENTROIDS, {}, vectors, labels, 0)
    assert curve is not None
    assert len(curve.rows) == count // FOLDS
    assert curve.sizes[-1] == 10_000


def digits_head(**options: Any) -> tuple[Head, dict[str, Any]]:
    values = {"dataset": "d", "features": "f", "kind": "linear_svm", "C": [0.01], **options}
    return TypeAdapter(Head).validate_python(values), {"C": 0.01}


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5, "copies": 2}])
def test_the_same_train_split_gives_the_same_figures(options: dict[str, Any]) -> None:
    vectors, labels = load_digits(return_X_y=True)
    head, chosen = digits_head(**options)
    rows = slice(0, 300)
    one, other = (
        curve_values(
            head, chosen, vectors[rows].astype(np.float32), labels[rows].astype(np.int64), list("0123456789"), 7
        )
        for _ in range(2)
    )
    assert one == other
    assert one["train_images"] == one["judged_images"] == 300
    assert 0.85 < one["accuracy"] < 0.99
    assert {row["class"] for row in one["classes"]} == set("0123456789")
    assert sum(row["train_images"] for row in one["classes"]) == 300


@pytest.mark.parametrize("labels", [[0] * 10 + [1] * 9, [0] * 60 + [1], [0] * 40])
def test_too_few_images_give_a_reason_and_no_figures(labels: list[int]) -> None:
    vectors = np.random.Generator(np.random.Philox(key=[0, 5])).standard_normal((len(labels), 3)).astype(np.float32)
    values = curve_values(CENTROIDS, {}, vectors, np.array(labels, np.int64), ["a", "b"], 0)
    assert "too few train images" in values["reason"]
    assert "twice_the_data" not in values


@pytest.mark.parametrize("kind", ["linear_svm", "logistic", "perceptron", "knn", "rbf_svm", "nearest_centroid"])
def test_rare_classes_and_tiny_parts_are_no_error(kind: str) -> None:
    """The smallest part has 8 images, all of them of the same class at times, and fewer than the neighbours of knn."""
    tried = {"linear_svm": {"C": [0.1]}, "logistic": {"C": [0.1]}, "knn": {"neighbours": [15]}}
    tried["rbf_svm"] = {"C": [1.0], "gamma": ["scale"]}
    options = tried.get(kind, {})
    head: Head = TypeAdapter(Head).validate_python({"dataset": "d", "features": "f", "kind": kind, **options})
    chosen = {{"neighbours": "n_neighbors"}.get(name, name): values[0] for name, values in options.items()}
    random = np.random.Generator(np.random.Philox(key=[0, 6]))
    labels = np.array([0] * 76 + [1] * 4, np.int64)
    vectors = random.standard_normal((80, 6)).astype(np.float32) + 3 * labels[:, None].astype(np.float32)
    values = curve_values(head, chosen, vectors, labels, ["common", "rare"], 0)
    assert 0 <= values["twice_the_data"]["low"] <= values["twice_the_data"]["gain"]
    assert {row["class"]: row["train_images"] for row in values["classes"]} == {"common": 76, "rare": 4}
