"""Boxes, masks, maps and key points of a split, brought to a network's input size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.data.cache import raw_maps
from sightline.data.images import Placement, Resize, place
from sightline.data.rectangles import shares_within, smallest_rectangles, upright_corners
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, UINT8

SPATIAL = ("boxes", "corners", "instances", "semantic", "keypoints")
LEAST_VISIBLE = 0.1  # a box of which less is left in the input is left out
_POINT = 3  # x, y, visibility


@dataclass
class Geometry:
    """The annotations of one image with positions, in its pixels; on the way to a network in those of the input.

    Attributes:
        boxes: N x 4 float32 xyxy, within the image.
        box_labels: N int64.
        masks: N x H x W uint8, 0/1; None if they are not asked for.
        semantic: H x W uint8 class ids, 255 = ignore; None if it is not asked for.
        keypoints: N x K x 3 float32 x, y, visibility, in the order of boxes; visibility 0 where a point is absent
            or outside. None if they are not asked for.
        corners: N x 4 x 2 float32, of oriented boxes, which may reach beyond the image. None if they are not asked for.
    """

    boxes: FLOAT32
    box_labels: NDArray[np.int64]
    masks: UINT8 | None = None
    semantic: UINT8 | None = None
    keypoints: FLOAT32 | None = None
    corners: FLOAT32 | None = None

    def only(self, kept: NDArray[Any]) -> Geometry:
        """Return the objects chosen by an index or a mask."""
        return replace(
            self,
            boxes=self.boxes[kept],
            box_labels=self.box_labels[kept],
            masks=None if self.masks is None else self.masks[kept],
            keypoints=None if self.keypoints is None else self.keypoints[kept],
            corners=None if self.corners is None else self.corners[kept],
        )


class Annotations:
    """The geometry of each sample of a split; crowds are left out, as they are not single objects.

    Args:
        store: the split.
        fields: those of a sample that a task reads, of which the spatial ones matter here.
        size, resize: the network's input.
    """

    def __init__(self, store: SplitStore, fields: Sequence[str], size: int, resize: Resize) -> None:
        self.size = size
        shapes = zip(store.column("height"), store.column("width"), strict=True)
        places = [place(height, width, size, resize) for height, width in shapes]
        boxes, labels, crowds = (store.column(name) for name in ("boxes", "box_labels", "iscrowd"))
        single = [are_single(own, crowd) for own, crowd in zip(labels, crowds, strict=True)]
        self._boxes = [
            spot.into_input(np.asarray(own or [], np.float32).reshape(-1, 4))[kept]
            for own, spot, kept in zip(boxes, places, single, strict=True)
        ]
        self._labels = [np.asarray(own or [], np.int64)[kept] for own, kept in zip(labels, single, strict=True)]
        self._masks = _small_masks(store.column("instances"), single, places) if "instances" in fields else None
        self._semantic = raw_maps(store, size, resize) if "semantic" in fields else None
        self._corners = _corners(store.column("corners"), boxes, single, places) if "corners" in fields else None
        self._points = _points(store.column("keypoints"), single, places) if "keypoints" in fields else None

    def __getitem__(self, index: int) -> Geometry:
        boxes = self._boxes[index]
        masks = None
        if self._masks is not None:
            own = self._masks[index]
            masks = np.zeros((0, self.size, self.size), np.uint8)
            if own:
                masks = np.ascontiguousarray(np.moveaxis(coco_mask.decode(own), -1, 0))
        whole = Geometry(
            boxes,
            self._labels[index],
            masks,
            None if self._semantic is None else np.array(self._semantic[index]),
            None if self._points is None else self._points[index].copy(),
            None if self._corners is None else self._corners[index],
        )
        return within(whole, self.size, self.size)


def within(geometry: Geometry, height: int, width: int) -> Geometry:
    """Clip boxes to the image, leave out objects of which too little is in it, and hide points outside."""
    boxes = geometry.boxes
    clipped = boxes.clip(0, np.array([width, height, width, height], np.float32))
    whole, left = _areas(boxes), _areas(clipped)
    kept = (left >= LEAST_VISIBLE * whole) & (left >= 1)
    if geometry.corners is not None and len(boxes):
        kept &= shares_within(geometry.corners, height, width) >= LEAST_VISIBLE
    points = geometry.keypoints
    if points is not None and points.size:
        outside = ((points[..., :2] < 0) | (points[..., :2] >= [width, height])).any(-1)
        points[outside] = 0
    return replace(geometry, boxes=clipped, keypoints=points).only(kept)


def as_tensors(geometries: Sequence[Geometry], fields: Sequence[str]) -> dict[str, Any]:
    """Return a batch's spatial targets.

    `boxes` lists N tensors n x 4 float32, `box_labels` N tensors n int64, `instances` N tensors n x S x S uint8,
    `keypoints` N tensors n x K x 3 float32, `corners` N tensors n x 4 x 2 float32; `semantic` is one tensor
    N x S x S uint8.
    """
    read: dict[str, Callable[[Geometry], Any]] = {
        "boxes": lambda own: own.boxes,
        "box_labels": lambda own: own.box_labels,
        "instances": lambda own: own.masks,
        "keypoints": lambda own: own.keypoints,
        "corners": lambda own: own.corners,
    }
    targets: dict[str, Any] = {
        name: [torch.from_numpy(np.ascontiguousarray(get(own))) for own in geometries]
        for name, get in read.items()
        if name in fields
    }
    if "semantic" in fields:
        targets["semantic"] = torch.from_numpy(np.stack([_map(own) for own in geometries]))
    return targets


def _map(geometry: Geometry) -> UINT8:
    assert geometry.semantic is not None
    return geometry.semantic


def are_single(labels: Sequence[int] | None, crowds: Sequence[bool] | None) -> NDArray[np.bool_]:
    """Tell which of an image's objects are single ones."""
    return ~np.asarray(crowds, bool) if crowds else np.ones(len(labels or ()), bool)


