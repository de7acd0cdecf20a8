"""What a network loses in integers: both networks' rows of the same validation samples in, an interval out.

It is the paired bootstrap of the gate (`tasks.metrics.paired`), asked whether the loss is small, not whether it is
there: with an upper end of at most `max_loss`, one that is larger is excluded (a test of non-inferiority; S. Wellek
2010, Testing Statistical Hypotheses of Equivalence and Noninferiority, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from sightline.config.metrics import smaller_is_better
from sightline.tasks.metrics.paired import gain_interval
from sightline.tasks.metrics.resampling import Metric

SHARES = ("accuracy", "top5", "exact_match", "class_accuracy", "localization_accuracy")  # of images that are right


@dataclass(frozen=True)
class Loss:
    """By how much a metric is worse on the same samples; positive is worse, also of errors.

    Attributes:
        value: as measured.
        low, high: of the interval; NaN where the metric has nothing to measure.
    """

    value: float
    low: float
    high: float

    def within(self, bound: float) -> bool:
        """Return whether a larger loss than the bound is excluded."""
        return bool(np.isfinite(self.high) and self.high <= bound)

    @property
    def told(self) -> str:
        """The loss in a few words."""
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    def to_json(self) -> dict[str, float | None]:
        """Return plain values, null for what is not a number."""
        return {name: own if np.isfinite(own) else None for name, own in asdict(self).items()}


def measured_loss(
    original: pd.DataFrame,
    integers: pd.DataFrame,
    metric: str,
    metrics_of: Callable[[pd.DataFrame], Mapping[str, Metric]],
    resamples: int,
    confidence: float,
    tries: int = 1,
) -> Loss:
    """Return what integers lose.

    Args:
        original: rows of a measurement of N samples.
        integers: rows of the same samples, in their order.
        metric: that is lost.
        metrics_of: returns the metrics of rows by name.
        resamples: number of draws.
        confidence: of all tries together.
        tries: from which the first good one will be taken; each has its share of the errors (Bonferroni).
    """
    theirs, ours = (metrics_of(rows)[metric] for rows in (original, integers))
    each = 1 - (1 - confidence) / tries
    gain, low, high = gain_interval(theirs, ours, len(original), resamples, each)
    return Loss(gain, low, high) if smaller_is_better(metric) else Loss(0.0 - gain, 0.0 - high, 0.0 - low)


def too_few(samples: int, metric: str, bound: float) -> str | None:
    """Return why so few samples can show no loss so small; None if they can.

    Where no image of a share changes, the interval has no width. So an image must not count more than the bound.
    """
    if metric not in SHARES or samples * bound >= 1:
        return None
    return (
        f"one of {samples} validation images is {1 / samples:.3f} of {metric}, more than max_loss {bound:g}, so "
        "nothing can be shown; raise max_loss, or validate on more images"
    )
