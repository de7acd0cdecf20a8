"""A few vectors near which all others are: greedy k-centre (Sener and Savarese 2018; PatchCore, algorithm 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32

PROJECTED = 128  # numbers to which vectors are reduced for their distances (Johnson and Lindenstrauss 1984)


def coreset(vectors: FLOAT32, count: int, seed: int) -> NDArray[np.int64]:
    """Return the places of `count` vectors: each next one is farthest from those before it.

    The first is the nearest one to the mean.

    Args:
        vectors: N x C.
        count: at most N.
        seed: of the random projection.
    """
    points = _projected(vectors, seed)
    squares = np.einsum("ij,ij->i", points, points)
    own = int(((points - points.mean(0)) ** 2).sum(1).argmin())
    apart = np.full(len(points), np.inf, np.float32)  # squared, from the nearest chosen one
    chosen = np.empty(count, np.int64)
    for place in range(count):
        chosen[place] = own
        distances = squares + squares[own] - 2 * (points @ points[own])
        np.minimum(apart, np.maximum(distances, 0), out=apart)
        apart[own] = -1  # is never chosen again
        own = int(apart.argmax())
    return chosen


def _projected(vectors: FLOAT32, seed: int) -> FLOAT32:
    """N x C -> N x at most 128, with nearly the same distances."""
    channels = vectors.shape[1]
    if channels <= PROJECTED:
        return vectors
    random = np.random.Generator(np.random.Philox(key=[seed, 3]))
    directions = random.standard_normal((channels, PROJECTED), np.float32) / np.float32(PROJECTED**0.5)
    projected: FLOAT32 = vectors @ directions
    return projected
