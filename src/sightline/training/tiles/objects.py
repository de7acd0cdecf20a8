"""Objects that overlapping tiles see, as objects of the image: each once, and whole where a tile sees it whole.

Tiles and their merging are those of SAHI (Akyon, Altinuc and Temizel 2022, section 3); what a tile has cut is compared
by the intersection over its own area, as there, but only against what another tile sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torchvision.ops import batched_nms

from sightline.data.encoding import encode_rle
from sightline.data.structures import FLOAT32, Prediction
from sightline.data.tiles import Tile
from sightline.tasks.base import Task

_TOUCHING = 2.0  # pixels of the network's input within which a box ends at a border
_CUT_COUNTS = 0.5  # of the confidence in an object that is cut, beside one that is not


class TileObjects:
    """Collects what is said of an image's tiles.

    Args:
        height, width: of the image, pixels.
        side: of the network's input, pixels.
        nms_iou: of two objects of a class with a larger IoU, one is kept.
        inside: an object cut by a tile is left out if more of it is inside one that another tile sees.
        most: objects to keep.
    """

    def __init__(self, height: int, width: int, side: int, nms_iou: float, inside: float, most: int) -> None:
        self.height, self.width, self.side = height, width, side
        self.nms_iou, self.inside, self.most = nms_iou, inside, most
        self._tiles: list[Tile] = []
        self._said: list[Prediction] = []

    def add(self, task: Task, outputs: Any, tiles: Sequence[Tile]) -> None:
        """Take the raw outputs of N tiles."""
        self._said += task.predictions(outputs, [tile.placement(self.side) for tile in tiles])
        self._tiles += tiles

    def prediction(self) -> Prediction:
        """Return the objects of the image, most confident first."""
        places = np.array([place for place, own in enumerate(self._said) for _ in _boxes(own)], np.int64)
        corners = np.array([[tile.left, tile.top] * 2 for tile in self._tiles], np.float32)
        local = np.concatenate([np.zeros((0, 4), np.float32), *map(_boxes, self._said)])
        boxes = (local + corners[places]).astype(np.float32)
        labels = np.array([label for own in self._said for label in own.box_labels or ()], np.int64)
        scores = np.array([score for own in self._said for score in _scores(own)], np.float32)
        cut = cut_by_tiles(local, [self._tiles[place] for place in places], self.height, self.width, self.side)
        kept = merged(boxes, labels, scores, places, cut, self.nms_iou, self.inside)[: self.most]
        masks = [one for own in self._said for one in own.instances or ()]
        instances = None
        if self._said[0].instances is not None:
            instances = [self._in_image(masks[one], self._tiles[places[one]]) for one in kept]
        return Prediction(
            boxes=boxes[kept], box_labels=labels[kept].tolist(), box_scores=scores[kept], instances=instances
        )

    def _in_image(self, mask: dict[str, Any], tile: Tile) -> dict[str, Any]:
        """Return the run lengths of a tile's mask as those of the image."""
        whole = np.zeros((self.height, self.width), bool)
        whole[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = coco_mask.decode(mask)
        return encode_rle(whole)


def _boxes(said: Prediction) -> FLOAT32:
    assert said.boxes is not None
    return said.boxes


def _scores(said: Prediction) -> FLOAT32:
    assert said.box_scores is not None
    return said.box_scores


def cut_by_tiles(boxes: FLOAT32, tiles: Sequence[Tile], height: int, width: int, side: int) -> NDArray[np.bool_]:
    """Return which boxes end at a border of their tile where the image goes on, and may therefore be cut.

    Args:
        boxes: N x 4 xyxy, in pixels of their tiles.
        tiles: N, of each box.
        height: of the image, pixels.
        width: of the image, pixels.
        side: of the network's input, pixels.
    """
    if not tiles:
        return np.zeros(0, bool)
    near = np.array([_TOUCHING * tile.size / side for tile in tiles])
    goes_on = np.array(
        [
            (tile.left > 0, tile.top > 0, tile.left + tile.width < width, tile.top + tile.height < height)
            for tile in tiles
        ]
    )
    ends = np.array([(tile.width, tile.height) for tile in tiles])
    distances = np.concatenate([boxes[:, :2], ends - boxes[:, 2:]], 1)
    cut: NDArray[np.bool_] = np.any(goes_on & (distances <= near[:, None]), axis=1)
    return cut


def merged(
    boxes: FLOAT32,
    labels: NDArray[np.int64],
    scores: FLOAT32,
    tiles: NDArray[np.int64],
    cut: NDArray[np.bool_],
    nms_iou: float,
    inside: float,
) -> NDArray[np.int64]:
    """Return the places of the objects to keep, most confident first.

    Of two that overlap, the one with the greater confidence stays; that in an object which is cut counts half, as its
    box is not the object's. Then what is cut goes if it is inside an object of its class that another tile sees.

    Args:
        boxes: N x 4 xyxy, in pixels of the image.
        labels: N class ids.
        scores: N, in 0..1.
        tiles: N, number of the tile that each is seen in.
        cut: N, whether its tile may have cut it.
        nms_iou: of two objects of a class with a larger IoU, one is kept.
        inside: share of the area of one that is cut.
    """
    ranks = np.where(cut, _CUT_COUNTS, 1.0).astype(np.float32) * scores
    given = (torch.from_numpy(np.ascontiguousarray(own)) for own in (boxes, ranks, labels))
    kept: NDArray[np.int64] = batched_nms(*given, nms_iou).numpy()
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]  # not what is beyond the image's end
    order = kept[np.lexsort((-ranks[kept], cut[kept]))]  # what is whole first
    stays = np.ones(len(order), bool)
    for place in np.flatnonzero(cut[order]):
        own, before = order[place], order[:place][stays[:place]]
        before = before[(labels[before] == labels[own]) & (tiles[before] != tiles[own])]
        stays[place] = not (_share_inside(boxes[own], boxes[before]) > inside).any()
    order = order[stays]
    return order[np.argsort(-scores[order], kind="stable")]


def _share_inside(box: FLOAT32, others: FLOAT32) -> FLOAT32:
    """Return the share of a box's area that is in each of N others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shares: FLOAT32 = sides.clip(0).prod(1) / max(float((box[2:] - box[:2]).prod()), 1e-9)
    return shares
