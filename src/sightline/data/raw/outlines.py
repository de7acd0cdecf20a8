"""Polygons and run lengths as files have them, checked and made COCO's compressed run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from pycocotools import mask as coco_masks

from sightline.data.encoding import runs_of

Outline: TypeAlias = list[list[float]] | dict[str, Any]


_LEAST = 6  # numbers of a polygon that has an area


class BrokenOutline(Exception):  # noqa: N818 - it is the outline that is broken
    """An outline that cannot be made a mask; says why."""


class NoArea(BrokenOutline):
    """An outline of too few points."""


def run_lengths_of(outline: Outline, size: tuple[int, int], unit: tuple[float, float] = (1, 1)) -> dict[str, Any]:
    """Return an outline as compressed run lengths `{"size": [h, w], "counts": str}`.

    Args:
        outline: polygons `[[x, y, x, y, ...], ...]`, joined, or COCO's run lengths, compressed or not.
        size: height and width of the image.
        unit: pixels of one step in x and in y.

    Raises:
        NoArea: too few points.
        BrokenOutline: numbers that are none, or run lengths of another size.
    """
    height, width = size
    if isinstance(outline, dict):
        runs = _checked_runs(outline, size)
        encoded = coco_masks.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    else:
        drawn = [polygon for polygon in outline if len(polygon) >= _LEAST] or outline  # slivers next to it have no area
        polygons = [_checked_polygon(polygon, unit) for polygon in drawn]
        if not polygons:
            raise NoArea("the outline is empty")
        # pycocotools takes four numbers for a box, so polygons must have been checked before
        encoded = coco_masks.merge(coco_masks.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def _checked_polygon(polygon: Sequence[float], unit: tuple[float, float]) -> list[float]:
    try:
        points = np.asarray(polygon, np.float64)
    except (ValueError, TypeError):
        raise BrokenOutline("a polygon contains something other than numbers") from None
    if points.ndim != 1 or len(points) % 2:
        raise BrokenOutline(f"a polygon has {points.size} numbers, expected x, y, x, y, ...")
    if len(points) < _LEAST:
        raise NoArea(f"a polygon has {len(points) // 2} points, expected at least 3")
    if not np.isfinite(points).all():
        raise BrokenOutline("a polygon contains a number that is not finite")
    scaled: list[float] = (points.reshape(-1, 2) * unit).ravel().tolist()
    return scaled


def _checked_runs(encoded: dict[str, Any], size: tuple[int, int]) -> list[int]:
    if list(encoded.get("size", ())) != list(size):
        raise BrokenOutline(f"run lengths for size {encoded.get('size')}, the image has [{size[0]}, {size[1]}]")
    counts = encoded.get("counts")
    try:
        runs = runs_of(counts) if isinstance(counts, str) else [int(run) for run in counts or ()]
    except (ValueError, TypeError, IndexError):
        raise BrokenOutline("run lengths that cannot be read") from None
    if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:
        raise BrokenOutline(f"run lengths of {sum(runs)} pixels, the image has {size[0] * size[1]}")
    return runs


def has_area(outline: Outline | None) -> bool:
    """Tell by the number of its points whether an outline may cover a pixel."""
    return isinstance(outline, dict) or any(len(polygon) >= _LEAST for polygon in outline or ())
