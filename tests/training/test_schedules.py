"""Learning-rate factors at the places that define them."""

from itertools import pairwise

import pytest

from sightline.config.optimizers import Constant, Cosine, Exponential, OneCycle, Step
from sightline.training.optimizers import learning_rate_factor


def test_constant_stays() -> None:
    factor = learning_rate_factor(Constant(name="constant"), 10)
    assert {factor(step) for step in range(10)} == {1.0}


def test_cosine_warms_up_then_falls_to_the_last_value() -> None:
    factor = learning_rate_factor(Cosine(name="cosine", warmup=0.2, final=0.1), 100)
    assert factor(0) == pytest.approx(1 / 20)
    assert factor(19) == factor(20) == pytest.approx(1.0)
    assert factor(99) == pytest.approx(0.1)
    values = [factor(step) for step in range(20, 100)]
    assert values == sorted(values, reverse=True)


def test_exponential_falls_by_the_same_factor() -> None:
    factor = learning_rate_factor(Exponential(name="exponential", final=0.01), 11)
    values = [factor(step) for step in range(11)]
    assert values[0] == 1.0
    assert values[-1] == pytest.approx(0.01)
    assert [b / a for a, b in pairwise(values)] == pytest.approx([0.01**0.1] * 10)


def test_step_falls_at_the_milestones() -> None:
    factor = learning_rate_factor(Step(name="step", milestones=[0.5, 0.75], factor=0.1), 8)
    assert [factor(step) for step in range(8)] == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", ["constant", "exponential", "step", "cosine"])
def test_every_schedule_warms_up(name: str) -> None:
    config = {"constant": Constant, "exponential": Exponential, "step": Step, "cosine": Cosine}[name]
    factor = learning_rate_factor(config.model_validate({"name": name, "warmup": 0.2}), 100)
    assert [factor(step) for step in range(20)] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert factor(20) == pytest.approx(1.0)


def test_one_cycle_rises_and_falls() -> None:
    factor = learning_rate_factor(OneCycle(name="one_cycle", warmup=0.3, start=0.04), 100)
    values = [factor(step) for step in range(100)]
    assert values[0] == pytest.approx(0.04)
    assert max(values) == pytest.approx(1.0)
    assert values.index(max(values)) in (29, 30)
    assert values[-1] == pytest.approx(0.04e-4)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_trainings_have_a_rate(steps: int) -> None:
    for config in (Cosine(name="cosine", warmup=0.5), OneCycle(name="one_cycle")):
        factor = learning_rate_factor(config, steps)
        assert all(0 <= factor(step) <= 1 for step in range(steps + 1))
