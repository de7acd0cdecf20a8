"""The size of a batch: how large it may be, and how fast some sizes are."""

from __future__ import annotations

import functools

import torch

from sightline.labs.tuning.memory import SHARE, available_bytes, largest_fitting, measure_batch, state_bytes
from sightline.labs.tuning.speed import WARM_UP, Burst, least_times
from sightline.labs.tuning.subject import Subject
from sightline.labs.tuning.trial import Trial
from sightline.system.errors import UserError
from sightline.training.hardware import Numerics

LEFT_OVER = 0.1  # of the largest batch that fits an accelerator: memory is fragmented differently each time


def largest_batch(subject: Subject) -> tuple[int, str]:
    """Return the largest batch that this machine can train with, at most all samples, and the figures behind it.

    On an accelerator sizes are tried. On the CPU they are reckoned from what autograd keeps of small ones, in 32 bits:
    a process that takes too much there is killed.

    Raises:
        UserError: not even one image fits.
    """
    trial = subject.trial(subject.now.channels_last)
    if subject.device.type == "cuda":
        largest = _largest_tried(subject, trial)
        told = f"up to {largest:,} fit"
    else:
        trial.step([subject.batch(2)], "32")
        state = state_bytes(trial.optimizer)
        need = measure_batch(trial.task, lambda size: trial.loss(subject.batch(size), "32"), state, (2, 4))
        limit = int(SHARE * available_bytes())
        largest = min(subject.samples, need.largest(limit))
        told = f"up to {largest:,} fit: {need.per_sample / 2**20:.2g} MiB each, {limit / 2**30:.2g} GiB to use"
    if largest == 0:
        size = subject.config.input.size
        raise UserError(f"input.size: {size}: not even one image fits into this machine's memory; lower it")
    return largest, told


def _largest_tried(subject: Subject, trial: Trial) -> int:
    def fits(size: int) -> bool:
        try:
            trial.step([subject.batch(size)], subject.now.precision)
            fitted = True
        except torch.OutOfMemoryError:
            fitted = False
        trial.optimizer.zero_grad()
        torch.accelerator.empty_cache()  # after the handler, which holds what was on its way
        return fitted

    largest = largest_fitting(fits, subject.config.trainer.batch_size, subject.samples)
    return largest if largest == subject.samples else int(largest * (1 - LEFT_OVER))


def batch_speeds(subject: Subject, numerics: Numerics, size: int, largest: int, seconds: float) -> dict[int, float]:
    """Return images per second of a few sizes of batch, without a loader.

    Args:
        subject: the model.
        numerics: precision and layout of the steps.
        size: that is measured in any case; the others are half of it and two, four and eight times as much.
        largest: that may be tried.
        seconds: for the timing; sizes whose first runs would take longer are left out.
    """
    trial = subject.trial(numerics.channels_last)

    def run(number: int) -> Burst:
        return Burst(functools.partial(trial.step, [subject.batch(number)], numerics.precision), subject.device)

    first = run(size)
    each = min(first(), first()) / size
    sizes, planned = {size, min(size, max(2, size // 2))}, 0.0  # batch normalisation needs two
    for number in (2 * size, 4 * size, 8 * size):
        planned += (WARM_UP + 1) * number * each
        if number <= largest and planned <= seconds:
            sizes.add(number)
    times = least_times({number: run(number) for number in sorted(sizes)}, seconds)
    return {number: number / taken for number, taken in times.items()}
