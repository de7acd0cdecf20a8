"""Timings in turns, and what is chosen by them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from sightline.system.processors import usable_processors

Key = TypeVar("Key")

WARM_UP = 2  # runs of each
CALM = 5  # runs without news after which a time is clear
NEWS = 0.01  # share by which a least time must fall to count as news
HOPELESS = 2.0  # times the best, after as many runs as
ENOUGH = 3
LEAST_BURST = 0.05  # seconds


class Burst:
    """A run that repeats a step until it is long enough to be timed.

    Args:
        step: a piece of work, which an accelerator may finish later.
        device: to be waited for.
    """

    def __init__(self, step: Callable[[], object], device: torch.device) -> None:
        self.step, self.device = step, device
        self.repeats = 1

    def __call__(self) -> float:
        """Return the mean seconds of a step; infinity where the device's memory does not suffice."""
        started, fits = time.perf_counter(), True
        try:
            for _ in range(self.repeats):
                self.step()
            wait_for(self.device)
        except torch.OutOfMemoryError:
            fits = False
        if not fits:
            torch.accelerator.empty_cache()
            return math.inf
        taken = (time.perf_counter() - started) / self.repeats
        self.repeats = max(1, round(LEAST_BURST / taken))
        return taken


def wait_for(device: torch.device) -> None:
    """Return when the device has finished its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@dataclass
class _Course:
    """How the timing of one run goes: seconds spent on it, its least time, and runs since that last fell."""

    spent: float = 0.0
    least: float = math.inf
    runs: int = 0
    calm: int = 0

    def add(self, taken: float, spent: float) -> None:
        self.calm = 0 if taken < self.least * (1 - NEWS) else self.calm + 1
        self.least = min(self.least, taken)
        self.spent += spent
        self.runs += 1


def least_times(
    runs: Mapping[Key, Callable[[], float]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[Key, float]:
    """Time several runs in turns and return the least time of each.

    Other work on the machine comes and goes, and only ever adds time: hence turns, and the least. Each run warms up
    twice; then it is always the turn of that on which the least time was spent, so that slow ones cost no more than
    fast ones. It ends with the time, or when no least time has fallen by 1 % for five runs; each run has one turn at
    least. One that takes twice as long as the best, three times over, has no more.

    Args:
        runs: each does its work once and returns how long it took, in any unit.
        seconds: for all of it; the warm-up and the first turns may take longer.
        clock: returns seconds.
    """
    end = clock() + seconds
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    courses = {name: _Course() for name in runs}
    while True:
        best = min(course.least for course in courses.values())
        racing = [n for n, c in courses.items() if c.runs < ENOUGH or c.least <= HOPELESS * best]
        name = min(racing, key=lambda n: (courses[n].spent, courses[n].runs))
        if courses[name].runs and (clock() >= end or all(courses[n].calm >= CALM for n in racing)):
            return {name: course.least for name, course in courses.items()}
        started = clock()
        courses[name].add(runs[name](), clock() - started)


def settled(times: Mapping[Key, float], now: Key, rule: Key, margin: float = 0.10) -> Key:
    """Return the setting to use: what is written, or else the rule's choice, unless the fastest gains 10 % over it.

    Args:
        times: of a step with each setting.
        now: the setting that is written.
        rule: the one that `auto` stands for.
        margin: speed to be gained, for which a setting is given up.
    """
    best = min(times, key=lambda key: times[key])
    return next((key for key in (now, rule) if times[key] < (1 + margin) * times[best]), best)


def other_work() -> str | None:
    """Return a warning where other processes kept a quarter of the cores or more busy in the last minute."""
    load, cores = os.getloadavg()[0], usable_processors()
    if load < cores / 4:
        return None
    return f"other work keeps {load:.1f} of {cores} cores busy: timings are unreliable, repeat them on an idle machine"


def least_within(speeds: Mapping[int, float], share: float = 0.05) -> int:
    """Return the smallest number with a speed within `share` of the best."""
    return min(number for number, speed in speeds.items() if speed >= (1 - share) * max(speeds.values()))
