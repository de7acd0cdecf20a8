"""Which differences the gate can find: variance of a paired difference in, the smallest difference and images out.

The gate promotes where the lower end of a paired interval is above 0 (`gate.gain_interval`). A metric whose paired
difference between two models has the variance v per image has the standard error sqrt(v / N) on N images, so a true
difference of (z + t) sqrt(v / N) is found with the given power; z is the quantile of that power, t that of the interval
(J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 2).
"""

from __future__ import annotations

import math

from scipy.special import ndtri, stdtrit

POWER = 0.8


def smallest_difference(variance: float, count: int, confidence: float, power: float = POWER) -> float:
    """Return the true difference that the gate finds on N test images with this power, in the unit of the metric.

    Args:
        variance: of the paired difference, per image; of accuracy the share of images on which one model is right.
        count: N, at least 2.
        confidence: of the gate's interval.
        power: share of such differences that are found.
    """
    return float(_quantiles(count, confidence, power) * math.sqrt(variance / count))


def images_needed(variance: float, difference: float, confidence: float, power: float = POWER) -> int:
    """Return the number of test images on which the gate finds a true difference with this power."""
    count = variance * _quantiles(10**6, confidence, power) ** 2 / difference**2
    return max(2, math.ceil(variance * _quantiles(max(2, round(count)), confidence, power) ** 2 / difference**2))


def _quantiles(count: int, confidence: float, power: float) -> float:
    return float(stdtrit(count - 1, (1 + confidence) / 2) + ndtri(power))
