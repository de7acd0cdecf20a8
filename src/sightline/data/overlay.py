"""Draws what is known of a sample on its image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from sightline.data.encoding import decode_rle
from sightline.data.images import decode
from sightline.data.structures import FLOAT32, IGNORED, UINT8, Sample

# Distinguishable for colour-blind readers (after Okabe and Ito 2008, brighter), the next ones at least by their names.
_FIRST = ((240, 165, 0), (86, 190, 245), (0, 190, 135), (225, 130, 190), (245, 235, 70), (40, 110, 255), (235, 85, 10))
_GOLDEN = 0.618034  # of the colour wheel between neighbouring classes: any few differ well
_OPACITY, _HEAT = 0.45, 0.6
MOST_HEAT = 2.0  # times the threshold of a detector of defects, which is in the middle of the colours
_LEFT, _RIGHT, _MIDDLE = (255, 90, 0), (86, 180, 255), (255, 255, 255)
Colour = tuple[int, int, int]


def class_colour(label: int) -> Colour:
    """Return a colour for a class, RGB in 0..255."""
    if label < len(_FIRST):
        return _FIRST[label]
    red, green, blue = colorsys.hsv_to_rgb((0.92 + label * _GOLDEN) % 1, 0.6 + 0.4 * (label % 2), 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def keypoint_colour(place: int, mirrored: Sequence[int]) -> Colour:
    """Return the colour of a key point, RGB: of a mirror pair the first is red and the second blue, others are white.

    Args:
        place: of the point.
        mirrored: as in `LabelMap`.
    """
    partner = mirrored[place] if mirrored else place
    return _MIDDLE if partner == place else _LEFT if place < partner else _RIGHT


def scaled(pixels: UINT8, side: int) -> tuple[UINT8, float]:
    """Return H x W x C pixels brought to a longer side of `side` pixels, and by what they were multiplied."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    enlarged = cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    picture = cv2.resize(pixels, size, interpolation=enlarged if scale > 1 else cv2.INTER_AREA)
    brought: UINT8 = picture.reshape(*picture.shape[:2], pixels.shape[2])
    return brought, scale


def draw_truth(sample: Sample, side: int, mirrored: Sequence[int] = (), background: bool = False) -> UINT8:
    """Return the image with what is known of it: boxes, and masks or (as masks would hide them) key points.

    Args:
        sample: image and annotations; of masks, those of objects are drawn where there are some, else the semantic one,
            and of boxes the oriented ones.
        side: pixels of the longer side of the result.
        mirrored: as in `LabelMap`; of a pair the first is red and the second blue. Hidden key points are rings.
        background: whether 0 is background in the semantic mask, and c + 1 is class c.
    """
    picture, scale = scaled(decode(sample.image, 3), side)
    if sample.keypoints is None and sample.instances:
        picture = with_instances(picture, sample.instances, sample.box_labels)
    elif sample.keypoints is None and sample.semantic is not None and sample.boxes is None:
        picture = with_semantic(picture, sample.semantic, background)
    if sample.corners is not None:
        for shape, label in zip(sample.corners, sample.box_labels, strict=True):
            lines = (shape * scale - 0.5).round().astype(np.int32)
            cv2.polylines(picture, [lines], True, class_colour(label), 1, cv2.LINE_AA)
    elif sample.boxes is not None:
        for (left, top, right, bottom), label in zip(
            (sample.boxes * scale).round().astype(int).tolist(), sample.box_labels, strict=True
        ):
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), class_colour(label), 1)
    if sample.keypoints is not None:
        for points in sample.keypoints:
            _draw_keypoints(picture, points * [scale, scale, 1], mirrored)
    return picture


def with_instances(picture: UINT8, instances: Sequence[dict[str, Any]], labels: Sequence[int]) -> UINT8:
    """Lay the masks of objects over an H x W x 3 picture, in the colours of their classes.

    Args:
        picture: RGB, of any size.
        instances: N run-length encodings.
        labels: N class ids.
    """
    paint = np.zeros(picture.shape, np.uint8)
    covered = np.zeros(picture.shape[:2], bool)
    for instance, label in zip(instances, labels, strict=True):
        mask = _resized(decode_rle(instance).astype(np.uint8), picture) > 0
        paint[mask], covered = class_colour(label), covered | mask
    return _blended(picture, paint, covered)


def with_semantic(picture: UINT8, semantic: UINT8, background: bool) -> UINT8:
    """Lay a map of class ids over an H x W x 3 picture; ignored pixels and the background stay as they are.

    Args:
        picture: RGB, of any size.
        semantic: class ids, of any size.
        background: whether 0 is background, and c + 1 is class c.
    """
    colours = np.array([class_colour(max(0, label - background)) for label in range(IGNORED + 1)], np.uint8)
    ids = _resized(semantic, picture)
    return _blended(picture, colours[ids], (ids != IGNORED) & (ids >= int(background)))


def with_heat(picture: UINT8, heat: FLOAT32) -> UINT8:
    """Lay a heat map of a detector of defects over a picture, dark to bright, so that both can be seen.

    Args:
        picture: H x W x 3, RGB.
        heat: of any size, 1 at the threshold.
    """
    large = cv2.resize(grey_heat(heat), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(large, cv2.COLORMAP_INFERNO)[..., ::-1]
    return _blended(picture, np.ascontiguousarray(colours), np.ones(picture.shape[:2], bool), _HEAT)


def grey_heat(heat: FLOAT32) -> UINT8:
    """Return a heat map of a detector of defects as grey levels, the threshold at 127.5; 255 is twice that or more."""
    grey: UINT8 = np.rint(255 * (heat / MOST_HEAT).clip(0, 1)).astype(np.uint8)
    return grey


def _resized(values: UINT8, picture: UINT8) -> UINT8:
    resized: UINT8 = cv2.resize(values, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return resized


def _blended(
    picture: UINT8, paint: UINT8, covered: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], opaque: float = _OPACITY
) -> UINT8:
    opacity = opaque * covered[..., None]
    blended: UINT8 = np.rint(picture * (1 - opacity) + paint * opacity).astype(np.uint8)
    return blended


def _draw_keypoints(
    picture: UINT8, points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], mirrored: Sequence[int]
) -> None:
    for place, (x, y, seen) in enumerate(points.tolist()):
        if seen:
            colour = keypoint_colour(place, mirrored)
            cv2.circle(picture, (round(x), round(y)), 2, colour, cv2.FILLED if seen == 2 else 1, cv2.LINE_AA)
