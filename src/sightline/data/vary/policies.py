"""The ready-made policies, as the same lists that `augmentations.*.policy` in params.yaml may hold."""

from __future__ import annotations

from typing import assert_never

import cv2
import numpy as np

from sightline.config.augmentations import Entry, ReadyPolicy
from sightline.data.images import PAD_VALUE
from sightline.data.structures import UINT8

KEPT = 224 / 256  # share of the side that Krizhevsky et al. 2012 (section 4.1) cut out of an image
# Such a cut brought back to the whole side: everything is 8/7 as large, and moved by at most half of the seventh.
_LARGER, _MOST = 1 / KEPT, (1 / KEPT - 1) / 2
_REPEATED = cv2.BORDER_REPLICATE
_CORNERS = ((_MOST, _MOST), (-_MOST, _MOST), (_MOST, -_MOST), (-_MOST, -_MOST), (0.0, 0.0))  # the centre is the last


def ready_policy(name: ReadyPolicy) -> list[Entry]:
    """Return the transforms of a ready-made policy.

    none: as they are. strip: for lines of text, whose ends even a small turn or move takes away: a slant, a stretch and
    a turn of 2 degrees. light, medium, heavy, trivial: they never mirror, so digits, text and signs stay what they are.
    light, medium, heavy: each has larger moves than the one before it, medium noise, blur and holes as well, heavy also
    perspective, bending and colours. trivial: TrivialAugment, one transform of a strength drawn evenly from its whole
    range (Müller and Hutter 2021). light_mirrored, trivial_mirrored: these, and half of the images mirrored. alexnet,
    tencrop: as Krizhevsky et al. 2012, for photographs; both mirror.
    """
    match name:
        case "none":
            return []
        case "strip":
            return [_slanted(), _lit(0.25)]
        case "light":
            return [_moved(0.08, 0.1, 10, 0, p=0.9), _lit(0.15)]
        case "medium":
            return [_moved(0.1, 0.2, 15, 5, p=0.9), _lit(0.25), _blurred(0.2), _noisy(0.06, 0.2), _holes(4, 0.15, 0.3)]
        case "heavy":
            bent = [
                {"Perspective": {"scale": [0.03, 0.1], "fill": PAD_VALUE, "p": 1.0}},
                {"GridDistortion": {"num_steps": 4, "distort_limit": [-0.2, 0.2], "border_mode": _REPEATED, "p": 1.0}},
            ]
            colours = {
                "brightness": [0.65, 1.35],
                "contrast": [0.65, 1.35],
                "saturation": [0.5, 1.5],
                "hue": [-0.1, 0.1],
            }
            return [
                _moved(0.12, 0.3, 25, 8, p=0.9),
                {"OneOf": {"transforms": bent, "p": 0.5}},
                {"ColorJitter": {**colours, "p": 0.8}},
                _blurred(0.3),
                _noisy(0.1, 0.3),
                _holes(6, 0.2, 0.5),
            ]
        case "trivial":
            return [_trivial()]
        case "light_mirrored" | "trivial_mirrored":
            return [_mirrored(), *ready_policy("light" if name == "light_mirrored" else "trivial")]
        case "alexnet":
            return [_cut((-_MOST, _MOST), (-_MOST, _MOST)), _mirrored(), {"FancyPCA": {"alpha": 0.1, "p": 1.0}}]
        case "tencrop":
            cuts = [_cut((x, x), (y, y)) for x, y in _CORNERS]
            return [{"OneOf": {"transforms": cuts, "p": 1.0}}, _mirrored()]
        case _:
            assert_never(name)


def ten_crops(image: UINT8) -> UINT8:
    """Return the ten views over which Krizhevsky et al. 2012 (section 4.1) average what a network says.

    Args:
        image: H x W x C uint8.

    Returns:
        10 x H x W x C: 224/256 of both sides cut out at the four corners (upper left, upper right, lower left, lower
        right) and in the centre, brought back to the whole size; then the mirror image of each.
    """
    height, width = image.shape[:2]
    rows, columns = round(KEPT * height), round(KEPT * width)
    down, right = height - rows, width - columns
    places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    cuts = [_stretched(image[top : top + rows, left : left + columns], height, width) for top, left in places]
    views: UINT8 = np.stack([*cuts, *(cut[:, ::-1] for cut in cuts)])
    return views


