"""Mixes of styles: weights by name in, weights that sum to 1 out, and what a mix is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightline.data.structures import FLOAT32
from sightline.system.errors import UserError, nearest

_LEAST = 0.005  # that is named: less than a percent when rounded


def mix_of(styles: Sequence[str], weights: Mapping[str, float]) -> FLOAT32:
    """Return 1 x K weights that sum to 1 of weights by style, of any sum above 0.

    Raises:
        UserError: a style that the model does not have, or weights that cannot be a mix.
    """
    import numpy as np

    if not styles:
        raise UserError("style: this model has no styles; leave it out")
    for name, weight in weights.items():
        if name not in styles:
            raise UserError(f"style: {name}: no such style{nearest(name, styles)}; there are {', '.join(styles)}")
        if not 0 <= weight < float("inf"):
            raise UserError(f"style: {name}={weight:g}: must be a number of 0 or more")
    total = sum(weights.values())
    if not 0 < total < float("inf"):
        raise UserError("style: all weights are 0; give one a weight above 0")
    return np.array([[weights.get(name, 0.0) / total for name in styles]], np.float32)


def mix_name(styles: Sequence[str], mix: Sequence[float]) -> str:
    """Return what a mix is called, as a part of a file's name: `sea`, or `sea-30+night-70` in percent."""
    parts = [(name, weight) for name, weight in zip(styles, mix, strict=True) if weight >= _LEAST]
    if len(parts) == 1:
        return parts[0][0]
    return "+".join(f"{name}-{100 * weight:.0f}" for name, weight in parts)
