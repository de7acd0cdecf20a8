"""Classes and slices that are worse than chance explains: equal ones are hardly ever named, a worse one is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from sightline.evaluation.report.weakest import ALPHA, Units, class_units, find_weak, slice_units, units

Maker = Callable[..., Units]
NAMES = pd.DataFrame({"class": list("abcdefghij")})
OFTEN = 150  # simulated test sets


def images(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Classes of 5 to 60 images, of which nine in ten are right; of class c fewer."""
    counts = np.array([5, 6, 40, 10, 20, 20, 20, 30, 60, 60])
    label = np.repeat(np.arange(10), counts)
    right = random.random(len(label)) < np.where(label == 2, 0.9 - worse, 0.9)
    rows = pd.DataFrame({"label": label, "predicted": label, "score": right.astype(float)})
    return found(class_units(rows, NAMES))


def objects(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Images that are easy or hard as a whole, with 1 to 12 objects in groups of a class."""
    rows = []
    for _ in range(80):
        truths, hits, easy = np.zeros(10, int), np.zeros(10, int), random.beta(3, 1)
        for own in random.choice(10, random.integers(1, 4), replace=False):
            truths[own] = random.integers(1, 5) if random.random() < 0.8 else random.integers(5, 13)
            hits[own] = random.binomial(truths[own], easy - (worse * easy if own == 2 else 0))
        labels = np.repeat(np.arange(10), hits)
        rows.append((labels, np.full(len(labels), 0.9), np.ones(len(labels), int), truths))
    table = NAMES.assign(threshold=random.random(10) * 0.5)
    return found(class_units(pd.DataFrame(rows, columns=["object_labels", "object_scores", "found", "truths"]), table))


def labels(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Images with several labels, all easier or all harder to see."""
    actual, told = [], []
    for _ in range(120):
        easy, own = random.beta(4, 1), random.choice(10, random.integers(0, 5), replace=False)
        actual.append(own.tolist())
        told.append([one for one in own if random.random() < easy * (1 - worse * (one == 2))])
    return found(class_units(pd.DataFrame({"labels": actual, "predicted_labels": told}), NAMES))


def values(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Four values of an image, with errors that are larger on some images and have heavy tails."""
    actual = random.normal(size=(100, 4)) * [1, 10, 100, 1000]
    error = random.standard_t(4, (100, 4)) * random.gamma(2, 1, (100, 1)) * actual.std(0) * 0.1
    error[:, 2] *= 1 + 4 * worse
    rows = pd.DataFrame({"values": list(actual), "predicted_values": list(actual + error)})
    return found(class_units(rows, pd.DataFrame({"value": list("abcd")})))


def pixels(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Classes of any size in hard and easy images, and a background that is always easy."""
    actual = random.integers(1, 400, (70, 10)) * (random.random((70, 10)) < 0.3)
    actual[:, 0] = 4000
    share = np.clip(random.beta(5, 2, (70, 1)) + random.normal(0, 0.1, (70, 10)), 0, 1)
    share[:, 2] *= 1 - worse
    hits = (actual * share).astype(int)
    hits[:, 0] = 3990
    rows = pd.DataFrame({"hits": list(hits), "actual": list(actual), "claimed": list(actual)})
    return found(class_units(rows, NAMES.replace("a", "background")))


def slices(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Parts by three attributes that go together, of qualities with many ones and some not known."""
    size, light = random.integers(0, 4, 200), random.integers(0, 3, 200)
    near = np.where(random.random(200) < 0.8, size, 0)
    quality = np.where(random.random(200) < 0.6, 1.0, random.random(200)) * (1 - worse * (light == 2))
    quality[random.random(200) < 0.05] = np.nan
    columns = [(name, pd.Categorical(own)) for name, own in (("size", size), ("light", light), ("near", near))]
    return found(slice_units(quality, columns))


def counts(random: np.random.Generator, worse: float = 0.0) -> Units:
    """Key points of which the table alone is known."""
    points = random.integers(20, 90, 10)
    near = random.binomial(points, np.where(np.arange(10) == 2, 0.8 - worse, 0.8))
    table = pd.DataFrame({"joint": list("abcdefghij"), "points": points, "pck": near / points}).round(6)
    return found(class_units(pd.DataFrame({"points": [1]}), table))


def found(made: Units | None) -> Units:
    assert made is not None
    return made


KINDS: dict[str, Maker] = {
    "images": images,
    "objects": objects,
    "labels": labels,
    "values": values,
    "pixels": pixels,
    "slices": slices,
    "counts": counts,
}


SLOW = ("labels", "values", "pixels", "counts")
EVERY = [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in KINDS]


@pytest.mark.parametrize("kind", EVERY)
def test_equal_groups_are_named_in_at_most_a_twentieth_of_test_sets(kind: str) -> None:
    named = sum(bool(find_weak(KINDS[kind](np.random.default_rng(seed)))) for seed in range(OFTEN))
    chance = OFTEN * ALPHA
    assert named <= chance + 3 * (chance * (1 - ALPHA)) ** 0.5, f"{named} of {OFTEN}"
    assert named >= 1, "a test that never names anything is no test"


@pytest.mark.parametrize("kind", KINDS)
def test_a_worse_group_is_found(kind: str) -> None:
    worst = 0
    for seed in range(20):
        made = KINDS[kind](np.random.default_rng(seed), 0.5)
        weak = find_weak(made)
        worst += bool(weak) and made.names[weak[0][0]] in ("c", "light\n2")
    assert worst >= 14


def test_the_same_p_values_each_time_and_nothing_from_nothing() -> None:
    made = images(np.random.default_rng(0), 0.5)
    assert find_weak(made) == find_weak(made) != []
    assert find_weak(made, least=1000) == []
    assert class_units(pd.DataFrame({"label": [0], "score": [1.0]}), pd.DataFrame()) is None
    assert class_units(pd.DataFrame({"score": [1.0]}), NAMES) is None
    assert slice_units(np.array([1.0, 0.5]), []) is None
    assert slice_units(np.array([np.nan]), [("a", pd.Categorical([1]))]) is None
    every = units(["a", "b"], np.ones(10), np.arange(10) % 2, np.arange(10))
    assert find_weak(every) == []  # no differences at all
    none = units(["a", "b"], np.ones(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert find_weak(none) == []


def test_p_values_are_those_of_every_assignment() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    made = units(["a", "b"], values, np.array([0, 0, 0, 1, 1, 1, 1, 1]), np.arange(8))
    [(group, p)] = find_weak(made)
    assert group == 0
    # One of 56 assignments is as bad for `a`; none is as bad for `b`, whose share is then 5 of 8.
    assert p == pytest.approx(1 / 56, abs=0.013)
