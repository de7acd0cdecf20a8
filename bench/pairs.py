"""Runs that are compared take turns on one machine, so that whatever else it does falls on all of them.

Told are the median and the quartiles of the ratios within a round, not of times, which change with the machine.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Run = Callable[[], float]  # does something once and returns the seconds that it took
Name = TypeVar("Name", bound=str)


def timed(work: Callable[[], object], of: int = 1) -> Run:
    """Return a run that times `work`, by the `of` things it does; garbage is collected before, and not timed."""

    def run() -> float:
        gc.collect()
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) / of

    return run


def take_turns(runs: Mapping[Name, Run], rounds: int, warm_up: int = 1) -> dict[Name, list[float]]:
    """Return the seconds of each run in each round; every second round goes through them backwards.

    Args:
        runs: by name.
        rounds: how many count.
        warm_up: rounds before, which do not count: they fill caches, and load what is loaded late.
    """
    taken: dict[Name, list[float]] = {name: [] for name in runs}
    for turn in range(-warm_up, rounds):
        order = list(runs) if turn % 2 == 0 else list(runs)[::-1]
        for name in order:
            seconds = runs[name]()
            if turn >= 0:
                taken[name].append(seconds)
    return taken


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some values."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles; the quartiles of a single value are that value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [one / other for one, other in zip(above, below, strict=True)]
