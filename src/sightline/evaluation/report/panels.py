"""What is to be drawn of one sample: panels side by side, each a picture with marks on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.images import decode
from sightline.data.overlay import Colour, class_colour, scaled, with_heat, with_semantic
from sightline.data.structures import FLOAT32, IGNORED, UINT8, LabelMap, Sample

SIDE = 380  # pixels of a panel's longer side
_WRONG: Colour = (213, 94, 0)
_FADED = 0.45  # of a picture on which something else matters
_AMPLIFIED = 2  # times that a difference of images is drawn larger than it is


@dataclass(frozen=True)
class Mark:
    """The outline of an object.

    Attributes:
        lines: closed lines, each P x 2 x, y in pixels of the panel.
        colour: RGB in 0..255.
        words: next to it.
        right: whether it has its counterpart among the true objects, or the predicted ones.
    """

    lines: list[NDArray[np.float64]]
    colour: Colour
    words: str
    right: bool


@dataclass(frozen=True)
class Dot:
    """A key point.

    Attributes:
        x, y: in pixels of the panel.
        colour: RGB in 0..255.
        full: filled, otherwise a ring.
        true: x, y of where it should be, None if that is here or not known.
    """

    x: float
    y: float
    colour: Colour
    full: bool = True
    true: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """A picture, H x W x 3 uint8 RGB, with its name and its overlays."""

    name: str
    picture: UINT8
    marks: list[Mark] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)


def image_panels(sample: Sample, image: UINT8) -> list[Panel]:
    """Return the original, the image that the model made of it (H x W x C), and how much they differ."""
    original = decode(sample.image, image.shape[2])
    difference = np.abs(original.astype(np.int16) - image).mean(2, keepdims=True)
    amplified = (_AMPLIFIED * difference).clip(0, 255).astype(np.uint8)
    named = {"original": original, "made by the model": image, f"difference x {_AMPLIFIED}": amplified}
    return [Panel(name, fitted(pixels)) for name, pixels in named.items()]


def heat_panels(sample: Sample, heat: FLOAT32, labels: LabelMap) -> list[Panel]:
    """Return the image, the true defects on it where they are known, and the heat map (H x W) on it."""
    base, _ = scaled(decode(sample.image, 3), SIDE)
    panels = [Panel("image", base)]
    if sample.semantic is not None:
        panels.append(Panel("truth", with_semantic(base, sample.semantic, True)))
    return [*panels, Panel("heat map", with_heat(base, heat))]


def picture_panels(sample: Sample, pictures: Mapping[str, UINT8]) -> list[Panel]:
    """Return the original, and the pictures that the model made of it (H x W x 3), by name."""
    named = {"original": decode(sample.image, 3), **pictures}
    return [Panel(name, fitted(pixels)) for name, pixels in named.items()]


def fitted(pixels: UINT8) -> UINT8:
    """Return an H x W x C image as RGB, made smaller if a panel is; what is smaller than a panel keeps its pixels."""
    smaller = scaled(pixels, SIDE)[0] if max(pixels.shape[:2]) > SIDE else pixels
    return np.broadcast_to(smaller, (*smaller.shape[:2], 3))


def map_panels(sample: Sample, semantic: UINT8, labels: LabelMap) -> list[Panel]:
    """Return the true map of classes, the predicted one (H x W ids), both over the image, and the wrong pixels."""
    base, _ = scaled(decode(sample.image, 3), SIDE)
    background = bool(labels.semantic)
    true = semantic if sample.semantic is None else sample.semantic
    wrong = ((true != semantic) & (true != IGNORED)).astype(np.uint8)
    there = cv2.resize(wrong, base.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    grey = cv2.cvtColor(cv2.cvtColor(base, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faded = np.rint(255 - _FADED * (255 - grey.astype(np.float32))).astype(np.uint8)
    return [
        Panel("truth", with_semantic(base, true, background)),
        Panel("prediction", with_semantic(base, semantic, background)),
        Panel("wrong pixels", np.where(there[..., None], np.array(_WRONG, np.uint8), faded)),
    ]


def map_legend(maps: list[UINT8], labels: LabelMap, most: int) -> dict[str, Colour]:
    """Return the colours of the classes with the most pixels in the maps, by name; the background has none."""
    background = bool(labels.semantic)
    counts = sum((np.bincount(one.ravel(), minlength=IGNORED + 1) for one in maps), np.zeros(IGNORED + 1, np.int64))
    counts[IGNORED] = 0
    counts[: int(background)] = 0
    largest = [int(label) for label in np.argsort(-counts, kind="stable")[:most] if counts[label]]
    return {labels.map_classes[label]: class_colour(label - background) for label in sorted(largest)}
