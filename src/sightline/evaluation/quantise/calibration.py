"""The training images from which the ranges of activations are measured, as the network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.data.store import SplitStore
from sightline.data.structures import UINT8
from sightline.evaluation.predictor import Predictor

_AT_ONCE = 8  # images that the graph is run with


def calibration_batches(predictor: Predictor, store: SplitStore, count: int) -> list[UINT8]:
    """Return what the network sees of samples that are evenly spread over a split, which is in the order of hashes.

    Args:
        predictor: with the exported network.
        store: the training split.
        count: most images, or tiles of images.
    """
    seen: list[UINT8] = []

    def recorded(pixels: UINT8) -> Any:
        seen.extend(pixels)
        return predictor.outputs(pixels)

    chosen = np.unique(np.linspace(0, len(store) - 1, min(count, len(store))).round().astype(int)).tolist()
    size = predictor.sight.at_once(_AT_ONCE)
    for start in range(0, len(chosen), size):
        pixels, placements = predictor.seen([store.image(place) for place in chosen[start : start + size]])
        if predictor.sight.tiling is None:
            seen.extend(np.asarray(pixels))
        else:
            predictor.sight.predictions(predictor.task, recorded, pixels, placements)
        if len(seen) >= count:
            break
    kept = seen[:count]
    return [np.stack(kept[start : start + _AT_ONCE]) for start in range(0, len(kept), _AT_ONCE)]
