"""Tries a policy once on an image of a model's input, to report before training what cannot work."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Any

import numpy as np

from sightline.config.augmentations import MIXING_NAMES
from sightline.config.transforms import COMPOSITIONS, albumentations, arguments_of
from sightline.system.errors import first_line

_TEARING = ("RandomGridShuffle",)  # an object's parts go to different places, so it has no box any more
_POINTS = ((0, 0), (0.5, 0.5), (1.2, 0.3))  # shares of the sides; the last is outside
Misfits = Generator[tuple[str, str], None, dict[str, Any]]  # yields path and error, returns the changed image


def find_misfits(policy: list[Any], size: int | tuple[int, int], channels: int, spatial: bool) -> Misfits:
    """Yield place and kind of each transform that fails on an image, or leaves what is drawn on it behind.

    Args:
        policy: a list that `find_mistakes` found good.
        size: of the input in pixels, the side of a square or height and width.
        channels: of the input.
        spatial: whether the task learns boxes, masks or key points.
    """
    random = np.random.Generator(np.random.Philox(key=0))
    sides = (size, size) if isinstance(size, int) else size
    given: dict[str, Any] = {"image": random.integers(0, 256, (*sides, channels), np.uint8)}
    if spatial:
        given |= {"mask": np.zeros(sides, np.uint8), "keypoints": np.array(_POINTS, np.float32) * sides[::-1]}
    return (yield from _tried(policy, given))


def _tried(policy: list[Any], given: dict[str, Any]) -> Misfits:
    for place, entry in enumerate(policy):
        [(name, arguments)] = entry.items()
        path = f"[{place}].{name}"
        if name in ("OneOf", "SomeOf", "RandomOrder"):
            start = given
            for number, inner in enumerate(arguments["transforms"]):
                given = yield from _relabelled(_tried([inner], start), f"{path}.transforms[{number}]")
        elif name in COMPOSITIONS:
            given = yield from _relabelled(_tried(arguments["transforms"], given), f"{path}.transforms", whole=True)
        elif name not in MIXING_NAMES:
            given = yield from _one(path, name, arguments, given)
    return given


def _relabelled(misfits: Misfits, path: str, whole: bool = False) -> Misfits:
    """Put a path before those of inner transforms; a list of one has its number already."""
    while True:
        try:
            place, told = next(misfits)
        except StopIteration as end:
            changed: dict[str, Any] = end.value
            return changed
        yield path + (place if whole else place.removeprefix("[0]")), told


def _one(path: str, name: str, arguments: dict[str, Any], given: dict[str, Any]) -> Misfits:
    library = albumentations()
    found = getattr(library, name)
    spatial = "keypoints" in given
    moves = issubclass(found, library.DualTransform)
    if (
        spatial
        and moves
        and (name in _TEARING or library.core.type_definitions.Targets.KEYPOINTS not in found._targets)
    ):
        yield path, "does not move boxes, masks and key points with their objects"
        return given
    params = library.KeypointParams("xy", remove_invisible=False) if spatial else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            always = library.Compose([found(**{**arguments, "p": 1.0})], keypoint_params=params, seed=0)
            changed: dict[str, Any] = always(**given)
    except Exception as error:  # each transform fails differently on an image that does not suit it
        height, width, channels = given["image"].shape
        yield path, f"fails on an image of {height} x {width} x {channels}: {first_line(error)}"
        return given
    bends = "keypoint_remapping_method" in arguments_of(found)  # their points are moved by `data.distortions`
    if spatial and not bends and len(changed["keypoints"]) != len(_POINTS):
        yield path, "duplicates points where it reflects the image; set border_mode: 0"
        return given
    image = changed["image"]
    if image.dtype != np.uint8 or image.shape[2:] != given["image"].shape[2:]:
        yield path, f"makes {image.dtype} of {image.shape}, but images must stay uint8 with the same number of channels"
        return given
    return {**changed, "keypoints": given["keypoints"]} if spatial else changed