def _stretched(image: UINT8, height: int, width: int) -> UINT8:
    """Return an image stretched to height x width."""
    resized: UINT8 = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, image.shape[2])


def _moved(shift: float, scale: float, turn: float, shear: float, p: float) -> Entry:
    """Moves by shares of the side, scales around 1, turns and shears by degrees."""
    arguments: dict[str, object] = {
        "translate_percent": [-shift, shift],
        "scale": [1 - scale, 1 + scale],
        "rotate": [-turn, turn],
    }
    if shear:
        arguments["shear"] = [-shear, shear]
    return {"Affine": {**arguments, "fill": PAD_VALUE, "p": p}}


def _slanted() -> Entry:
    """Moves by a pixel or two, turns by up to 2 degrees, slants by up to 8, and stretches by up to 8 %."""
    return {
        "Affine": {
            "translate_percent": {"x": [-0.02, 0.02], "y": [-0.05, 0.05]},
            "scale": {"x": [0.92, 1.04], "y": [0.92, 1.04]},
            "keep_ratio": False,
            "rotate": [-2, 2],
            "shear": {"x": [-8, 8], "y": [0, 0]},
            "border_mode": _REPEATED,
            "p": 0.9,
        }
    }


def _lit(limit: float) -> Entry:
    return {"RandomBrightnessContrast": {"brightness_limit": limit, "contrast_limit": limit, "p": 0.5}}


def _blurred(p: float) -> Entry:
    kinds = [{"GaussianBlur": {"blur_limit": [3, 5], "p": 1.0}}, {"MotionBlur": {"blur_limit": [3, 5], "p": 1.0}}]
    return {"OneOf": {"transforms": kinds, "p": p}}


def _noisy(deviation: float, p: float) -> Entry:
    """Adds noise with a deviation up to a share of the range of values."""
    return {"GaussNoise": {"std_range": [0.01, deviation], "p": p}}


def _holes(most: int, side: float, p: float) -> Entry:
    """Covers up to `most` rectangles with sides up to a share of the image's (DeVries and Taylor 2017)."""
    sides = [side / 3, side]
    holes = {"num_holes_range": [1, most], "hole_height_range": sides, "hole_width_range": sides}
    return {"CoarseDropout": {**holes, "fill": PAD_VALUE, "p": p}}


def _cut(x: tuple[float, float], y: tuple[float, float]) -> Entry:
    """Enlarges, so that only a part is seen; at the border, where rounding may look beyond it, the edge goes on."""
    shift = {"x": list(x), "y": list(y)}
    return {"Affine": {"scale": _LARGER, "translate_percent": shift, "border_mode": _REPEATED, "p": 1.0}}


def _mirrored() -> Entry:
    return {"HorizontalFlip": {"p": 0.5}}


def _trivial() -> Entry:
    """One of TrivialAugment's 14 transforms, with the ranges of RandAugment (Müller and Hutter 2021, table 1).

    Its wide ranges turn by up to 135 degrees, which is too much for digits and text.
    """
    plain = {"p": 1.0}
    colours = {name: [1.0, 1.0] for name in ("brightness", "contrast", "saturation")} | {"hue": [0.0, 0.0]}
    moves: list[dict[str, object]] = [
        {"rotate": [-30, 30]},
        {"shear": {"x": [-17, 17], "y": [0, 0]}},
        {"shear": {"x": [0, 0], "y": [-17, 17]}},
        {"translate_percent": {"x": [-0.3, 0.3], "y": [0, 0]}},
        {"translate_percent": {"x": [0, 0], "y": [-0.3, 0.3]}},
    ]
    kinds: list[Entry] = [
        {"NoOp": plain},
        {"AutoContrast": plain},
        {"Equalize": plain},
        {"Solarize": {"threshold_range": [0.0, 1.0], **plain}},
        {"Posterize": {"num_bits": [4, 8], **plain}},
        {"Sharpen": {"alpha": [0.0, 0.9], "lightness": [1.0, 1.0], **plain}},
        *({"ColorJitter": {**colours, name: [0.1, 1.9], **plain}} for name in ("brightness", "contrast", "saturation")),
        *({"Affine": {**move, "fill": PAD_VALUE, **plain}} for move in moves),
    ]
    return {"OneOf": {"transforms": kinds, "p": 1.0}}
