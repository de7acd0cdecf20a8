"""Detected objects on their way from a network's input to the original image, and how many of them were found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from sightline.data.encoding import encode_rle
from sightline.data.images import Placement
from sightline.data.rectangles import overlaps, smallest_rectangles
from sightline.data.structures import FLOAT32

_ENOUGH = 0.5  # overlap of an object that is found
_LIKELY = 0.5  # chance from which on a pixel belongs to an object


def into_original(boxes: FLOAT32, placement: Placement) -> FLOAT32:
    """N x 4 xyxy boxes of the input -> of the original image, clipped to it."""
    moved = placement.into_original(boxes)
    moved[:, 0::2] = moved[:, 0::2].clip(0, placement.width)
    moved[:, 1::2] = moved[:, 1::2].clip(0, placement.height)
    return moved


def corners_into_original(corners: FLOAT32, placement: Placement) -> FLOAT32:
    """N x 4 x 2 corners of rectangles of the input -> of the original image, beyond whose edges they may reach."""
    moved = placement.into_original(corners)
    return moved if placement.scale_x == placement.scale_y else smallest_rectangles(moved)


def turned_iou(corners: Tensor, others: Tensor) -> Tensor:
    """G x 4 x 2 and D x 4 x 2 corners of rectangles -> G x D intersections over union, as `box_iou` of boxes."""
    found = overlaps(corners.detach().cpu().numpy(), others.detach().cpu().numpy())
    return torch.from_numpy(found).to(corners.device)


def masks_into_original(masks: FLOAT32, boxes: FLOAT32, placement: Placement) -> list[dict[str, Any]]:
    """Draw masks that are relative to their boxes into the original image.

    Args:
        masks: N x M x M, the chance that a part of the box belongs to the object.
        boxes: N x 4 xyxy in pixels of the input.
        placement: of the original in the input.

    Returns:
        N run-length encodings of the original's size; a pixel belongs to the object where its chance is above one half.
    """
    drawn = []
    for mask, (x1, y1, x2, y2) in zip(masks, placement.into_original(boxes), strict=True):
        # torchvision's method rounds boxes to whole pixels, by which small objects would move.
        padded = np.pad(mask, 1)
        scale_x, scale_y = (x2 - x1) / len(mask), (y2 - y1) / len(mask)
        matrix = np.array([[scale_x, 0, x1 - 0.5 * scale_x - 0.5], [0, scale_y, y1 - 0.5 * scale_y - 0.5]])
        whole = cv2.warpAffine(padded, matrix, (placement.width, placement.height), flags=cv2.INTER_LINEAR)
        drawn.append(encode_rle(whole > _LIKELY))
    return drawn


def share_found(
    found: Sequence[dict[str, Tensor]],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    name: str = "boxes",
    overlap: Callable[[Tensor, Tensor], Tensor] = box_iou,
) -> Tensor:
    """Return the share of true objects that are found, with as many guesses as there are objects: a scalar in 0..1.

    An object is found if one of its image's G most confident predictions, with G objects in the image, has its
    class
    and overlaps it by half. Without any object the share is 1.

    Args:
        found: for each image `boxes`, `labels` and `scores`, most confident first.
        boxes: for each image G x 4 true boxes.
        labels: for each image G class ids.
        name: of the boxes in `found`.
        overlap: of G boxes with D others, G x D.
    """
    hits, total = 0, 0
    for said, own, label in zip(found, boxes, labels, strict=True):
        count = len(own)
        near = overlap(own, said[name][:count]) >= _ENOUGH
        same = label[:, None] == said["labels"][None, :count]
        hits += int((near & same).any(1).sum())
        total += count
    return torch.tensor(hits / total if total else 1.0, device=boxes[0].device)
