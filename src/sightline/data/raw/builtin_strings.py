"""Embedded data: strings of handwritten digits on crops of two photographs, with their text.

A digit is scikit-learn's scan, or one of MNIST's. Each of them is in the strips of one split only: what is read in the
test split was never seen in training. MNIST's test digits are in test, those of scikit-learn are divided by class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from sightline.data.encoding import encode_png
from sightline.data.raw.builtin import scanned_digits
from sightline.data.raw.builtin_scenes import LUMA, PHOTOGRAPHS, paint, photographs
from sightline.data.raw.formats.idx import open_idx
from sightline.data.raw.formats.source import Source
from sightline.data.structures import FLOAT32, SPLITS, UINT8, LabelMap, Sample, SplitName
from sightline.system.errors import UserError

STRINGS = LabelMap((), (), characters=tuple("0123456789"))
_DEALT = 2**62  # numbers the random stream that divides digits, where strips number theirs from 0
_WIDEST = 4.0  # strip's width as a multiple of its height
_SIDES = (0.68, 0.84)  # a digit's side as a share of the strip's height
_ADVANCE = 0.78  # from digit to digit, as a share of the side
_CLOSER = 0.08  # how much nearer or farther that may be
_MARGIN = (0.08, 0.3)  # left and right, as shares of the strip's height
_TURN, _SLANT = 8.0, 0.15  # degrees; shear of the whole string
_DRIFT = 0.05  # up or down, as a share of the strip's height
_INK = {"scanned": 145, "mnist": 100}  # of 255: ink from here on belongs to the digit; MNIST's lines are thin
_EDGE = 80  # grey levels from nothing to full ink
_CONTRAST = 80  # grey levels
_OFFERED = 30  # colours to choose from
_FRAME = 1 / 8  # of MNIST's side: nearly always empty, left, right, above and below


@dataclass(frozen=True)
class Digits:
    """N pictures of digits, S x S grey, bright ink on black, what they show, and from where on it is ink."""

    pictures: UINT8
    classes: UINT8
    ink: int


class StringsSource(Source):
    """Strips 0..count-1, those of train first; each depends only on the seed, its number and the digits of its split.

    Args:
        digits: of each split.
        fractions: of the strips that each split gets.
        count: of strips.
        height: of a strip in pixels; its width follows from its digits.
        lengths: of the shortest and the longest string.
        seed: another one gives other strips.

    Raises:
        UserError: a split with strips, but without digits.
    """

    def __init__(
        self,
        digits: Mapping[SplitName, Digits],
        fractions: Mapping[SplitName, float],
        count: int,
        height: int,
        lengths: tuple[int, int],
        seed: int,
    ) -> None:
        self.digits, self.height, self.lengths, self.seed = digits, height, lengths, seed
        self.labels, self.ignored = STRINGS, []
        for split, share in fractions.items():
            if share > 0 and not len(digits[split].classes):
                raise UserError(
                    f"split.{split}: {share:g}: not one digit is left for its strips; raise it, or set it to 0"
                )
        self.ends = np.rint(np.cumsum([fractions[split] for split in SPLITS]) * count).astype(int).tolist()
        photographs()  # loaded once, before threads ask for samples

    def __len__(self) -> int:
        return int(self.ends[-1])

    def sample(self, index: int) -> Sample:
        """Return one strip with its text."""
        split = next(name for name, end in zip(SPLITS, self.ends, strict=True) if index < end)
        rng = Generator(Philox(key=np.array([self.seed, index], np.uint64)))
        own = self.digits[split]
        chosen = rng.integers(0, len(own.classes), int(rng.integers(self.lengths[0], self.lengths[1] + 1)))
        image, photograph = draw_strip(rng, own.pictures[chosen], self.height, own.ink)
        text = "".join(str(digit) for digit in own.classes[chosen])
        return Sample(
            f"string/{index:05}",
            encode_png(image),
            split=split,
            text=text,
            attributes={"photograph": photograph, "characters": len(text)},
        )


def scanned(fractions: Mapping[SplitName, float], seed: int) -> dict[SplitName, Digits]:
    """Return scikit-learn's digits, each class divided by the fractions."""
    return _dealt(Digits(*scanned_digits(), _INK["scanned"]), fractions, seed)


