"""The learning rate: a range test with the model's optimizer, batches and precision."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import torch

from sightline.config.optimizers import Evolution, Hebb, NaturalEvolution, Rosenblatt
from sightline.data.cache import counted
from sightline.labs.tuning.findings import Finding
from sightline.labs.tuning.picture import draw_range_test
from sightline.labs.tuning.rates import STEPS, RangeTest, range_test, smoothed, suggested_rate
from sightline.labs.tuning.subject import Subject
from sightline.system.files import new_file
from sightline.training.hardware import Numerics

NEAR = 2.0  # a suggestion that is not this many times more or less is none: seeds differ by as much


def tune_learning_rate(subject: Subject, numerics: Numerics, size: int, output: Path) -> Finding:
    """Run the range test and read a rate from it.

    Args:
        subject: the model.
        numerics: precision and layout of the steps.
        size: of the batch.
        output: folder for learning_rate.png and learning_rate.csv.
    """
    optimizer = subject.config.optimizer
    assert not isinstance(optimizer, Evolution | NaturalEvolution)  # refused before
    now = optimizer.lr
    if isinstance(optimizer, Hebb | Rosenblatt):
        return Finding("optimizer.lr", now, now, f"{optimizer.name} does not use gradient descent: not searched")
    test = measure(subject, numerics, size)
    suggested = suggested_rate(test)
    draw_range_test(test, now, suggested, output / "learning_rate.png")
    with new_file(output / "learning_rate.csv") as work:
        table = {"lr": test.rates, "loss": test.losses, "smoothed": smoothed(test.losses)}
        pd.DataFrame(table).to_csv(work, index=False, float_format="%.6g")
    if suggested is None:
        return Finding("optimizer.lr", now, now, f"the loss does not fall at any rate; see {output}")
    if now / NEAR <= suggested <= now * NEAR:
        return Finding(
            "optimizer.lr", now, now, f"the test suggests {suggested:g}, which is within a factor of {NEAR:g}"
        )
    return Finding("optimizer.lr", now, suggested, f"where the loss falls fastest: {output}/learning_rate.png")


def measure(subject: Subject, numerics: Numerics, size: int) -> RangeTest:
    """Train a copy of the network under a rising rate; the same losses each time on the same kind of machine."""
    torch.manual_seed(subject.seed)  # of dropout
    trial, batches = subject.trial(numerics.channels_last), subject.batches(size)
    with counted(STEPS, "learning rate") as advance:

        def step(rate: float) -> float:
            trial.set_rate(rate)
            own = list(itertools.islice(batches, subject.config.trainer.accumulate))
            advance()
            return float(trial.step(own, numerics.precision))

        return range_test(step)
