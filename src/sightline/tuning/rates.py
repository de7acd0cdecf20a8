"""The learning rate range test: a short training under a rising rate, and the rate read from its losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FIRST, LAST, STEPS = 1e-7, 10.0, 100
# With 0.95, ten steps left out and a third as the bound, no rate out of 30 tests (docs/tuning.md) was a bad one; with
# fastai's 0.98 and neither of the others 12 were: the mean lags behind the loss, and its first values are noise.
SMOOTHING = 0.8
SKIPPED = 10
MARGIN = 3.0


@dataclass(frozen=True)
class RangeTest:
    """Losses under a rising learning rate.

    Attributes:
        rates: ascending, one per step that was taken.
        losses: of each step's batch, before the step.
        smoothed: their exponential mean, corrected for its start.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]


def range_test(
    step: Callable[[float], float], first: float = FIRST, last: float = LAST, steps: int = STEPS
) -> RangeTest:
    """Raise the learning rate by the same factor at each step (Smith 2017, section 3.3; the ramp is fastai's).

    It ends early when the loss is no number any more, or is four times its least and above where it began.

    Args:
        step: takes a training step at a rate and returns the loss of its batch.
        first: rate of the first step.
        last: rate of the last one.
        steps: how many.
    """
    test = RangeTest([], [], [])
    mean = 0.0
    for index in range(steps):
        rate = first * (last / first) ** (index / (steps - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (index + 1))  # Kingma and Ba 2015, section 3
        for values, value in ((test.rates, rate), (test.losses, loss), (test.smoothed, smooth)):
            values.append(value)
        if smooth > max(test.smoothed[0], 4 * min(test.smoothed)):
            break
    return test


def suggested_rate(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls most steeply, but at most a third of that at which it is least.

    The first is the rule of fastai (`steep`), on the slope over the logarithm of the rate. The second keeps it away
    from the edge: the loss answers some steps late, and the steepest place of a slow optimizer is next to the last good
    rate. Two digits are all that the test can tell.

    Args:
        rates: ascending.
        smoothed: the smoothed loss at each.

    Returns:
        None where the loss never falls.
    """
    if len(rates) < SKIPPED + 3:
        return None
    logarithms, losses = np.log(rates), np.asarray(smoothed)
    least = SKIPPED + int(losses[SKIPPED:].argmin())
    slopes = np.gradient(losses, logarithms)[SKIPPED : least + 1]
    if least == SKIPPED or slopes.min() >= 0:
        return None
    steepest = rates[SKIPPED + int(slopes.argmin())]
    return float(f"{min(steepest, rates[least] / MARGIN):.2g}")
