"""From the map of a layer to one vector per image, and what is done to such vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
from torch import Tensor

from sightline.structures import FLOAT32

Pooling = Literal["avg", "max", "flatten"]
Normalisation = Literal["l2", "signed_sqrt"]


def pooled(output: Tensor, pooling: Pooling) -> Tensor:
    """Return N x D float32 from a layer's N x C x H x W, N x T x C (tokens) or N x D; a copy, never a view.

    The copy matters: the next layer may work in place on what it is given.

    Args:
        output: of a layer; more than two dimensions are places (H x W, or T) and channels (C).
        pooling: `avg` and `max` leave a value per channel, `flatten` all values, channels first where the output is.
    """
    values = output.detach().float()
    if values.ndim <= 2 or pooling == "flatten":
        return values.reshape(len(values), -1).clone()
    places = tuple(range(2, values.ndim)) if values.ndim > 3 else (1,)
    match pooling:
        case "avg":
            return values.mean(places)
        case "max":
            return values.amax(places)
        case _:
            assert_never(pooling)


def normalised(vectors: FLOAT32, steps: Sequence[Normalisation]) -> FLOAT32:
    """Return N x D vectors, changed step by step.

    `l2` gives each vector length 1, zero vectors stay; `signed_sqrt` is sign(x) sqrt(|x|) (Perronnin et al. 2010).
    """
    for step in steps:
        match step:
            case "l2":
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
            case "signed_sqrt":
                vectors = np.sign(vectors) * np.sqrt(np.abs(vectors))
            case _:
                assert_never(step)
    return vectors.astype(np.float32, copy=False)
