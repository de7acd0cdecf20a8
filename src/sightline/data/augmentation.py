"""Random variants of training images, each a function of (seed, epoch, sample) alone."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, assert_never

import albumentations as A  # noqa: N812
import numpy as np

from sightline.data.geometry import Geometry, within
from sightline.structures import FLOAT32, IGNORED, UINT8

Policy = Literal["none", "light"]
_FRAME = np.array([[0, 0], [1, 0], [0, 1]], np.float32)  # points that tell whether an image was mirrored
_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def key(*parts: int | str) -> int:
    """Return 64 bits that depend on all parts, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def build_policy(policy: Policy, channels: int) -> A.Compose | None:
    """Return the transforms of a policy, or None for no change.

    `light` moves, scales, turns and lights an image a little; it never mirrors, so digits and text stay what they are.
    """
    match policy:
        case "none":
            return None
        case "light":
            grey = 114 if channels == 1 else (114, 114, 114)
            move = A.Affine(
                translate_percent=(-0.08, 0.08), scale=(0.9, 1.1), rotate=(-10, 10), fill=grey, fill_mask=IGNORED, p=0.9
            )
            light = A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.5)
            return A.Compose([move, light], keypoint_params=A.KeypointParams("xy", remove_invisible=False))
        case _:
            assert_never(policy)


class Augmenter:
    """Applies a policy; not to be shared between threads.

    Args:
        policy: its name.
        channels: of the images.
        seed: of what is drawn.
        mirrored: for each key point the one that takes its place in a mirrored image; () where none is known.
    """

    def __init__(self, policy: Policy, channels: int, seed: int, mirrored: Sequence[int] = ()) -> None:
        self.transform = build_policy(policy, channels)
        self.seed = seed
        self.mirrored = list(mirrored)

    def __call__(self, image: UINT8, epoch: int, sample: str) -> UINT8:
        """H x W x C uint8 -> the same shape, changed as drawn for this sample in this epoch."""
        changed: UINT8 = self._drawn(epoch, sample, image=image, keypoints=[])["image"]
        return changed.reshape(image.shape)

    def with_geometry(self, image: UINT8, geometry: Geometry, epoch: int, sample: str) -> tuple[UINT8, Geometry]:
        """Change an image and what lies on it together.

        Boxes become those of their moved masks where there are masks, else those of the ellipse that filled them: a
        turned object fills the corners of its box as little as an ellipse does.
        """
        size, count = image.shape[0], len(geometry.boxes)
        outlines = _outlines(geometry.boxes)
        named = np.zeros((0, 1, 3), np.float32) if geometry.keypoints is None else geometry.keypoints
        points = np.concatenate([_FRAME * size, outlines, named[..., :2].reshape(-1, 2)])
        given: dict[str, Any] = {"image": image, "keypoints": points}
        if geometry.masks is not None and count:
            given["masks"] = list(geometry.masks)
        if geometry.semantic is not None:
            given["mask"] = geometry.semantic
        drawn = self._drawn(epoch, sample, **given)
        frame, moved, named_moved = np.split(np.asarray(drawn["keypoints"], np.float32)[:, :2], [3, 3 + len(outlines)])
        moved = moved.reshape(count, len(_ANGLES), 2)
        changed = replace(
            geometry,
            boxes=np.concatenate([moved.min(1), moved.max(1)], 1) if count else geometry.boxes,
            semantic=drawn["mask"] if "mask" in given else None,
            keypoints=None if geometry.keypoints is None else self._points(named, named_moved, frame),
        )
        if "masks" in given:
            masks = (np.stack(drawn["masks"]) == 1).astype(np.uint8)  # outside they are filled with the ignored class
            changed = replace(changed, masks=masks).only(masks.any((1, 2)))
            changed.boxes = boxes_of(masks[masks.any((1, 2))])
        return drawn["image"].reshape(image.shape), within(changed, size)

    def _points(self, before: FLOAT32, moved: FLOAT32, frame: FLOAT32) -> FLOAT32:
        """Return N x K x 3 key points at their new places, left and right exchanged where the frame has turned over."""
        points = before.copy()
        points[..., :2] = moved.reshape(*before.shape[:2], 2)
        points[points[..., 2] == 0] = 0
        (x1, y1), (x2, y2) = frame[1] - frame[0], frame[2] - frame[0]
        return points[:, self.mirrored] if self.mirrored and x1 * y2 - x2 * y1 < 0 else points

    def _drawn(self, epoch: int, sample: str, **given: Any) -> dict[str, Any]:
        if self.transform is None:
            return given
        stream = key(self.seed, "augment", epoch, sample)
        # Compose.set_random_seed would give every transform the same draws; a state is passed on properly.
        generator = np.random.Generator(np.random.Philox(key=[stream, 0]))
        self.transform.set_random_state(generator, random.Random(stream))
        drawn: dict[str, Any] = self.transform(**given)
        return drawn


def boxes_of(masks: UINT8) -> FLOAT32:
    """Return the tight xyxy boxes, N x 4, of N x S x S masks that are not empty."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def _outlines(boxes: FLOAT32) -> FLOAT32:
    """Return 12 points of the ellipse in each of N boxes, 12 N x 2; four of them touch the box."""
    centre, half = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2, (boxes[:, None, 2:] - boxes[:, None, :2]) / 2
    circle = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1).astype(np.float32)
    outlines: FLOAT32 = (centre + half * circle).reshape(-1, 2).astype(np.float32)
    return outlines
