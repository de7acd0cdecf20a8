"""Draws what is known of a sample on its image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from sightline.data.encoding import decode_rle
from sightline.data.images import decode
from sightline.structures import IGNORED, UINT8, Sample

_GOLDEN = 0.618034  # of the colour wheel between neighbouring classes: any few differ well
_OPACITY = 0.45
_LEFT, _RIGHT, _MIDDLE = (255, 70, 70), (70, 140, 255), (255, 255, 255)
Colour = tuple[int, int, int]


def class_colour(label: int) -> Colour:
    """Return a bright colour for a class, RGB."""
    red, green, blue = colorsys.hsv_to_rgb((0.92 + label * _GOLDEN) % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_truth(sample: Sample, side: int, mirrored: Sequence[int] = (), background: bool = False) -> UINT8:
    """Return the image with what is known of it: boxes, and masks or (as masks would hide them) key points.

    Args:
        sample: image and annotations; of masks, those of objects are drawn where there are some, else the semantic one.
        side: pixels of the longer side of the result.
        mirrored: as in `LabelMap`; of a pair the first is red and the second blue. Hidden key points are rings.
        background: whether 0 is background in the semantic mask, and c + 1 is class c.
    """
    pixels = decode(sample.image, 3)
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    enlarged = cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    picture = cv2.resize(pixels, size, interpolation=enlarged if scale > 1 else cv2.INTER_AREA)
    picture = picture if sample.keypoints is not None else _with_masks(picture, sample, size, background)
    if sample.boxes is not None:
        for (left, top, right, bottom), label in zip(
            (sample.boxes * scale).round().astype(int).tolist(), sample.box_labels, strict=True
        ):
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), class_colour(label), 1)
    if sample.keypoints is not None:
        for points in sample.keypoints:
            _draw_keypoints(picture, points * [scale, scale, 1], mirrored)
    drawn: UINT8 = picture
    return drawn


def _with_masks(picture: UINT8, sample: Sample, size: tuple[int, int], background: bool) -> UINT8:
    """Lay each object's mask, or the semantic mask where there are no objects, over the picture in class colours."""
    paint = np.zeros(picture.shape, np.uint8)
    covered = np.zeros(picture.shape[:2], bool)
    if sample.instances:
        for instance, label in zip(sample.instances, sample.box_labels, strict=True):
            mask = cv2.resize(decode_rle(instance).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            paint[mask], covered = class_colour(label), covered | mask
    elif sample.semantic is not None and sample.boxes is None:
        colours = np.array([class_colour(label - background) for label in range(IGNORED + 1)], np.uint8)
        semantic = cv2.resize(sample.semantic, size, interpolation=cv2.INTER_NEAREST)
        paint, covered = colours[semantic], (semantic != IGNORED) & (semantic >= int(background))
    opacity = _OPACITY * covered[..., None]
    return np.rint(picture * (1 - opacity) + paint * opacity).astype(np.uint8)


def _draw_keypoints(
    picture: UINT8, points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], pairs: Sequence[int]
) -> None:
    for place, (x, y, seen) in enumerate(points.tolist()):
        if seen:
            partner = pairs[place] if pairs else place
            colour = _MIDDLE if partner == place else _LEFT if place < partner else _RIGHT
            cv2.circle(picture, (round(x), round(y)), 2, colour, cv2.FILLED if seen == 2 else 1, cv2.LINE_AA)
