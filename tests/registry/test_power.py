"""The smallest difference that a test split shows is found by the gate's paired test in four of five cases."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from sightline.config.evaluation import Gate
from sightline.data.structures import LabelMap
from sightline.registry.gate import decide
from sightline.registry.power import POWER, images_needed, smallest_difference
from sightline.tasks.metrics.by_kind import metrics_of

CLASSES = ("a", "b")
PAIRS = 250


def pair(random: np.random.Generator, count: int, disagreement: float, gain: float) -> tuple[pd.DataFrame, ...]:
    """Rows of two models of which exactly one is right on a share of the images."""
    drawn = random.random(count)
    new_alone = drawn < (disagreement + gain) / 2
    old_alone = ~new_alone & (drawn < disagreement)
    both = random.random(count) < 0.9
    label = np.arange(count) % 2

    def rows(right: np.ndarray) -> pd.DataFrame:
        predicted = np.where(right, label, 1 - label)
        ids = [f"{place:05d}" for place in range(count)]
        return pd.DataFrame({"id": ids, "label": label, "predicted": predicted, "rank": (~right).astype(int)})

    return rows(old_alone | (both & ~new_alone)), rows(new_alone | (both & ~old_alone))


@pytest.mark.parametrize(("count", "disagreement"), [(240, 0.1), (600, 0.06)])
def test_the_gate_finds_the_smallest_difference_in_four_of_five_cases(count: int, disagreement: float) -> None:
    random = np.random.Generator(np.random.Philox(key=[count, 0]))
    found = partial(metrics_of, "classification", labels=LabelMap(CLASSES, CLASSES))
    rules, shares = Gate(max_class_drop=1.0), {}
    least = smallest_difference(disagreement, count, 0.95)
    for gain in (least, least / 2):
        promoted = 0
        for _ in range(PAIRS):
            old, new = pair(random, count, disagreement, gain)
            decision = decide(old, new, "accuracy", lambda rows: found(rows=rows), rules, 400, 0.95)
            promoted += decision.outcome == "promote"
        shares[gain] = promoted / PAIRS
    deviation = (POWER * (1 - POWER) / PAIRS) ** 0.5
    assert abs(shares[least] - POWER) < 3 * deviation  # the same in simulation, within its noise
    assert shares[least / 2] < 0.45


@pytest.mark.parametrize("variance", [0.002, 0.05, 0.3])
def test_the_images_needed_show_the_difference_and_fewer_do_not(variance: float) -> None:
    needed = images_needed(variance, 0.01, 0.95)
    assert smallest_difference(variance, needed, 0.95) == pytest.approx(0.01, rel=0.02)
    assert smallest_difference(variance, needed // 2, 0.95) > 0.0135
