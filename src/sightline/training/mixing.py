"""Mixes the images of a training batch with one another, as drawn from (seed, epoch, first sample of the batch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

import cv2
import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from sightline.config.augmentations import CutMix, Mixing, MixUp, Mosaic
from sightline.data.rectangles import cut
from sightline.data.structures import FLOAT32, UINT8
from sightline.data.vary.augmentation import boxes_of, key
from sightline.data.vary.geometry import LEAST_VISIBLE, Geometry

_INT = NDArray[np.int64]
_INNER = 0.25  # share of the side that the four parts of a mosaic have at least


class Mixer:
    """Mixes whole batches; the kinds follow one another, each with its probability.

    Args:
        kinds: MixUp and CutMix for `labelled`, Mosaic for `drawn`.
        seed: of what is drawn.
    """

    def __init__(self, kinds: Sequence[Mixing], seed: int) -> None:
        self.kinds, self.seed = list(kinds), seed

    def labelled(self, images: UINT8, labels: FLOAT32, epoch: int, first: str) -> tuple[UINT8, FLOAT32]:
        """Mix N x H x W x C images and their N x K labels; `first` is the id of the batch's first sample."""
        random = self._random(epoch, first)
        for kind in self.kinds:
            if isinstance(kind, Mosaic) or random.random() >= kind.p:
                continue
            share, partner = float(random.beta(kind.alpha, kind.alpha)), random.permutation(len(images))
            match kind:
                case MixUp():
                    images, labels = mix_up(images, labels, share, partner)
                case CutMix():
                    window = draw_window(random, images.shape[1], images.shape[2], 1 - share)
                    images, labels = cut_mix(images, labels, window, partner)
                case _:
                    assert_never(kind)
        return images, labels

    def drawn(
        self, images: UINT8, geometries: Sequence[Geometry], epoch: int, first: str
    ) -> tuple[UINT8, list[Geometry]]:
        """Mix N x S x S x C images and their annotations; `first` is the id of the batch's first sample."""
        random, own = self._random(epoch, first), list(geometries)
        for kind in self.kinds:
            if isinstance(kind, Mosaic) and random.random() < kind.p:
                size, count = images.shape[1], len(images)
                centres = random.integers(round(_INNER * size), round((1 - _INNER) * size) + 1, (count, 2))
                members = random.integers(count, size=(count, 4))
                members[:, 0] = np.arange(count)  # each image is in its own mosaic, somewhere
                members = random.permuted(members, axis=1)
                corners = random.random((count, 4, 2))
                made = [mosaic(images, own, *drawn) for drawn in zip(members, centres, corners, strict=True)]
                images, own = np.stack([image for image, _ in made]), [geometry for _, geometry in made]
        return images, own

    def _random(self, epoch: int, first: str) -> Generator:
        return Generator(Philox(key=[key(self.seed, "mix", epoch, first), 0]))


def mix_up(images: UINT8, labels: FLOAT32, share: float, partner: _INT) -> tuple[UINT8, FLOAT32]:
    """Return share x + (1 - share) x', and the same of labels (Zhang et al. 2018, equation 1).

    Args:
        images: N x H x W x C uint8; the mean is rounded.
        labels: N x K, 1 for present classes.
        share: 0..1, of each image itself.
        partner: N indices of the images x'.
    """
    mixed = np.stack(
        [
            cv2.addWeighted(own, share, other, 1 - share, 0).reshape(own.shape)
            for own, other in zip(images, images[partner], strict=True)
        ]
    )
    return mixed, (share * labels + (1 - share) * labels[partner]).astype(np.float32)


def cut_mix(images: UINT8, labels: FLOAT32, window: tuple[int, int, int, int], partner: _INT) -> tuple[UINT8, FLOAT32]:
    """Return images with a window of their partners, and labels weighted by area (Yun et al. 2019, equation 1).

    Args:
        images: N x H x W x C uint8.
        labels: N x K, 1 for present classes.
        window: x1, y1, x2, y2 in pixels.
        partner: N indices of the images of which the window shows a part.
    """
    x1, y1, x2, y2 = window
    mixed = images.copy()
    mixed[:, y1:y2, x1:x2] = images[partner, y1:y2, x1:x2]
    share = 1 - (x2 - x1) * (y2 - y1) / (images.shape[1] * images.shape[2])
    return mixed, (share * labels + (1 - share) * labels[partner]).astype(np.float32)


