"""The difference of a metric between two models on the same samples, with the interval of a paired bootstrap.

Samples are drawn with replacement, and the metric of both models is computed on each draw (B. Efron and R. J.
Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16). The gate compares on test samples, a ladder on
validation.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, stdtrit

from sightline.tasks.metrics.by_kind import value_of
from sightline.tasks.metrics.resampling import Metric, resampled_counts

_LEAST = 1e-12  # a difference of a metric that is only rounding


def gain_interval(
    champion: Metric, challenger: Metric, count: int, resamples: int, confidence: float, seed: int = 0
) -> tuple[float, float, float]:
    """Return challenger minus champion on N samples, and the percentile interval of it; NaN where unmeasured.

    Both models are measured on the same draws. Draws in which a metric has nothing to measure do not count.
    """
    gain = value_of(challenger, count) - value_of(champion, count)
    draws = np.concatenate([challenger(own) - champion(own) for own in resampled_counts(count, resamples, seed)])
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return gain, float("nan"), float("nan")
    tail = expanded_tail((1 - confidence) / 2, count)
    low, high = np.quantile(np.where(np.abs(draws) < _LEAST, 0.0, draws), [tail, 1 - tail])
    return (0.0 if abs(gain) < _LEAST else gain), float(low), float(high)


def expanded_tail(tail: float, count: int) -> float:
    """Return the share of draws to cut off at either end, less than `tail` where N samples are few.

    Draws vary less than new samples would, by (N - 1) / N, and their quantiles are as if the variance were known
    (T. Hesterberg 2015, What Teachers Should Know About the Bootstrap, section 4.1: the expanded percentile interval).
    """
    if count < 2:
        return tail
    return float(ndtr(stdtrit(count - 1, tail) * (count / (count - 1)) ** 0.5))
