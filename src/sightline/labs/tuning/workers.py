"""Loader processes: how few of them keep the network busy."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightline.labs.tuning.findings import Finding
from sightline.labs.tuning.speed import least_times, least_within, wait_for
from sightline.labs.tuning.subject import Subject
from sightline.labs.tuning.trial import Trial
from sightline.system.processors import usable_processors
from sightline.training.hardware import Numerics, Precision

MOST = 8
LONGEST_PASS = 2.0  # seconds


def tune_workers(subject: Subject, numerics: Numerics, size: int, seconds: float) -> Finding:
    """Time the whole loop, loader and steps, with 0, 1, 2, ... loader processes; the fewest within 5 % of the best.

    Args:
        subject: the model; its augmentation is part of the loader's work.
        numerics: precision and layout of the steps.
        size: of the batch.
        seconds: for the timing.
    """
    counts = range(min(MOST, usable_processors()) + 1)
    trial = subject.trial(numerics.channels_last)
    alone = loop(subject, trial, numerics.precision, size, workers=0, batches=3)
    each = size * min(alone(), alone())
    # Three passes at least with each number, of which two are warm-up.
    batches = max(3, round(min(LONGEST_PASS, seconds / (4 * len(counts))) / each))
    runs = {workers: loop(subject, trial, numerics.precision, size, workers, batches) for workers in counts}
    now = subject.config.trainer.num_workers
    speeds = _speeds(runs, 0.6 * seconds)
    chosen = least_within(speeds)
    if now in runs and chosen != now:
        # A change must show twice: other work may have slowed one of the two all the while.
        again = _speeds({workers: runs[workers] for workers in (now, chosen)}, 0.4 * seconds)
        speeds |= {workers: max(speed, speeds[workers]) for workers, speed in again.items()}
        chosen = least_within(speeds)
    told = ", ".join(f"{speed:,.0f} with {workers}" for workers, speed in speeds.items())
    return Finding("trainer.num_workers", now, chosen, f"images/s: {told}")


def _speeds(runs: dict[int, Callable[[], float]], seconds: float) -> dict[int, float]:
    """Return images per second with each number of processes."""
    return {workers: 1 / taken for workers, taken in least_times(runs, seconds).items()}


def loop(
    subject: Subject, trial: Trial, precision: Precision, size: int, workers: int, batches: int
) -> Callable[[], float]:
    """Return a run of the whole loop over the first batches of an epoch, which returns the seconds per image.

    Args:
        subject: whose data it is.
        trial: what learns.
        precision: of the steps.
        size: of a batch.
        workers: loader processes; they live as long as the run.
        batches: how many.
    """
    loader = subject.loader(size, workers, batches)

    def run() -> float:
        started, images = time.perf_counter(), 0
        for batch in loader:
            trial.step([batch], precision)
            images += len(batch.images)
        wait_for(subject.device)
        return (time.perf_counter() - started) / images

    return run
