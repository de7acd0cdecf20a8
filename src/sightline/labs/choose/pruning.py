"""Which training is not worth going on with: asynchronous successive halving on its curve.

Li et al. (2020), A System for Massively Parallel Hyperparameter Tuning, in the form that stops trainings instead of
promoting them: at a rung a training goes on if it is in the better part of all that have come to that rung. Rungs are
shares of a training, not epochs, as schedules that end with the last epoch are alike at the same share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

RUNGS = (1 / 3, 2 / 3)
PART = 1 / 2  # of the trainings at a rung that go on
FEWEST = 3  # other trainings at a rung, below which all go on


def at_rung(scores: Sequence[float], epochs: int, rung: float) -> float | None:
    """Return the best score until a rung, None if the training has not come there, or has not that many epochs.

    Args:
        scores: of the epochs done, more is better.
        epochs: of the whole training.
        rung: share of the training.
    """
    needed = math.ceil(rung * epochs)
    return max(scores[:needed]) if 1 <= needed < epochs and len(scores) >= needed else None


def stopped_at(scores: Sequence[float], epochs: int, others: Mapping[str, tuple[Sequence[float], int]]) -> float | None:
    """Return the rung at which a training is to be stopped, None if it goes on.

    Args:
        scores: of the epochs done, more is better.
        epochs: of the whole training.
        others: scores and epochs of other trainings of the search, by key; those that were stopped count too.
    """
    for rung in RUNGS:
        own = at_rung(scores, epochs, rung)
        if own is None:
            continue
        known = [value for one in others.values() if (value := at_rung(*one, rung)) is not None]
        better = sum(value > own for value in known)
        if len(known) >= FEWEST and better >= math.ceil(PART * (len(known) + 1)):
            return rung
    return None
