"""The learning rate range test: a short training under a rising rate, and the rate read from its losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FIRST, LAST, STEPS = 1e-7, 10.0, 100
# Chosen on 45 tests of networks and optimizers whose good rates were known (docs/tuning.md): no suggestion was a bad
# one. With fastai's 0.98 forward alone, no step left out and no bound 21 were: that mean lags, and begins with noise.
SMOOTHING = 0.9
SKIPPED = 10
BELOW_LEAST = 5.0


@dataclass(frozen=True)
class RangeTest:
    """Losses under a rising learning rate.

    Attributes:
        rates: ascending, one per step that was taken.
        losses: of each step's batch, before the step.
    """

    rates: list[float]
    losses: list[float]


def range_test(
    step: Callable[[float], float], first: float = FIRST, last: float = LAST, steps: int = STEPS
) -> RangeTest:
    """Raise the learning rate by the same factor at each step (Smith 2017, section 3.3; the ramp is fastai's).

    It ends early when the loss is not a number any more, or its mean is four times its least and above where it began.

    Args:
        step: takes a training step at a rate and returns the loss of its batch.
        first: rate of the first step.
        last: rate of the last one.
        steps: how many.
    """
    test = RangeTest([], [])
    for index in range(steps):
        rate = first * (last / first) ** (index / (steps - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            break
        test.rates.append(rate)
        test.losses.append(loss)
        means = smoothed(test.losses)
        if means[-1] > max(means[0], 4 * means.min()):
            break
    return test


def smoothed(losses: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exponential means of the losses so far, corrected for their start (Kingma and Ba 2015, section 3)."""
    return pd.Series(losses, dtype=float).ewm(alpha=1 - SMOOTHING, adjust=True).mean().to_numpy()


def suggested_rate(test: RangeTest) -> float | None:
    """Return the rate at which the loss falls most steeply, but at most a fifth of that at which it is least.

    The first is fastai's rule `steep`, the slope being that over the logarithm of the rate, here of losses smoothed
    forward and then backward, which leaves no lag. The second keeps it away from the edge: the loss answers some steps
    late, and with a slow optimizer it is steepest next to the last good rate. Its precision is two digits.

    Returns:
        None if the loss never falls.
    """
    if len(test.rates) < SKIPPED + 3:
        return None
    means = smoothed(test.losses)
    end = SKIPPED + int(means[SKIPPED:].argmin()) + 1  # what comes after would flow back
    curve = smoothed(means[:end][::-1])[::-1]
    least = SKIPPED + int(curve[SKIPPED:].argmin())
    if least == SKIPPED:
        return None
    slopes = np.gradient(curve, np.log(test.rates[:end]))[SKIPPED : least + 1]
    steepest = test.rates[SKIPPED + int(slopes.argmin())]
    return float(f"{min(steepest, test.rates[least] / BELOW_LEAST):.2g}")
