"""Where points go when an image is bent by a map of its pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sightline.data.structures import FLOAT32

_STEPS = 40  # bends that Albumentations' transforms draw by default need about ten
_CLOSE = 0.1  # pixels


def bent_points(keypoints: FLOAT32, map_x: FLOAT32, map_y: FLOAT32, **_: Any) -> FLOAT32:
    """Return the places that show what was at given places before an image was bent.

    Albumentations' ways move points to whole pixels, or leave out those that are outside or covered by others. This
    one inverts the map: q = p - (map(q) - q), repeated. Where the map folds and that does not end, it takes the nearest
    pixel. Beyond the image the map goes on as at its edge.

    Args:
        keypoints: N x (2 or more) float32; x and y in pixels, 0 in the middle of the first, then what stays.
        map_x: H x W, the column from which each pixel of the bent image comes, as `cv2.remap` takes it.
        map_y: H x W, the row.

    Returns:
        N points with new x and y.
    """
    maps = np.stack([map_x, map_y], -1).astype(np.float32)
    height, width = maps.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    shifts = maps - np.stack([columns, rows], -1)
    wanted = keypoints[:, :2].astype(np.float32)
    places = wanted.copy()
    if not len(places):
        return keypoints
    for _step in range(_STEPS):
        places = wanted - _shift_at(shifts, places)
    missed = np.abs(places + _shift_at(shifts, places) - wanted).max(1) > _CLOSE
    for place in np.flatnonzero(missed):
        nearest = ((maps - wanted[place]) ** 2).sum(-1).argmin()
        places[place] = nearest % width, nearest // width
    moved: FLOAT32 = np.concatenate([places, keypoints[:, 2:]], 1)
    return moved


def _shift_at(shifts: FLOAT32, places: FLOAT32) -> FLOAT32:
    """Return N x 2 values of an H x W x 2 field between its pixels, and beyond them those of its edge."""
    at = cv2.remap(shifts, places[None, :, 0], places[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found: FLOAT32 = at.reshape(-1, 2)
    return found