def _small_masks(
    instances: Sequence[Any], single: Sequence[NDArray[np.bool_]], places: Sequence[Placement]
) -> list[list[Any]]:
    """Bring run lengths of the originals to the input's size; run lengths again, as masks would fill the memory."""
    small = []
    for own, kept, spot in zip(instances, single, places, strict=True):
        masks = []
        for encoded in (one for one, keep in zip(own or (), kept, strict=bool(own)) if keep):
            moved = spot.map_into_input(coco_mask.decode(encoded), 0)
            masks.append(coco_mask.encode(np.asfortranarray(moved)))
        small.append(masks)
    return small


def _points(
    keypoints: Sequence[Any], single: Sequence[NDArray[np.bool_]], places: Sequence[Placement]
) -> list[FLOAT32]:
    known: Sequence[Any] = next((own[0] for own in keypoints if own), ())
    moved = []
    for own, kept, spot in zip(keypoints, single, places, strict=True):
        points = np.asarray(own if own else np.zeros((len(kept), len(known), _POINT)), np.float32)[kept]
        points[..., :2] = spot.into_input(points[..., :2])
        moved.append(points)
    return moved


def _corners(
    corners: Sequence[Any], boxes: Sequence[Any], single: Sequence[NDArray[np.bool_]], places: Sequence[Placement]
) -> list[FLOAT32]:
    """Bring corners to the input; where an image has upright boxes alone, those of them."""
    moved = []
    for own, upright, kept, spot in zip(corners, boxes, single, places, strict=True):
        known = upright_corners(np.asarray(upright or [], np.float32)) if own is None else np.asarray(own, np.float32)
        shapes = spot.into_input(known.reshape(-1, 4, 2)[kept])
        moved.append(shapes if spot.scale_x == spot.scale_y else smallest_rectangles(shapes))
    return moved


def _areas(boxes: FLOAT32) -> FLOAT32:
    areas: FLOAT32 = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    return areas
