"""Decodes image bytes and brings images to a network's input size; the same for training and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.structures import FLOAT32, UINT8

Resize = Literal["letterbox", "stretch", "crop"]
PAD_VALUE = 114  # mid grey, as common in letterboxing, so that padding is no strong edge


def decode(encoded: bytes | memoryview, channels: int) -> UINT8:
    """Return H x W x `channels` uint8, RGB or grey, upright (EXIF orientation applied).

    Raises:
        ValueError: the bytes are no image that OpenCV reads.
    """
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flag) if len(encoded) else None
    if image is None:
        raise ValueError("not a readable image")
    decoded: UINT8 = image.reshape(*image.shape[:2], channels).astype(np.uint8, copy=False)
    return decoded


@dataclass(frozen=True)
class Placement:
    """Where an original image lies in a network's input: x' = x scale_x + left, y' = y scale_y + top, in pixels.

    Attributes:
        height, width: of the upright original.
        size: height and width of the input.
        scale_x, scale_y: input pixels per original pixel.
        left, top: of the original's corner in the input; negative where it is cropped.
    """

    height: int
    width: int
    size: int
    scale_x: float
    scale_y: float
    left: float
    top: float

    def into_input(self, points: FLOAT32) -> FLOAT32:
        """... x 2 points (or ... x 4 xyxy boxes) of the original -> of the input."""
        scale, shift = self._affine(points.shape[-1])
        return (points * scale + shift).astype(np.float32)

    def into_original(self, points: FLOAT32) -> FLOAT32:
        """... x 2 points (or ... x 4 xyxy boxes) of the input -> of the original."""
        scale, shift = self._affine(points.shape[-1])
        return ((points - shift) / scale).astype(np.float32)

    def _affine(self, columns: int) -> tuple[FLOAT32, FLOAT32]:
        times = columns // 2
        return (
            np.tile(np.array([self.scale_x, self.scale_y], np.float32), times),
            np.tile(np.array([self.left, self.top], np.float32), times),
        )

    def map_into_input(self, classes: NDArray[Any], outside: int) -> NDArray[Any]:
        """H x W map of the original -> size x size, by nearest pixel, with `outside` where the original is not."""
        return self._warp(classes, (self.size, self.size), outside, inverse=False, method=cv2.INTER_NEAREST)

    def map_into_original(self, values: NDArray[Any], linear: bool = False) -> NDArray[Any]:
        """Map of the input, size x size (x C) -> H x W (x C) of the original; its edge goes on where it was cropped."""
        method = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
        return self._warp(values, (self.height, self.width), None, inverse=True, method=method)

    def _warp(
        self, values: NDArray[Any], shape: tuple[int, int], outside: int | None, inverse: bool, method: int
    ) -> NDArray[Any]:
        # Pixel centres lie at + 0.5, which OpenCV's coordinates leave out.
        matrix = np.array([[self.scale_x, 0, self.left], [0, self.scale_y, self.top]])
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
        border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
        flags = method | (cv2.WARP_INVERSE_MAP if inverse else 0)
        warped: NDArray[Any] = cv2.warpAffine(
            values, matrix, (shape[1], shape[0]), flags=flags, borderMode=border, borderValue=outside or 0
        )
        return warped


def place(height: int, width: int, size: int, resize: Resize) -> Placement:
    """Return where `fit` puts an image of `height` x `width` pixels."""
    match resize:
        case "stretch":
            return Placement(height, width, size, size / width, size / height, 0.0, 0.0)
        case "crop":
            side = min(height, width)
            scale = size / side
            top, left = (height - side) // 2, (width - side) // 2
            return Placement(height, width, size, scale, scale, -left * scale, -top * scale)
        case "letterbox":
            new_height, new_width, top, left = _letterbox(height, width, size)
            return Placement(height, width, size, new_width / width, new_height / height, left, top)


def fit(image: UINT8, size: int, resize: Resize) -> UINT8:
    """Bring H x W x C to `size` x `size` x C, by area averaging where it shrinks and linearly where it grows."""
    height, width, channels = image.shape
    if (height, width) == (size, size):
        return image
    match resize:
        case "stretch":
            return _scaled(image, size, size)
        case "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return _scaled(image[top : top + side, left : left + side], size, size)
        case "letterbox":
            new_height, new_width, top, left = _letterbox(height, width, size)
            canvas = np.full((size, size, channels), PAD_VALUE, np.uint8)
            canvas[top : top + new_height, left : left + new_width] = _scaled(image, new_height, new_width)
            return canvas


def _letterbox(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Return height and width of the whole image in the input, and its upper left corner."""
    scale = size / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    return new_height, new_width, (size - new_height) // 2, (size - new_width) // 2


def _scaled(image: UINT8, height: int, width: int) -> UINT8:
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: UINT8 = cv2.resize(image, (width, height), interpolation=method)
    return scaled.reshape(height, width, image.shape[2])
