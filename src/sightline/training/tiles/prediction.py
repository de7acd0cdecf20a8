"""Tile after tile of a large image through a network, and one prediction for the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sightline.config.models import Input
from sightline.config.tasks import Detection, InstanceSegmentation, SemanticSegmentation
from sightline.config.tasks import Task as TaskConfig
from sightline.config.tiling import Tiling
from sightline.data.structures import UINT8, Prediction
from sightline.data.tiles import cut, tiles_over
from sightline.tasks.base import Task

_AT_ONCE = 16  # tiles


def tiled_predictions(
    task: Task,
    runs: Sequence[Callable[[UINT8], Any]],
    image: UINT8,
    kind: TaskConfig,
    own: Input,
    tiling: Tiling,
) -> list[Prediction]:
    """Return what each of some networks predicts for an image of any size, at no more than 16 tiles at a time.

    Args:
        task: in evaluation mode.
        runs: N x S x S x C pixels -> raw outputs.
        image: H x W x C.
        kind: the section `task` of the model.
        own: its section `input`.
        tiling: its section `tiling`.
    """
    height, width = image.shape[:2]
    tiles = tiles_over(height, width, tiling.size, tiling.overlap)
    found = [_collector(kind, height, width, own.size, tiling) for _ in runs]
    for start in range(0, len(tiles), _AT_ONCE):
        some = tiles[start : start + _AT_ONCE]
        pixels = np.stack([cut(image, tile, own.size, own.interpolation) for tile in some])
        for run, collector in zip(runs, found, strict=True):
            collector.add(task, run(pixels), some)
    return [collector.prediction() for collector in found]


def _collector(kind: TaskConfig, height: int, width: int, side: int, tiling: Tiling) -> Any:
    match kind:
        case Detection(nms_iou=nms_iou) | InstanceSegmentation(nms_iou=nms_iou):
            from sightline.training.tiles.objects import TileObjects

            return TileObjects(height, width, side, nms_iou, tiling.merge_inside, tiling.max_objects)
        case SemanticSegmentation():
            from sightline.training.tiles.maps import TileMaps

            return TileMaps(height, width, side)
        case _:
            raise AssertionError(f"{kind.kind} has no tiles")
