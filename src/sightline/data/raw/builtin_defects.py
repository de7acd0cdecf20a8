"""Embedded data: one part of a photograph again and again, as a camera above a line sees it, some with a defect.

Each image is the same part of scikit-learn's photograph of a temple, a little moved, turned and lit otherwise, with a
sensor's noise. Train has good images alone; half of the test images, and a third of those of validation, have a defect
with its mask: a scratch, a spot, a hole, or a change of colour at the same brightness.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator, Philox

from sightline.data.encoding import encode_png
from sightline.data.raw.builtin_scenes import LUMA, MASK, paint, photographs
from sightline.data.raw.formats.source import Source
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Sample, SplitName

KINDS = ("scratch", "spot", "hole", "colour")
CLASSES = ("good", *KINDS)
DEFECTS = LabelMap(CLASSES, CLASSES)
_PART = (110, 395, 180)  # top, left and side of the part, pixels of the photograph
_MOVED, _TURNED = 1.5, 0.7  # pixels, degrees; most
_LIGHT, _NOISE = 0.06, 2.0  # most change of brightness as a share; deviation in grey levels
_SHARES: dict[SplitName, tuple[float, float]] = {  # of all images; of these, defective ones
    "train": (0.55, 0.0),
    "val": (0.15, 1 / 3),
    "test": (0.30, 1 / 2),
}


class DefectsSource(Source):
    """Images 0..count-1; each depends only on the seed, its number and the number of all."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self.seed = count, size, seed
        self.labels, self.ignored = DEFECTS, []
        self.kinds = _kinds(count)
        _scene()  # loaded once, before threads ask for samples

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        """Return one image, with the mask of its defect: value c is class c."""
        split, label = self.kinds[index]
        rng = Generator(Philox(key=np.array([self.seed, index], np.uint64)))
        image = _view(rng, self.size)
        mask = np.zeros((self.size, self.size), bool)
        if label:
            image, mask = with_defect(rng, image, KINDS[label - 1])
        noisy = image + rng.normal(0, _NOISE, image.shape)
        return Sample(
            f"part/{index:05}",
            encode_png(np.rint(noisy.clip(0, 255)).astype(np.uint8)),
            split=split,
            label=label,
            semantic=mask.astype(np.uint8) * np.uint8(label),
        )


def _kinds(count: int) -> list[tuple[SplitName, int]]:
    """Return split and class of each image: the kinds of defects by turns."""
    found: list[tuple[SplitName, int]] = []
    for split, (share, defective) in _SHARES.items():
        own = max(1, round(share * count)) if split != "test" else count - len(found)
        wrong = round(own * defective)
        found += [(split, 0)] * (own - wrong) + [(split, 1 + place % len(KINDS)) for place in range(wrong)]
    return found


@cache
def _scene() -> UINT8:
    top, left, side = _PART
    margin = 8  # around the part, so that a moved and turned view has no edge
    part = photographs()[0][top - margin : top + side + margin, left - margin : left + side + margin]
    return np.ascontiguousarray(part)


def _view(rng: Generator, size: int) -> FLOAT32:
    """Return the part, size x size x 3 in 0..255, as one exposure sees it."""
    scene, (_, _, side) = _scene(), _PART
    middle = (len(scene) - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), float(rng.uniform(-_TURNED, _TURNED)), size / side)
    turn[:, 2] += (size - 1) / 2 - middle + rng.uniform(-_MOVED, _MOVED, 2)
    view = cv2.warpAffine(scene, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    lit: FLOAT32 = view.astype(np.float32) * np.float32(1 + rng.uniform(-_LIGHT, _LIGHT))
    return lit.clip(0, 255)


def with_defect(rng: Generator, image: FLOAT32, kind: str) -> tuple[FLOAT32, MASK]:
    """Return an image with a defect, and the pixels of it.

    Args:
        rng: source of randomness.
        image: S x S x 3 in 0..255.
        kind: one of `KINDS`.
    """
    size = len(image)
    alpha = _scratch(rng, size) if kind == "scratch" else _blob(rng, size, kind)
    mask = alpha >= 0.5
    brightness = float((image[mask] @ LUMA).mean())
    match kind:
        case "scratch":
            colour = np.full(3, 225.0 if brightness < 140 else 40.0)
        case "spot":
            colour = np.array([70.0, 55.0, 40.0]) if brightness > 110 else np.array([205.0, 195.0, 180.0])
        case "hole":
            colour = np.full(3, 8.0)
        case _:
            return _tinted(rng, image, alpha), mask
    opacity = 0.75 if kind == "spot" else 1.0
    return paint(np.rint(image).astype(np.uint8), opacity * alpha, colour.astype(np.float32)).astype(np.float32), mask


def _scratch(rng: Generator, size: int) -> FLOAT32:
    """Return opacities of a bent line, a quarter to a half of the image long."""
    start = rng.uniform(0.2, 0.8, 2) * size
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.5) * size
    steps = np.linspace(0, 1, 12)
    bend = rng.uniform(-0.5, 0.5)
    way = angle + bend * steps
    points = start + np.cumsum(np.stack([np.cos(way), np.sin(way)], 1), 0) * (length / len(steps))
    points = points.clip(2, size - 3)
    ink = np.zeros((size, size), np.uint8)
    thick = max(2, round(size / 64))
    cv2.polylines(ink, [np.rint(points * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    return (ink / 255).astype(np.float32)


def _blob(rng: Generator, size: int, kind: str) -> FLOAT32:
    """Return opacities of an ellipse; a change of colour has soft edges and is larger."""
    low, high = {"spot": (0.035, 0.07), "hole": (0.03, 0.06)}.get(kind, (0.07, 0.12))
    axes = rng.uniform(low, high, 2) * size
    centre = rng.uniform(0.15, 0.85, 2) * size
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    across = (columns - centre[0]) * np.cos(turn) + (rows - centre[1]) * np.sin(turn)
    along = (rows - centre[1]) * np.cos(turn) - (columns - centre[0]) * np.sin(turn)
    distance = np.hypot(across / axes[0], along / axes[1])
    softness = 0.35 if kind == "colour" else 0.15
    alpha: FLOAT32 = np.clip(0.5 + (1 - distance) / softness, 0, 1).astype(np.float32)
    return alpha


def _tinted(rng: Generator, image: FLOAT32, alpha: FLOAT32) -> FLOAT32:
    """Return the image with its colours moved towards another hue where alpha is, its brightness kept."""
    towards = rng.uniform(-1, 1, 3)
    towards -= towards @ LUMA  # the weights add up to 1
    towards *= 70 / np.abs(towards).max()
    tinted: FLOAT32 = (image + alpha[..., None] * towards.astype(np.float32)).clip(0, 255)
    return tinted
