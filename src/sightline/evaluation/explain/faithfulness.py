"""Deletion and insertion: whether what a heat map marks is what the network needs (Petsiuk, Das and Saenko 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.targets import target_chances
from sightline.tasks.base import Target, Task, numbers

CELLS = 12  # cells along a side, which are taken away or put back one after another
STEPS = 9  # points of a curve, from none to all cells
ORDERS = 1  # random ones per image; their mean is taken over the images
_BLUR = 0.1  # of the image's side: deviation of the blur that insertion begins with


@dataclass(frozen=True)
class Curves:
    """The target's chance while cells of an image are taken away, or put back, from the hottest on.

    Attributes:
        deletion, insertion: STEPS chances in 0..1.
        random_deletion, random_insertion: the same in random order, means over `ORDERS`.
    """

    deletion: FLOAT32
    insertion: FLOAT32
    random_deletion: FLOAT32
    random_insertion: FLOAT32


def area(curve: FLOAT32) -> float:
    """Return the area under a curve of evenly spaced points, 0..1, by the trapezoidal rule."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def random_orders(size: int, seed: int, number: int) -> list[NDArray[np.int64]]:
    """Return orders of the cells of an image.

    Args:
        size: S.
        seed: of all.
        number: of the image.
    """
    cells = min(CELLS, size) ** 2
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))
    return [generator.permutation(cells) for _ in range(ORDERS)]


def order_of(heat: FLOAT32) -> NDArray[np.int64]:
    """Return the cells of an S x S map, that with the largest mean first; equal ones row by row."""
    cells = min(CELLS, len(heat))
    means = cv2.resize(heat, (cells, cells), interpolation=cv2.INTER_AREA)
    return np.argsort(-means.ravel(), kind="stable")


def chance_curve(task: Task, pixels: UINT8, target: Target, order: NDArray[np.int64], insert: bool) -> FLOAT32:
    """Return the target's chance after each step.

    Args:
        task: in evaluation mode.
        pixels: S x S x C uint8.
        target: the class whose probability is measured.
        order: of the cells.
        insert: put cells back into a blurred image; else cover them with the grey that is 0 after normalisation.
    """
    size, cells = len(pixels), min(CELLS, len(pixels))
    rank = np.empty(cells**2, np.int64)
    rank[order] = np.arange(cells**2)
    places = (np.arange(size) * cells) // size
    ranks = rank.reshape(cells, cells)[places[:, None], places[None]][..., None]  # S x S x 1
    image = pixels.astype(np.float32)
    if insert:
        start = cv2.GaussianBlur(image, (0, 0), _BLUR * size).reshape(image.shape)
        end = image
    else:
        start, end = image, np.broadcast_to(numbers(task.mean)[:, 0, 0], image.shape)
    stages = [np.where(ranks < limit, end, start) for limit in np.linspace(0, cells**2, STEPS).round()]
    with torch.no_grad():
        images = torch.from_numpy(np.stack(stages).astype(np.float32)).to(task.mean.device)
        return numbers(target_chances(task, images, [target] * len(stages)))


def random_curves(task: Task, pixels: UINT8, target: Target, seed: int, number: int) -> tuple[FLOAT32, FLOAT32]:
    """Return the mean curves of deletion and of insertion in random orders, for all methods the same."""
    orders = random_orders(len(pixels), seed, number)
    deleted, inserted = (
        np.mean([chance_curve(task, pixels, target, order, insert) for order in orders], axis=0)
        for insert in (False, True)
    )
    return deleted, inserted


def curves(task: Task, pixels: UINT8, target: Target, heat: FLOAT32, by_chance: tuple[FLOAT32, FLOAT32]) -> Curves:
    """Measure one heat map.

    Args:
        task: in evaluation mode.
        pixels: S x S x C uint8.
        target: that the map explains.
        heat: S x S in 0..1.
        by_chance: of `random_curves`.
    """
    order = order_of(heat)
    deletion, insertion = (chance_curve(task, pixels, target, order, insert) for insert in (False, True))
    return Curves(deletion, insertion, *by_chance)
