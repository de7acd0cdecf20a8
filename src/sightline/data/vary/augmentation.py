"""Random variants of training images, each a function of (seed, epoch, sample) alone."""

from __future__ import annotations

import hashlib
import inspect
import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sightline.config.augmentations import Entry, ReadyPolicy
from sightline.data.rectangles import hulls, smallest_rectangles
from sightline.data.structures import FLOAT32, IGNORED, UINT8
from sightline.data.vary.distortions import bent_points
from sightline.data.vary.geometry import Geometry, within
from sightline.data.vary.policies import ready_policy
from sightline.system.errors import UserError, first_line

if TYPE_CHECKING:
    import albumentations as A  # noqa: N812

_FRAME = np.array([[0, 0], [1, 0], [0, 1]], np.float32)  # points that show whether an image was mirrored
_RESIZING = (
    "CropAndPad",
    "LongestMaxSize",
    "RandomResizedCrop",
    "RandomScale",
    "RandomSizedCrop",
    "Resize",
    "SmallestMaxSize",
)
_MIDDLE = 0.5  # of the first pixel, from which Albumentations counts
_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def key(*parts: int | str) -> int:
    """Return 64 bits that depend on all parts, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def build_policy(policy: ReadyPolicy | list[Entry]) -> A.Compose | None:
    """Return the transforms of a policy, or None for no change.

    Args:
        policy: the name of a ready-made one, or a checked list of transforms without mixing.
    """
    entries = ready_policy(policy) if isinstance(policy, str) else policy
    if not entries:
        return None
    import albumentations as A  # noqa: N812 - it takes a second, and many trainings vary nothing

    points = A.KeypointParams("xy", remove_invisible=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that arguments are brought to what a transform can do
        return A.Compose([_built(entry) for entry in entries], keypoint_params=points)


def _built(entry: Entry) -> Any:
    """Return a transform; where it leaves a map without pixels, they are ignored unless the policy says otherwise."""
    import albumentations as A  # noqa: N812
    from albumentations.augmentations.geometric.distortion import BaseDistortion

    [(name, arguments)] = entry.items()
    found = getattr(A, name)
    if "transforms" in arguments:
        return found(**{**arguments, "transforms": [_built(inner) for inner in arguments["transforms"]]})
    filling = inspect.signature(found).parameters.get("fill_mask")
    better: dict[str, Any] = {} if filling is None or filling.default is None else {"fill_mask": IGNORED}
    if name in _RESIZING:
        better["mask_interpolation"] = cv2.INTER_NEAREST_EXACT  # the older one moves maps by up to half a pixel
    built = found(**{**better, **arguments})
    if isinstance(built, BaseDistortion):
        built._key2func["keypoints"] = bent_points  # the library would lose points, by which boxes move
    return built


class Augmenter:
    """Applies a policy; not to be shared between threads.

    Args:
        policy: the name of a ready-made one, or a list of transforms.
        seed: of what is drawn.
        mirrored: for each key point the one that takes its place in a mirrored image; () where none is known.
        keeps_size: whether an image that a transform has made larger or smaller is brought back to its size.
    """

    def __init__(
        self,
        policy: ReadyPolicy | list[Entry],
        seed: int,
        mirrored: Sequence[int] = (),
        keeps_size: bool = True,
    ) -> None:
        self.transform = build_policy(policy)
        self.seed = seed
        self.mirrored = list(mirrored)
        self.keeps_size = keeps_size

    def __call__(self, image: UINT8, epoch: int, sample: str) -> UINT8:
        """H x W x C uint8 -> the same shape, changed as drawn for this sample in this epoch.

        Raises:
            UserError: a transform cannot be applied to an image like this.
        """
        changed: UINT8 = self._drawn(epoch, sample, image=image, keypoints=np.zeros((0, 2), np.float32))["image"]
        return changed.reshape(*changed.shape[:2], image.shape[2])

    def with_geometry(self, image: UINT8, geometry: Geometry, epoch: int, sample: str) -> tuple[UINT8, Geometry]:
        """Change an image and its annotations together.

        Oriented boxes become the smallest ones around their moved corners, and boxes those around them. Without, boxes
        become those of their moved masks where there are masks, else those of the ellipse that filled them: a turned
        object fills the corners of its box as little as an ellipse does.

        Raises:
            UserError: a transform cannot be applied to an image like this.
        """
        height, width, channels = image.shape
        count = len(geometry.boxes)
        outlines = _outlines(geometry.boxes)
        named = np.zeros((0, 1, 3), np.float32) if geometry.keypoints is None else geometry.keypoints
        corners = np.zeros((0, 4, 2), np.float32) if geometry.corners is None else geometry.corners
        parts = [_FRAME * [width, height], outlines, named[..., :2].reshape(-1, 2), corners.reshape(-1, 2)]
        points = np.concatenate(parts)
        given: dict[str, Any] = {"image": image, "keypoints": (points - _MIDDLE).astype(np.float32)}
        if geometry.masks is not None and count:
            given["masks"] = list(geometry.masks)
        if geometry.semantic is not None:
            given["mask"] = geometry.semantic
        drawn = self._drawn(epoch, sample, **given)
        places = np.asarray(drawn["keypoints"], np.float32)[:, :2] + _MIDDLE
        ends = np.cumsum([len(part) for part in parts])[:-1]
        frame, moved, named_moved, corners_moved = np.split(places, ends)
        moved = moved.reshape(count, len(_ANGLES), 2)
        changed = replace(
            geometry,
            boxes=np.concatenate([moved.min(1), moved.max(1)], 1) if count else geometry.boxes,
            semantic=drawn["mask"] if "mask" in given else None,
            keypoints=None if geometry.keypoints is None else self._points(named, named_moved, frame),
        )
        if geometry.corners is not None:
            changed.corners = smallest_rectangles(corners_moved.reshape(-1, 4, 2))
        if "masks" in given:
            masks = (np.stack(drawn["masks"]) == 1).astype(np.uint8)  # outside they are filled with the ignored class
            changed = replace(changed, masks=masks).only(masks.any((1, 2)))
            changed.boxes = boxes_of(masks[masks.any((1, 2))])
        if changed.corners is not None:
            changed.boxes = hulls(changed.corners)
        seen: UINT8 = drawn["image"].reshape(*drawn["image"].shape[:2], channels)
        return seen, within(changed, *seen.shape[:2])

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
        height, width = given["image"].shape[:2]
        try:
            drawn: dict[str, Any] = self.transform(**given)
        except Exception as error:  # each transform fails differently on an image that does not suit it
            told = first_line(error)
            raise UserError(f"augment: the policy fails on {sample}, {width} x {height} pixels: {told}") from None
        if self.keeps_size and drawn["image"].shape[:2] != (height, width):
            return _brought_back(drawn, height, width)
        return drawn


def _brought_back(drawn: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Stretch an image, and its maps and points, to height x width."""
    shape = drawn["image"].shape
    scale = np.array([width / shape[1], height / shape[0]], np.float32)
    method = cv2.INTER_AREA if scale.prod() < 1 else cv2.INTER_LINEAR
    brought = {**drawn, "image": cv2.resize(drawn["image"], (width, height), interpolation=method)}
    places = np.asarray(drawn["keypoints"], np.float32)[:, :2]
    brought["keypoints"] = (places + _MIDDLE) * scale - _MIDDLE
    if "mask" in drawn:
        brought["mask"] = cv2.resize(drawn["mask"], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if "masks" in drawn:
        masks = drawn["masks"]
        brought["masks"] = [cv2.resize(own, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for own in masks]
    return brought


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
