"""Embedded data: coloured digits on crops of two photographs, with every label known by construction.

The 1,797 scans are shared by all splits: the same scan may appear, turned and coloured otherwise, in train and in test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from sightline.data.encoding import encode_png, encode_rle
from sightline.data.raw.annotations import map_names
from sightline.data.raw.builtin import DIGITS, scanned_digits
from sightline.data.raw.formats.source import Source
from sightline.data.rectangles import hulls, smallest_rectangle
from sightline.data.structures import FLOAT32, UINT8, Sample

# Values: number of objects, and mean grey level 0..1.
SCENES = replace(DIGITS, values=("objects", "brightness"), semantic=map_names(DIGITS.classes))
PHOTOGRAPHS = ("china", "flower")
MASK = NDArray[np.bool_]
SIDES = (20, 40)  # pixels of a scan's side, least and largest
TURN = 20.0  # degrees, where boxes are upright
_WHOLE = 400  # pixels of a scene's side up to which an object is drawn on all of it, and not on what is around it
_INK = 145  # of 255: ink from here on belongs to the object
_HIDDEN = 0.25  # share of an object that others may cover
_CONTRAST = 70  # grey levels
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TRIES = 20


@dataclass(frozen=True)
class Scene:
    """An image H x W x 3 and its objects: classes and visible masks, which never overlap."""

    image: UINT8
    classes: tuple[int, ...]
    masks: tuple[MASK, ...]
    photograph: str


class ScenesSource(Source):
    """Scenes 0..count-1; each depends only on the settings and its number.

    Args:
        count: of scenes.
        size: height and width, pixels.
        max_objects: of a scene.
        seed: of what is drawn.
        sides: least and largest side of a digit's scan, pixels.
        turn: degrees by which digits are turned at most, to either side, with oriented boxes; None: 20, without.
    """

    def __init__(
        self,
        count: int,
        size: int,
        max_objects: int,
        seed: int,
        sides: tuple[float, float] = SIDES,
        turn: float | None = None,
    ) -> None:
        self.count, self.size, self.max_objects, self.seed = count, size, max_objects, seed
        self.sides, self.turn = sides, turn
        self.labels, self.ignored = SCENES, []
        photographs(), scanned_digits()  # loaded once, before threads ask for samples

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        """Return one scene with all that is known of it; its label is the largest object's class."""
        rng = Generator(Philox(key=np.array([self.seed, index], np.uint64)))
        turn = TURN if self.turn is None else self.turn
        scene = draw_scene(rng, self.size, self.max_objects, self.sides, turn)
        boxes, corners = np.stack([box_of(mask) for mask in scene.masks]), None
        if self.turn is not None:
            corners = np.stack([rectangle_of(mask) for mask in scene.masks])
            boxes = hulls(corners).clip(0, self.size)
        areas = [int(mask.sum()) for mask in scene.masks]
        semantic = np.zeros((self.size, self.size), np.uint8)
        for mask, digit in zip(scene.masks, scene.classes, strict=True):
            semantic[mask] = digit + 1
        return Sample(
            f"scene/{index:05}",
            encode_png(scene.image),
            label=scene.classes[int(np.argmax(areas))],
            labels=sorted(set(scene.classes)),
            boxes=boxes,
            corners=corners,
            box_labels=list(scene.classes),
            iscrowd=[False] * len(areas),
            area=[float(area) for area in areas],
            instances=[encode_rle(mask) for mask in scene.masks],
            semantic=semantic,
            values=[float(len(areas)), float(cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).mean() / 255)],
            attributes={"photograph": scene.photograph, "objects": len(areas)},
        )


def draw_scene(
    rng: Generator, size: int, max_objects: int, sides: tuple[float, float] = SIDES, turn: float = TURN
) -> Scene:
    """Return a crop of a photograph with 1..max_objects digits on it.

    Args:
        rng: of everything that is drawn.
        size: height and width, pixels.
        max_objects: of the scene.
        sides: least and largest side of a digit's scan, pixels.
        turn: degrees by which digits are turned at most, to either side.
    """
    number = int(rng.integers(len(PHOTOGRAPHS)))
    photograph = photographs()[number]
    rows, columns = (_seen(rng, side, size) for side in photograph.shape[:2])
    image = photograph[np.ix_(rows, columns)]
    scans, targets = scanned_digits()
    classes: list[int] = []
    masks: list[MASK] = []
    inks: list[MASK] = []  # whole objects, also where later ones cover them
    areas: list[int] = []  # of these, and of what is left of them
    left: list[int] = []
    for _ in range(int(rng.integers(1, max_objects + 1))):
        scan = int(rng.integers(len(scans)))
        others = list(zip(inks, masks, areas, left, strict=True))
        placed = _place(rng, scans[scan], others, size, rng.uniform(*sides), turn)
        if placed is None:
            continue
        frame, ink, alpha = placed
        image[frame] = paint(image[frame], alpha, _contrasting(rng, image[frame][ink]))
        for place, mask in enumerate(masks):
            left[place] -= int((mask[frame] & ink).sum())
            mask[frame] &= ~ink
        whole = np.zeros((size, size), bool)
        whole[frame] = ink
        masks.append(whole)
        inks.append(whole.copy())
        areas.append(int(ink.sum()))
        left.append(areas[-1])
        classes.append(int(targets[scan]))
    return Scene(image, tuple(classes), tuple(masks), PHOTOGRAPHS[number])


