"""Embedded data: one drawn person on a crop of a photograph, for key points known by construction.

Figures face the viewer, so a person's left is on the right of the image, and a mirrored image with left and right
exchanged is again such a figure. The limbs of the two sides have different colours, so crossed ones can be followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator, Philox

from sightline.data.encoding import encode_png, encode_rle
from sightline.data.raw.annotations import map_names
from sightline.data.raw.builtin_scenes import LUMA, MASK, PHOTOGRAPHS, box_of, paint, photographs
from sightline.data.raw.formats.source import Source
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Sample

_PAIRS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ("head", *(f"{side}_{joint}" for joint in _PAIRS for side in ("left", "right")))
MIRRORED = (0, *(place + (1 if place % 2 else -1) for place in range(1, len(JOINTS))))
FIGURES = LabelMap(("person",), ("person",), keypoints=JOINTS, mirrored=MIRRORED, semantic=map_names(["person"]))
# Lengths as shares of a person's height (R. Drillis and R. Contini, "Body segment parameters", 1966, figure 4).
_TRUNK, _HEAD, _UPPER_ARM, _FOREARM, _THIGH, _SHANK = 0.288, 0.115, 0.186, 0.146, 0.245, 0.246
_SHOULDER, _HIP, _SKULL = 0.129, 0.0955, 0.068
_ARM, _LEG, _WAIST = 0.024, 0.034, 0.06  # half the thickness of limbs and trunk
# Degrees from hanging straight down, outwards; of elbow and knee from the stretched limb.
_RANGES = {
    "lean": (-20, 20),
    "nod": (-20, 20),
    "arm": (-15, 165),
    "elbow": (-70, 130),
    "leg": (-8, 55),
    "knee": (-80, 5),
}
_HEIGHTS = (0.5, 0.95)  # of a standing figure, as a share of the image's side
_DRIFT = 0.17  # how far its middle may be from the image's, as a share of the side
_COVERED = 0.3  # share of the figures that stand behind something
_EYES = np.array([20, 20, 20], np.float32)  # dark grey
_SHIFT = 4  # bits of a pixel's fraction in OpenCV's coordinates
_OFFERED = 24  # colours to choose from
_LOOKED_AT = 100  # of the covered pixels: enough to choose colours by


@dataclass(frozen=True)
class Figure:
    """An image H x W x 3, the mask of the visible figure, and its 13 joints x 3: x, y, visibility 0, 1 or 2."""

    image: UINT8
    mask: MASK
    joints: FLOAT32
    photograph: str


class FiguresSource(Source):
    """Figures 0..count-1; each depends only on the seed and its number."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self.seed = count, size, seed
        self.labels, self.ignored = FIGURES, []
        photographs()  # loaded once, before threads ask for samples

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        """Return one figure with box, mask and key points."""
        rng = Generator(Philox(key=np.array([self.seed, index], np.uint64)))
        figure = draw_figure(rng, self.size)
        return Sample(
            f"figure/{index:05}",
            encode_png(figure.image),
            labels=[0],
            boxes=box_of(figure.mask)[None],
            box_labels=[0],
            iscrowd=[False],
            area=[float(figure.mask.sum())],
            instances=[encode_rle(figure.mask)],
            semantic=figure.mask.astype(np.uint8),
            keypoints=figure.joints[None],
            attributes={"photograph": figure.photograph},
        )


def draw_figure(rng: Generator, size: int) -> Figure:
    """Return a crop of a photograph with a person on it, at times behind something."""
    number = int(rng.integers(len(PHOTOGRAPHS)))
    photograph = photographs()[number]
    image = _crop(rng, photograph, size)
    height = size * rng.uniform(*_HEIGHTS)
    joints = draw_pose(rng) * height
    middle = (joints.min(axis=0) + joints.max(axis=0)) / 2
    joints += size * (0.5 + rng.uniform(-_DRIFT, _DRIFT, 2)) - middle
    parts = _parts(rng, joints, height)
    inks = [_ink(corners, radius, size) for corners, radius, _ in parts]
    owner = np.full((size, size), -1)
    for place, ink in enumerate(inks):
        owner[ink >= 0.5] = place
    colours = _colours(rng, image[owner >= 0])
    for ink, (corners, radius, colour) in zip(inks, parts, strict=True):
        window = _window(corners, radius, size)
        image[window] = paint(image[window], ink[window], colours[colour])
    image = _with_face(image, joints, height)
    if rng.random() < _COVERED:
        image, cover = _behind(rng, image, photograph, joints)
        owner[cover] = -1
    return Figure(image, owner >= 0, _seen(joints, parts, owner), PHOTOGRAPHS[number])


