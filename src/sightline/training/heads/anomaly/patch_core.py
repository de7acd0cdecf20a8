"""PatchCore (K. Roth et al. 2022, Towards Total Recall in Industrial Anomaly Detection, arXiv:2106.08265)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from sightline.data.structures import FLOAT32
from sightline.training.heads.anomaly.coreset import coreset
from sightline.training.heads.anomaly.scaling import Scaling, scaling_of


class PatchMemory:
    """Features of places of good images.

    Args:
        memory: M x C, scaled.
        scaling: of the features that come.
        neighbours: in memory, by which the score of an image is weighted; 1: it is not.
    """

    def __init__(self, memory: FLOAT32, scaling: Scaling, neighbours: int) -> None:
        self.memory, self.scaling, self.neighbours = memory, scaling, min(neighbours, len(memory))

    def score(self, patches: FLOAT32) -> tuple[FLOAT32, FLOAT32]:
        """N x P x C -> scores of N images, and of N x P places: the distance to the nearest in memory."""
        count, places, channels = patches.shape
        points = self.scaling(patches.reshape(-1, channels))
        found, nearest = self._search.kneighbors(points, 1)
        distances = found.reshape(count, places).astype(np.float32)
        worst = distances.argmax(1)
        rows = np.arange(count)
        highest = distances[rows, worst]
        if self.neighbours == 1:
            return highest, distances
        chosen = points.reshape(count, places, channels)[rows, worst]
        return highest * self._weights(chosen, nearest.reshape(count, places)[rows, worst], highest), distances

    def _weights(self, points: FLOAT32, nearest: Any, distances: FLOAT32) -> FLOAT32:
        """Return the weight of each image's score: more where the nearest place in memory is itself a rare one.

        Equation 7: 1 - exp(d) / (sum of exp(distance) over the places in memory around the nearest one).
        """
        around = self._search.kneighbors(self.memory[nearest], self.neighbours, return_distance=False)
        apart = np.linalg.norm(points[:, None] - self.memory[around], axis=2)
        weights: FLOAT32 = (1 - np.exp(distances - logsumexp(apart, axis=1))).astype(np.float32)
        return weights.clip(0, 1)

    @cached_property
    def _search(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(algorithm="brute").fit(self.memory)

    def tensors(self) -> dict[str, Any]:
        """Return what makes it again, with `from_tensors`."""
        return {"memory": self.memory, "neighbours": np.array([self.neighbours]), **self.scaling.tensors()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> PatchMemory:
        """Make it again."""
        return cls(tensors["memory"], Scaling.from_tensors(tensors), int(tensors["neighbours"][0]))


def memory_of(candidates: FLOAT32, share: float, neighbours: int, standardize: bool, seed: int) -> PatchMemory:
    """Choose a share of N x C candidates, at least one."""
    scaling = scaling_of(candidates) if standardize else Scaling.none(candidates.shape[1])
    points = scaling(candidates)
    chosen = coreset(points, max(1, round(share * len(points))), seed)
    return PatchMemory(np.ascontiguousarray(points[np.sort(chosen)]), scaling, neighbours)