def of_mnist(root: Path, fractions: Mapping[SplitName, float], seed: int) -> dict[SplitName, Digits]:
    """Return MNIST's digits from its IDX files: those for testing in test, the others in train and val.

    Raises:
        UserError: a file is missing, damaged, or of other things than digits.
    """
    source = open_idx(root)
    if int(source.values.max()) > 9:
        raise UserError(f"{root}: has the class {source.values.max()}, but strings are made of the digits 0 to 9")
    ink = _INK["mnist"]
    found = {split: Digits(_framed(images), classes, ink) for split, (images, classes) in source.parts.items()}
    if "test" not in found:
        return _dealt(found["train"], fractions, seed)
    rest = _dealt(found["train"], {**fractions, "test": 0.0}, seed)
    return {**rest, "test": found["test"]}


def _framed(images: UINT8) -> UINT8:
    """Cut off the frame of N x S x S pictures, as scans of digits have none."""
    side = images.shape[1]
    inner = slice(int(_FRAME * side), side - int(_FRAME * side))
    return images[:, inner, inner]


def _dealt(digits: Digits, fractions: Mapping[SplitName, float], seed: int) -> dict[SplitName, Digits]:
    rng = Generator(Philox(key=np.array([seed, _DEALT], np.uint64)))
    total = sum(fractions.values())
    parts: dict[SplitName, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    for digit in range(10):
        own = rng.permutation(np.flatnonzero(digits.classes == digit))
        ends = np.rint(np.cumsum([fractions[split] / total for split in SPLITS]) * len(own)).astype(int)
        for split, members in zip(SPLITS, np.split(own, ends[:-1]), strict=True):
            parts[split].append(members)
    joined = {split: np.concatenate(own) for split, own in parts.items()}
    return {split: Digits(digits.pictures[own], digits.classes[own], digits.ink) for split, own in joined.items()}


def draw_strip(rng: Generator, pictures: UINT8, height: int, ink: int) -> tuple[UINT8, str]:
    """Return a strip, `height` x W x 3, with N digits from left to right, and the name of its photograph.

    Args:
        rng: source of randomness.
        pictures: N x S x S grey.
        height: of the strip, pixels.
        ink: grey level from which on a pixel belongs to its digit.
    """
    number = int(rng.integers(len(PHOTOGRAPHS)))
    left, right = rng.uniform(*_MARGIN, 2) * height
    steps = _ADVANCE * (1 + rng.uniform(-_CLOSER, _CLOSER, len(pictures)))
    room = (_WIDEST * height - left - right) / steps.sum()
    side = min(rng.uniform(*_SIDES) * height, room)
    width = round(left + right + side * steps.sum())
    image = _crop(rng, photographs()[number], height, width)
    middles = left + side * (np.cumsum(steps) - steps / 2)
    slant = rng.uniform(-_SLANT, _SLANT)
    for picture, middle in zip(pictures, middles, strict=True):
        centre = (middle, height * (0.5 + rng.uniform(-_DRIFT, _DRIFT)))
        grey = _placed(picture, centre, side, rng.uniform(-_TURN, _TURN), slant, (height, width))
        alpha = np.clip((grey.astype(np.float32) - ink + _EDGE / 2) / _EDGE, 0, 1).astype(np.float32)
        image = paint(image, alpha, _contrasting(rng, image[alpha > 0]))
    return image, PHOTOGRAPHS[number]


def _crop(rng: Generator, photograph: UINT8, height: int, width: int) -> UINT8:
    top, left = (
        int(rng.integers(0, have - want + 1)) for have, want in zip(photograph.shape[:2], (height, width), strict=True)
    )
    return photograph[top : top + height, left : left + width].copy()


def _placed(
    picture: UINT8, centre: tuple[float, float], side: float, turn: float, slant: float, size: tuple[int, int]
) -> UINT8:
    """Return an S x S picture as H x W, turned by degrees, slanted, and `side` pixels large around its centre."""
    scale, angle = side / len(picture), np.deg2rad(turn)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = scale * np.array([[1.0, -slant], [0.0, 1.0]]) @ turned
    middle = (len(picture) - 1) / 2
    shift = np.array(centre) - 0.5 - matrix @ [middle, middle]
    placed: UINT8 = cv2.warpAffine(picture, np.column_stack([matrix, shift]), size[::-1], flags=cv2.INTER_CUBIC)
    return placed


def _contrasting(rng: Generator, covered: UINT8) -> FLOAT32:
    """Return a colour whose brightness is far from that of nine in ten of the N x 3 pixels that it will cover."""
    colours = rng.uniform(0, 255, (_OFFERED, 3))
    apart = np.abs((colours @ LUMA)[:, None] - covered @ LUMA)
    distances = np.quantile(apart, 0.1, axis=1)
    enough = np.flatnonzero(distances >= _CONTRAST)
    colour: FLOAT32 = colours[enough[0] if enough.size else int(distances.argmax())].astype(np.float32)
    return colour