def _crop(rng: Generator, photograph: UINT8, size: int) -> UINT8:
    top, left = (int(rng.integers(0, side - size + 1)) for side in photograph.shape[:2])
    return photograph[top : top + size, left : left + size].copy()


def draw_pose(rng: Generator) -> FLOAT32:
    """Return 13 x 2 joints of a person of height 1 whose hips are around the origin, in the order of `JOINTS`."""
    drawn = {name: rng.uniform(*bounds, 2) * (np.pi / 180) for name, bounds in _RANGES.items()}
    lean = drawn["lean"][0]
    up, across = np.array([np.sin(lean), -np.cos(lean)]), np.array([np.cos(lean), np.sin(lean)])

    def along(angle: float, side: int) -> FLOAT32:
        """Direction `angle` outwards from straight down the trunk."""
        direction: FLOAT32 = side * np.sin(angle) * across - np.cos(angle) * up
        return direction

    chest = _TRUNK * up
    nod = drawn["nod"][0]
    joints = {"head": chest + _HEAD * (np.cos(nod) * up + np.sin(nod) * across)}
    for number, (side, sign) in enumerate((("left", 1), ("right", -1))):
        arm, leg = drawn["arm"][number], drawn["leg"][number]
        shoulder, hip = chest + sign * _SHOULDER * across, sign * _HIP * across
        elbow, knee = shoulder + _UPPER_ARM * along(arm, sign), hip + _THIGH * along(leg, sign)
        wrist = elbow + _FOREARM * along(arm + drawn["elbow"][number], sign)
        ankle = knee + _SHANK * along(leg + drawn["knee"][number], sign)
        for name, point in zip(_PAIRS, (shoulder, elbow, wrist, hip, knee, ankle), strict=True):
            joints[f"{side}_{name}"] = point
    return np.array([joints[name] for name in JOINTS], np.float32)


_Part = tuple[FLOAT32, float, str]  # corners of its middle line, half its thickness in pixels, name of its colour