def draw_window(random: Generator, height: int, width: int, area: float) -> tuple[int, int, int, int]:
    """Return x1, y1, x2, y2 of a window with the image's aspect and a share of its area, around a uniform point.

    What would be outside the image is cut off (Yun et al. 2019, section 3.1 and appendix A).
    """
    half = np.sqrt(area) / 2
    x, y = random.integers(width), random.integers(height)
    x1, x2 = (int(np.clip(round(x + sign * half * width), 0, width)) for sign in (-1, 1))
    y1, y2 = (int(np.clip(round(y + sign * half * height), 0, height)) for sign in (-1, 1))
    return x1, y1, x2, y2


def mosaic(
    images: UINT8, geometries: Sequence[Geometry], members: _INT, centre: _INT, corners: FLOAT32
) -> tuple[UINT8, Geometry]:
    """Return an image of four parts, at their own scale, around a centre (Bochkovskiy et al. 2020, figure 3).

    Args:
        images: N x S x S x C uint8.
        geometries: N, their annotations; they have all the same kinds of annotations, and no key points.
        members: the images that the upper left, upper right, lower left and lower right part show.
        centre: x, y in pixels.
        corners: 4 x 2, x and y in 0..1: which part of each member is shown, from its left and upper end to the other.
    """
    size = images.shape[1]
    image = np.empty_like(images[0])
    first = geometries[0]
    semantic = None if first.semantic is None else np.empty_like(first.semantic)
    parts = []
    for place, (member, corner) in enumerate(zip(members.tolist(), corners, strict=True)):
        left, right = ((0, int(centre[0])), (int(centre[0]), size))[place % 2]
        top, bottom = ((0, int(centre[1])), (int(centre[1]), size))[place // 2]
        x = int(corner[0] * (size - (right - left) + 1))
        y = int(corner[1] * (size - (bottom - top) + 1))
        rows, columns = slice(y, y + bottom - top), slice(x, x + right - left)
        image[top:bottom, left:right] = images[member, rows, columns]
        own = geometries[member]
        if semantic is not None and own.semantic is not None:
            semantic[top:bottom, left:right] = own.semantic[rows, columns]
        parts.append(_part(own, (x, y), (left, top, right, bottom), size))
    return image, replace(_joined(parts), semantic=semantic)


def _part(geometry: Geometry, corner: tuple[int, int], window: tuple[int, int, int, int], size: int) -> Geometry:
    """Return the objects of which enough is seen through a window, at their places in the mosaic."""
    (x, y), (left, top, right, bottom) = corner, window
    boxes = geometry.boxes + np.array([left - x, top - y] * 2, np.float32)
    seen = boxes.clip(np.array([left, top] * 2), np.array([right, bottom] * 2)).astype(np.float32)
    areas = [np.prod((own[:, 2:] - own[:, :2]).clip(0), axis=1) for own in (boxes, seen)]
    kept = (areas[1] >= LEAST_VISIBLE * areas[0]) & (areas[1] >= 1)
    corners = None
    if geometry.corners is not None:  # what the window hides is not in the mosaic
        corners = cut(geometry.corners + np.array([left - x, top - y], np.float32), window)
    masks = None
    if geometry.masks is not None:
        masks = np.zeros((len(boxes), size, size), np.uint8)
        masks[:, top:bottom, left:right] = geometry.masks[:, y : y + bottom - top, x : x + right - left]
        kept &= masks.any((1, 2))
        masks = masks[kept]
    boxes_seen = seen[kept] if masks is None else boxes_of(masks)
    corners = None if corners is None else corners[kept]
    return Geometry(boxes_seen, geometry.box_labels[kept], masks, corners=corners)


def _joined(parts: Sequence[Geometry]) -> Geometry:
    masks: list[Any] = [part.masks for part in parts if part.masks is not None]
    corners: list[Any] = [part.corners for part in parts if part.corners is not None]
    return Geometry(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.box_labels for part in parts]),
        np.concatenate(masks) if masks else None,
        corners=np.concatenate(corners) if corners else None,
    )