def _seen(rng: Generator, side: int, size: int) -> NDArray[np.int64]:
    """Return the `size` rows or columns that a scene has of a photograph, which goes on as its mirror image."""
    if size <= side:
        return int(rng.integers(0, side - size + 1)) + np.arange(size)
    places = (int(rng.integers(2 * side)) + np.arange(size)) % (2 * side)
    return np.minimum(places, 2 * side - 1 - places)


def box_of(mask: MASK) -> FLOAT32:
    """Return the tight xyxy box of a mask; its right and lower edges are after the last pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def rectangle_of(mask: MASK) -> FLOAT32:
    """Return 4 x 2 corners of the smallest rectangle, turned by any angle, around the pixels of a mask."""
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], -1)
    return smallest_rectangle(np.concatenate([pixels + corner for corner in ([0, 0], [1, 0], [1, 1], [0, 1])]))


@cache
def photographs() -> tuple[UINT8, UINT8]:
    """Return scikit-learn's two photographs, in the order of `PHOTOGRAPHS`."""
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images  # 427 x 640 x 3 each
    return china, flower


def _place(
    rng: Generator, scan: UINT8, others: list[tuple[MASK, MASK, int, int]], size: int, side: float, turn: float
) -> tuple[tuple[slice, slice], MASK, FLOAT32] | None:
    """Return frame, mask and opacity 0..1 in it, of an object that covers no other much; None if it has no place.

    Args:
        rng: of what is drawn.
        scan: of the digit.
        others: of each object before it, all of it, what is left of it, and the pixels of both.
        size: of the scene.
        side: of the scan in it.
        turn: degrees by which it is turned at most, to either side.
    """
    angle = rng.uniform(-turn, turn)
    for _ in range(_TRIES):
        centre = rng.uniform(side / 2, size - side / 2, 2)
        frame = _frame(centre, side, size)
        corner = np.array([frame[1].start, frame[0].start])
        matrix = cv2.getRotationMatrix2D((3.5, 3.5), angle, side / 8)
        matrix[:, 2] += centre - corner - 3.5
        shape = (frame[1].stop - frame[1].start, frame[0].stop - frame[0].start)
        grey = cv2.warpAffine(scan, matrix, shape, flags=cv2.INTER_CUBIC)
        ink = grey >= _INK
        framed = not (ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any())
        left = [(rest - (mask[frame] & ink).sum()) / total for _, mask, total, rest in others]
        touched = [(other[frame] & ink).sum() / ink.sum() for other, *_ in others]
        if framed and min(left, default=1) >= 1 - _HIDDEN and max(touched, default=0) <= _HIDDEN:
            return frame, ink, np.clip((grey.astype(np.float32) - _INK + 40) / 80, 0, 1)  # edges 80 grey levels wide
    return None


def _frame(centre: NDArray[np.float64], side: float, size: int) -> tuple[slice, slice]:
    """Return rows and columns in which an object is drawn: of a large scene only those around it."""
    if size <= _WHOLE:
        return slice(0, size), slice(0, size)
    reach = int(side) + 2
    x, y = (int(value) for value in centre)
    return slice(max(0, y - reach), min(size, y + reach)), slice(max(0, x - reach), min(size, x + reach))


def _contrasting(rng: Generator, covered: UINT8) -> FLOAT32:
    """Return a colour whose brightness is far from that of nine in ten of the N x 3 pixels it will cover."""
    colours = rng.uniform(0, 255, (_TRIES, 3))
    apart = np.abs((colours @ LUMA)[:, None] - covered @ LUMA)
    distances = np.quantile(apart, 0.1, axis=1)
    enough = np.flatnonzero(distances >= _CONTRAST)
    chosen = enough[0] if enough.size else int(distances.argmax())
    colour: FLOAT32 = colours[chosen].astype(np.float32)
    return colour


def paint(image: UINT8, alpha: FLOAT32, colour: FLOAT32) -> UINT8:
    """Return H x W x 3 with a colour drawn over it, H x W opacities 0..1."""
    mixed = image + alpha[..., None] * (colour - image)
    return np.rint(mixed).astype(np.uint8)
