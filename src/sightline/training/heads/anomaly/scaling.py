"""Features of places brought to mean 0 and deviation 1, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32


@dataclass(frozen=True)
class Scaling:
    """Subtracts C means and divides by C deviations."""

    mean: FLOAT32
    deviation: FLOAT32

    def __call__(self, values: FLOAT32) -> FLOAT32:
        """... x C -> the same, scaled."""
        scaled: FLOAT32 = (values - self.mean) / self.deviation
        return scaled

    @classmethod
    def none(cls, channels: int) -> Scaling:
        """Return the one that changes nothing."""
        return cls(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    @classmethod
    def of_sums(cls, count: int, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> Scaling:
        """Return that of `count` values of C channels, by their sums and the sums of their squares."""
        mean = sums / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return cls(mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32))

    def tensors(self) -> dict[str, Any]:
        """Return what makes it again, with `from_tensors`."""
        return {"mean": self.mean, "deviation": self.deviation}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> Scaling:
        """Make it again."""
        return cls(tensors["mean"], tensors["deviation"])


def scaling_of(values: FLOAT32) -> Scaling:
    """Return the scaling of N x C values."""
    wide = values.astype(np.float64)
    return Scaling.of_sums(len(wide), wide.sum(0), (wide**2).sum(0))
