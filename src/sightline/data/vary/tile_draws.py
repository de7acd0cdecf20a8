"""Tiles that a network learns from, each a function of (seed, epoch, sample, number) alone.

As SNIPER does (Singh, Najibi and Davis 2018), tiles are drawn around objects, and few without one: an image is mostly
background. Whole images are decoded for it, as a tile is not known before its epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.data.images import PAD_VALUE, Interpolation, decode
from sightline.data.recent import Recent
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, IGNORED, UINT8
from sightline.data.tiles import Tile, cut, tile_at
from sightline.data.vary.augmentation import boxes_of, key
from sightline.data.vary.geometry import Geometry, are_single

MOST_KEPT = 512 << 20  # bytes of decoded images, and as many of maps, in each process that reads them
_TRIES = 10  # places that are looked at for one without objects
_LEAST_SIDE = 1.0  # pixels of the network's input that a box must have


class DrawnTiles:
    """The tiles of a split's samples, `per_image` of each; single objects as in `Annotations`, crowds left out.

    Args:
        store: the split.
        fields: those of a sample that a task reads.
        side, channels, interpolation: the network's input.
        size: side of a tile, pixels of the original.
        per_image: tiles of each sample in an epoch.
        empty: share of tiles that avoid objects.
        least_visible: share of an object from which on it is learned; what is left of others is painted over, so that
            it is taught neither as an object nor as background.
        seed: of what is drawn.
    """

    def __init__(
        self,
        store: SplitStore,
        fields: Sequence[str],
        *,
        side: int,
        channels: int,
        interpolation: Interpolation,
        size: int,
        per_image: int,
        empty: float,
        least_visible: float,
        seed: int,
    ) -> None:
        self.side, self.interpolation, self.size, self.per_image = side, interpolation, size, per_image
        self.empty, self.least_visible, self.seed = empty, least_visible, seed
        self.ids = [f"{own}#{number}" for own in store.ids for number in range(per_image)]
        self.with_boxes = "boxes" in fields
        boxes, labels, crowds = (store.column(name) for name in ("boxes", "box_labels", "iscrowd"))
        single = [are_single(own, crowd) for own, crowd in zip(labels, crowds, strict=True)]
        self._boxes = [
            np.asarray(own or [], np.float32).reshape(-1, 4)[kept] for own, kept in zip(boxes, single, strict=True)
        ]
        self._labels = [np.asarray(own or [], np.int64)[kept] for own, kept in zip(labels, single, strict=True)]
        self._outlines = _outlines(store.column("instances"), single) if "instances" in fields else None
        self._images = Recent(partial(_image, store, channels), MOST_KEPT)
        self._maps: Recent | None = None
        if "semantic" in fields:
            shapes = list(zip(store.column("height"), store.column("width"), strict=True))
            self._maps = Recent(partial(_map, store.column("semantic"), shapes), MOST_KEPT)

    def __len__(self) -> int:
        return len(self.ids)

    def draw(self, epoch: int, index: int) -> tuple[UINT8, Geometry]:
        """Return side x side x C pixels of a tile, and what is in it."""
        number = index // self.per_image
        rng = Generator(Philox(key=[key(self.seed, "tile", epoch, self.ids[index]), 0]))
        image = self._images[number]
        tile = self._chosen(rng, self._boxes[number], *image.shape[:2])
        pixels = cut(image, tile, self.side, self.interpolation)
        geometry, hidden = self._inside(number, tile)
        if self.with_boxes:
            _paint(pixels, hidden, geometry.boxes)
        return pixels, geometry

    def _chosen(self, rng: Generator, boxes: FLOAT32, height: int, width: int) -> Tile:
        lasts = max(0, height - self.size), max(0, width - self.size)
        if len(boxes) and rng.random() >= self.empty:
            x1, y1, x2, y2 = boxes[int(rng.integers(len(boxes)))].tolist()
            top, left = (
                _around(rng, *ends, self.size, last) for ends, last in zip(((y1, y2), (x1, x2)), lasts, strict=True)
            )
            return tile_at(top, left, self.size, height, width)
        found = [(int(rng.integers(lasts[0] + 1)), int(rng.integers(lasts[1] + 1))) for _ in range(_TRIES)]
        top, left = min(found, key=lambda corner: int((_shares(boxes, corner[0], corner[1], self.size) > 0).sum()))
        return tile_at(top, left, self.size, height, width)

    def _inside(self, number: int, tile: Tile) -> tuple[Geometry, FLOAT32]:
        """Return what is learned of a tile, and the boxes of what must not be; in pixels of the network's input."""
        boxes, scale = self._boxes[number], self.side / self.size
        shares = _shares(boxes, tile.top, tile.left, self.size)
        masks = None
        if self._outlines is not None:
            there = np.flatnonzero(shares > 0) if self._outlines[number] else ()
            masks = np.zeros((len(boxes), self.side, self.side), np.uint8)
            for place in there:
                masks[place], shares[place] = self._mask(self._outlines[number][place], tile, float(shares[place]))
        corner = np.array([tile.left, tile.top] * 2, np.float32)
        ends = np.array([tile.width, tile.height] * 2, np.float32)
        moved = ((boxes - corner).clip(0, ends) * scale).astype(np.float32)
        if masks is not None:
            outlined = masks.any((1, 2))
            moved[outlined] = boxes_of(masks[outlined])  # tighter, where an object is cut
        large = (moved[:, 2:] - moved[:, :2] >= _LEAST_SIDE).all(1)
        learned = (shares >= self.least_visible) & large
        semantic = None
        if self._maps is not None:
            part = self._maps[number][tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            semantic = tile.placement(self.side).map_into_input(part, IGNORED)
        whole = Geometry(moved, self._labels[number], masks, semantic)
        return whole.only(learned), moved[(shares > 0) & ~learned]

    def _mask(self, outline: Any, tile: Tile, share: float) -> tuple[UINT8, float]:
        """Return the part of an object's mask in a tile, as the network sees it, and its share of the whole mask."""
        mask = coco_mask.decode(outline)
        part = mask[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
        pixels = int(mask.sum())
        moved = tile.placement(self.side).map_into_input(np.ascontiguousarray(part), 0)
        return moved, int(part.sum()) / pixels if pixels else share  # of some objects no outline is known


def _image(store: SplitStore, channels: int, number: int) -> UINT8:
    return decode(store.image(number), channels)


def _map(encoded: Sequence[bytes | None], shapes: Sequence[tuple[int, int]], number: int) -> UINT8:
    own = encoded[number]
    return np.full(shapes[number], IGNORED, np.uint8) if own is None else decode(own, 1)[..., 0]


def _outlines(instances: Sequence[Any], single: Sequence[NDArray[np.bool_]]) -> list[list[Any]]:
    """Return the run lengths of each sample's single objects."""
    return [
        [one for one, keep in zip(own or (), kept, strict=bool(own)) if keep]
        for own, kept in zip(instances, single, strict=True)
    ]


def _around(rng: Generator, low: float, high: float, size: int, last: int) -> int:
    """Return where a tile may begin to have low..high in it, or to be in it where that is longer than a tile."""
    ends = sorted(min(max(place, 0), last) for place in (math.ceil(high) - size, math.floor(low)))
    return int(rng.integers(ends[0], ends[1] + 1))


def _shares(boxes: FLOAT32, top: int, left: int, size: int) -> FLOAT32:
    """Return the share of each of N boxes that is in a tile, N float32."""
    corner = np.array([left, top] * 2, np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    clipped = (boxes - corner).clip(0, size)
    seen = clipped[:, 2:] - clipped[:, :2]
    shares: FLOAT32 = seen.prod(1) / np.maximum(sides.prod(1), np.finfo(np.float32).tiny)
    return shares.astype(np.float32)


def _paint(pixels: UINT8, hidden: FLOAT32, learned: FLOAT32) -> None:
    """Paint boxes of an image over with the grey of its borders, but not where something is that is learned."""
    if not len(hidden):
        return
    over = np.zeros(pixels.shape[:2], np.uint8)
    for boxes, value in ((hidden, 1), (learned, 0)):
        for x1, y1, x2, y2 in boxes.tolist():
            corners = (math.floor(x1), math.floor(y1)), (math.ceil(x2) - 1, math.ceil(y2) - 1)
            cv2.rectangle(over, *corners, value, cv2.FILLED)
    pixels[over == 1] = PAD_VALUE
