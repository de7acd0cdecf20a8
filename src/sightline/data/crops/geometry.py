"""Squares around boxes, cut out of images and brought to a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.images import PAD_VALUE, Interpolation, Placement, Resize, fit, place
from sightline.data.structures import UINT8, Crop

Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class CropPlacement(Placement):
    """The position of an original image in the input of a network that sees a part of it.

    Attributes:
        crop: that part.
    """

    crop: Crop

    def map_into_original(self, values: NDArray[Any], linear: bool = False) -> NDArray[Any]:
        """Map of the input, size x size (x C) -> H x W (x C) of the original; 0 where the network did not look."""
        method = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
        spread = self._warp(values, (self.height, self.width), None, inverse=True, method=method)
        left, top, right, bottom = self.crop.region
        seen = np.zeros_like(spread)
        part = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        seen[part] = spread[part]
        return seen


def square_around(box: tuple[float, float, float, float], margin: float) -> Region:
    """Return the square xyxy in whole pixels that has the centre of a box and its longer side, and a margin.

    Args:
        box: xyxy, pixels.
        margin: added on each side, as a share of the longer side of the box.
    """
    left, top, right, bottom = box
    side = max(1, round(max(right - left, bottom - top) * (1 + 2 * margin)))
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return x, y, x + side, y + side


def cut(image: UINT8, region: Region) -> UINT8:
    """Return the pixels of a region of H x W x C; beyond the image they are grey, as those beside a letterbox."""
    left, top, right, bottom = region
    piece = np.full((bottom - top, right - left, image.shape[2]), PAD_VALUE, np.uint8)
    inner = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    y, x = max(-top, 0), max(-left, 0)
    piece[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return piece


def whole(height: int, width: int) -> Region:
    """Return the region of a whole image."""
    return 0, 0, width, height


def seen(
    image: UINT8, crop: Crop, size: int, resize: Resize, interpolation: Interpolation
) -> tuple[UINT8, CropPlacement]:
    """Return size x size x C of the crop of H x W x C pixels, and where the whole image would be.

    Args:
        image: decoded.
        crop: of it.
        size: of the input, pixels.
        resize: of a whole image, where the crop is that; squares need no choice.
        interpolation: as in `fit`.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = crop.region
    pixels = fit(cut(image, crop.region), size, resize, interpolation)
    inner = place(bottom - top, right - left, size, resize)
    return pixels, CropPlacement(
        height,
        width,
        size,
        inner.scale_x,
        inner.scale_y,
        inner.left - left * inner.scale_x,
        inner.top - top * inner.scale_y,
        crop,
    )
