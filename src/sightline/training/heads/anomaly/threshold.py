"""Where an image begins to be called defective: scores of good images that were not learned from in, a score out."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from sightline.data.structures import FLOAT32


@dataclass(frozen=True)
class Threshold:
    """A score above which an image counts as defective.

    Attributes:
        value: the score.
        images: that it was taken from.
        expected: share of further good images that will be above it, on average over draws of these images.
    """

    value: float
    images: int
    expected: float


def threshold_of(scores: FLOAT32, false_alarms: float) -> Threshold:
    """Return the smallest of N scores that a further good image exceeds with at most this probability.

    Of N + 1 exchangeable scores the last is above the k-th of the others with a probability of at most
    (N + 1 - k) / (N + 1), regardless of their distribution (V. Vovk et al. 2005, Algorithmic Learning in a Random
    World, section 2.2). With so few images that none suffices it is the largest.
    """
    count = len(scores)
    rank = min(count, ceil((count + 1) * (1 - false_alarms) - 1e-9))
    return Threshold(float(np.sort(scores)[rank - 1]), count, (count + 1 - rank) / (count + 1))