def _parts(rng: Generator, joints: FLOAT32, height: float) -> list[_Part]:
    """Return the parts from back to front: legs, then the trunk with an arm before or behind it, the head last."""
    at = dict(zip(JOINTS, joints, strict=True))
    chest = (at["left_shoulder"] + at["right_shoulder"]) / 2
    trunk = np.array([at[name] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")], np.float32)
    parts: list[_Part] = [(trunk, _WAIST / 2 * height, "trunk"), (np.array([chest, at["head"]]), _ARM * height, "skin")]

    def limb(side: str, upper: tuple[str, str], lower: tuple[str, str], thickness: float) -> list[_Part]:
        bones = [np.array([at[f"{side}_{start}"], at[f"{side}_{end}"]]) for start, end in (upper, lower)]
        return [(bones[0], thickness * height, side), (bones[1], 0.8 * thickness * height, side)]

    for side in rng.permutation(["left", "right"]):
        parts = limb(side, ("hip", "knee"), ("knee", "ankle"), _LEG) + parts
        arm = limb(side, ("shoulder", "elbow"), ("elbow", "wrist"), _ARM)
        parts = arm + parts if rng.random() < 0.4 else parts + arm
    return [*parts, (np.array([at["head"], at["head"]]), _SKULL * height, "skin")]


def _ink(corners: FLOAT32, radius: float, size: int) -> FLOAT32:
    """Return the opacity 0..1, size x size, of all within `radius` of a line or a polygon."""
    scale = 2**_SHIFT
    fixed = np.rint((corners - 0.5) * scale).astype(np.int32)  # OpenCV counts from the middle of the first pixel
    ink = np.zeros((size, size), np.uint8)
    if len(corners) > 2:
        cv2.fillConvexPoly(ink, fixed, 255, cv2.LINE_AA, _SHIFT)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.hypot(*(end - start)))
        if length:
            beside = np.array([start[1] - end[1], end[0] - start[0]]) * (radius / length)
            band = np.array([start + beside, end + beside, end - beside, start - beside]) - 0.5
            cv2.fillConvexPoly(ink, np.rint(band * scale).astype(np.int32), 255, cv2.LINE_AA, _SHIFT)
    for x, y in fixed.tolist():
        cv2.circle(ink, (x, y), round(radius * scale), 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return (ink / 255).astype(np.float32)


def _window(corners: FLOAT32, radius: float, size: int) -> tuple[slice, slice]:
    """Return the rows and columns that contain the ink of a part."""
    low = np.clip(np.floor(corners.min(axis=0) - radius - 2), 0, size).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + radius + 2), 0, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _colours(rng: Generator, covered: UINT8) -> dict[str, FLOAT32]:
    """Return a colour for trunk, skin and the limbs of each side, unlike each other and what they cover."""
    offered = rng.uniform(0, 255, (_OFFERED, 3)).astype(np.float32)
    seen = covered[:: max(1, len(covered) // _LOOKED_AT)]
    apart = np.quantile(np.abs((offered @ LUMA)[:, None] - seen @ LUMA), 0.1, axis=1)
    chosen = [int(apart.argmax())]
    good = np.argsort(-apart, kind="stable")[: _OFFERED // 3]  # a third stands out; the rest would be lost
    while len(chosen) < 4:
        distances = np.abs(offered[good, None] - offered[chosen]).sum(axis=2).min(axis=1)
        chosen.append(int(good[distances.argmax()]))
    return dict(zip(("left", "right", "trunk", "skin"), offered[rng.permutation(chosen)], strict=True))


def _with_face(image: UINT8, joints: FLOAT32, height: float) -> UINT8:
    """Draw two eyes, as figures face the viewer."""
    chest = joints[1:3].mean(axis=0)
    up = (joints[0] - chest) / np.hypot(*(joints[0] - chest))
    across = np.array([-up[1], up[0]])
    for sign in (-1, 1):
        eye = joints[0] + _SKULL * height * (0.15 * up + sign * 0.4 * across)
        corners, radius = np.array([eye, eye], np.float32), max(0.7, 0.18 * _SKULL * height)
        window = _window(corners, radius, len(image))
        image[window] = paint(image[window], _ink(corners, radius, len(image))[window], _EYES)
    return image


def _behind(rng: Generator, image: UINT8, photograph: UINT8, joints: FLOAT32) -> tuple[UINT8, MASK]:
    """Lay a piece of the photograph over a joint; return the image and where the piece is."""
    size = image.shape[0]
    centre = joints[int(rng.integers(1, len(joints)))] + rng.uniform(-0.05, 0.05, 2) * size
    ink = _ink(np.array([centre, centre + rng.uniform(-0.2, 0.2, 2) * size]), size * rng.uniform(0.05, 0.11), size)
    piece = _crop(rng, photograph, size)
    mixed = image + ink[..., None] * (piece.astype(np.float32) - image)
    return np.rint(mixed).astype(np.uint8), ink >= 0.5


def _seen(joints: FLOAT32, parts: list[_Part], owner: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> FLOAT32:
    """Return joints with visibility: 2 where a part that ends in the joint is in front, 1 covered, 0 outside."""
    size = len(owner)
    found = np.zeros((len(joints), 3), np.float32)
    for place, (x, y) in enumerate(joints.tolist()):
        if 0 <= x < size and 0 <= y < size:
            front = int(owner[int(y), int(x)])
            own = front >= 0 and bool((parts[front][0] == joints[place]).all(axis=1).any())
            found[place] = x, y, 2 if own else 1
    return found
