"""From the map of a layer to one vector per image, and what is done to such vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sightline.data.structures import FLOAT32

Pooling = Literal["avg", "max", "flatten"]
Normalisation = Literal["l2", "signed_sqrt"]


def pooled(output: Tensor, pooling: Pooling, pyramid: Sequence[int] = (1,)) -> Tensor:
    """Return N x D float32 from what a layer puts out; a copy, never a view.

    The copy matters: the next layer may work in place on what it is given.

    Args:
        output: N x C x S x S or N x S x S x C (maps), N x T x C (tokens) or N x D.
        pooling: `avg` and `max` leave a value per channel, `flatten` all values, channels first where the output is.
        pyramid: cells along each side of a map that are pooled separately, level by level, so D is C times the sum of
            their squares: spatial pyramid pooling (Lazebnik et al. 2006; He et al. 2014). Of tokens `(1,)` alone.
    """
    values = output.detach().float()
    if values.ndim <= 2 or pooling == "flatten":
        return values.reshape(len(values), -1).clone()
    maps = values.mT[..., None] if values.ndim == 3 else channels_first(values)
    return torch.cat([_in_cells(maps, pooling, cells) for cells in pyramid], 1)


def map_shape(output: Tensor, pooling: Pooling, pyramid: Sequence[int]) -> tuple[int, int, int] | None:
    """Return channels, height and width of the map that `pooled` leaves of a layer's output; None: it leaves none."""
    if output.ndim != 4:
        return None
    channels, height, width = channels_first(output).shape[1:]
    if pooling != "flatten":
        return (channels, pyramid[0], pyramid[0]) if len(pyramid) == 1 and pyramid[0] > 1 else None
    return (channels, height, width) if output.shape[1] == channels else None  # else channels come last


def channels_first(maps: Tensor) -> Tensor:
    """Return N x C x S x S from that or from N x S x S x C, as transformers with windows have it.

    Images are square, so the sides that are equal are the places.
    """
    _, first, second, third = maps.shape
    return maps.permute(0, 3, 1, 2) if first == second != third else maps


def _in_cells(maps: Tensor, pooling: Pooling, cells: int) -> Tensor:
    """N x C x H x W -> N x (C cells cells); channels first."""
    match pooling:
        case "avg":
            return functional.adaptive_avg_pool2d(maps, cells).flatten(1)
        case "max":
            if cells == 1:  # up to 20 times faster
                return maps.amax((2, 3))
            return functional.adaptive_max_pool2d(maps, cells).flatten(1)
        case "flatten":
            raise AssertionError("has no cells")
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
