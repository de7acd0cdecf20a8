"""Decodes image bytes and brings images to a network's input size; the same for training and prediction."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from sightline.structures import UINT8

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
            scale = size / max(height, width)
            new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
            canvas = np.full((size, size, channels), PAD_VALUE, np.uint8)
            top, left = (size - new_height) // 2, (size - new_width) // 2
            canvas[top : top + new_height, left : left + new_width] = _scaled(image, new_height, new_width)
            return canvas


def _scaled(image: UINT8, height: int, width: int) -> UINT8:
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: UINT8 = cv2.resize(image, (width, height), interpolation=method)
    return scaled.reshape(height, width, image.shape[2])
