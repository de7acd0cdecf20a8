"""The gate's claims, tried on made-up models: chance promotes 1 in 40, better ones are found, collapsed classes veto.

`python -m bench.gate` tries more of them; docs/gate.md has its table.
"""

from functools import partial

import numpy as np
import pytest

from bench.gate import SETTINGS, classifiers, collapsed, count, drawn, judged
from sightline.config.evaluation import Gate
from sightline.registry.gate import Decision

PAIRS = 600


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_equal_models_are_promoted_by_chance_alone(name: str) -> None:
    """Of 600 pairs 2.5 % are 15, with a deviation of 4: what is asserted is the share of both wrong answers."""
    equal = count(SETTINGS[name], PAIRS, resamples=500)
    assert 0.015 <= equal.extremes <= 0.035, equal
    assert 0.01 <= equal.promoted / PAIRS <= 0.04, equal
    assert 0.01 <= equal.worse / PAIRS <= 0.04, equal


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_better_model_is_found(name: str) -> None:
    better = count(SETTINGS[name], 60, SETTINGS[name].better, resamples=500)
    assert better.worse == 0
    assert better.promoted >= 30, better


def classes(number: int, samples: int, gain: float, pairs: int) -> list[Decision]:
    draw = partial(classifiers, count=number * samples, classes=number, level=1.5, spread=1.0)
    setting = SETTINGS["accuracy"].with_draw(draw)
    return [judged(setting, rows, 500, Gate()) for rows in drawn(setting, pairs, gain)]


@pytest.mark.parametrize(("number", "samples"), [(102, 50), (100, 25)])
def test_better_in_every_class_is_no_reason_for_a_veto(number: int, samples: int) -> None:
    decisions = classes(number, samples, 0.6, 25)
    drops = [any(own.champion - own.challenger > 0.05 for own in one.per_class) for one in decisions]
    assert np.mean(drops) > 0.5, "some class falls by chance in most pairs"
    assert np.mean([one.outcome == "promote" for one in decisions]) >= 0.8


@pytest.mark.parametrize(("number", "samples"), [(102, 50), (100, 25), (10, 40)])
def test_a_class_that_collapses_is_vetoed(number: int, samples: int) -> None:
    draw = partial(collapsed, number=number, samples=samples)
    setting = SETTINGS["accuracy"].with_draw(draw)
    decisions = [judged(setting, rows, 200, Gate()) for rows in drawn(setting, 25, 0.6)]
    vetoed = ["recall of class 0 falls" in one.reason and one.harmful for one in decisions]
    assert np.mean(vetoed) >= 0.8
