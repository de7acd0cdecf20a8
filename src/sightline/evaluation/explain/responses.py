"""How strongly channels answer to many images: how often they are silent, and where they are excited most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.layers import forward_layers, watched
from sightline.tasks.base import Task, numbers

_BATCH = 32


@dataclass(frozen=True)
class Responses:
    """What the C channels of a layer answered to N images.

    Attributes:
        largest: N x C, the largest activation anywhere in the image.
        place: N x C, where that is, row times width plus column.
        mean: C, over all images and places.
        zeros: share of activations that are not above 0.
        dead: C flags of channels that are nowhere above 0.
        height, width: of the maps.
    """

    largest: FLOAT32
    place: NDArray[np.int64]
    mean: FLOAT32
    zeros: float
    dead: NDArray[np.bool_]
    height: int
    width: int


def responses(task: Task, pixels: UINT8, layers: Sequence[str]) -> dict[str, Responses]:
    """Run N x S x S x C uint8 images through a network and sum up what each layer puts out."""
    largest: dict[str, list[FLOAT32]] = {name: [] for name in layers}
    place: dict[str, list[NDArray[np.int64]]] = {name: [] for name in layers}
    means: dict[str, list[FLOAT32]] = {name: [] for name in layers}
    zeros: dict[str, list[float]] = {name: [] for name in layers}
    sizes: dict[str, tuple[int, int]] = {}
    with watched(task, layers) as found, torch.no_grad():
        for start in range(0, len(pixels), _BATCH):
            forward_layers(task, torch.from_numpy(np.array(pixels[start : start + _BATCH])))
            for name in layers:
                values = found[name].float()
                sizes[name] = (values.shape[2], values.shape[3])
                best, where = values.flatten(2).max(2)
                largest[name].append(numbers(best))
                place[name].append(where.cpu().numpy())
                means[name].append(numbers(values.mean((2, 3))))
                zeros[name] += (values <= 0).float().mean((1, 2, 3)).tolist()
    return {
        name: Responses(
            np.concatenate(largest[name]),
            np.concatenate(place[name]),
            np.concatenate(means[name]).mean(0),
            float(np.mean(zeros[name])),
            np.concatenate(largest[name]).max(0) <= 0,
            *sizes[name],
        )
        for name in layers
    }


def choosy_channels(answers: Responses, most: int) -> list[int]:
    """Return the channels whose answers differ most between images, relative to their mean, most selective first."""
    mean = answers.largest.mean(0)
    choosy = answers.largest.std(0) / np.maximum(np.abs(mean), 1e-6)
    choosy[(answers.largest.max(0) <= 0) | (mean <= 0)] = -1
    # Rounded: the last bits, which differ between processors, decide nothing.
    order = np.argsort(-choosy.round(5), kind="stable")[:most]
    return sorted(int(channel) for channel in order if choosy[channel] >= 0)
