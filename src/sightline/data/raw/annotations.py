"""Checks what is drawn on an image against the image, and makes a sample of what holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from sightline.data.encoding import decode_rle
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.outlines import BrokenOutline, NoArea, Outline, run_lengths_of
from sightline.data.rectangles import areas, hulls, smallest_rectangle, upright_corners
from sightline.data.structures import FLOAT32, IGNORED, UINT8, Sample, SplitName

Size = tuple[int, int]  # height, width in pixels of the upright image
_SLACK = 1e-3  # pixels by which a box may stick out untold: rounding
_TINY, _FLAT = 2, 1e-3  # pixels
_Tell = Callable[[Code, str], None]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object as in its file, not checked yet.

    Attributes:
        place: where it stands, e.g. `instances.json: annotation 17`.
        label: its class.
        box: xyxy pixels of the upright image; where it is missing, outline or key points give it.
        outline: polygons `[[x, y, x, y, ...], ...]` or COCO's run lengths.
        points: x, y, visibility of each key point, one after the other.
        area: pixels, as in the file; if it is missing, those of mask or box.
        relative: x and y are shares 0..1 of width and height.
        corners: x, y, x, y, ... of the corners of an oriented box, which gives the box too.
    """

    place: str
    label: int
    box: Sequence[float] | None = None
    outline: Outline | None = None
    points: Sequence[float] | None = None
    area: float | None = None
    iscrowd: bool = False
    difficult: bool = False
    relative: bool = False
    corners: Sequence[float] | None = None

    def labelled(self, label: int) -> Annotation:
        """Return the same with another class, in a third of the time of `dataclasses.replace`."""
        shapes = (self.box, self.outline, self.points, self.area)
        return Annotation(self.place, label, *shapes, self.iscrowd, self.difficult, self.relative, self.corners)


class _Rejected(Exception):  # noqa: N818 - no error of the program
    def __init__(self, code: Code, reason: str) -> None:
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class _Object:
    label: int
    box: tuple[float, ...]
    mask: dict[str, Any] | None
    points: tuple[tuple[float, ...], ...]
    area: float
    iscrowd: bool
    difficult: bool
    corners: tuple[tuple[float, ...], ...] = ()


def assemble(
    source: str,
    image: bytes,
    split: SplitName | None,
    annotations: Sequence[Annotation],
    size: Size,
    *,
    masks: bool,
    semantic: bool,
    keypoints: int,
    oriented: bool = False,
) -> tuple[Sample, list[Finding]]:
    """Return a sample with the annotations that hold, and what is to be said of them.

    Args:
        source: path of the image below the raw root.
        image: its encoded bytes.
        split: the part that the data set puts it in.
        annotations: what its files say.
        size: height and width of the upright image.
        masks: whether the data set has outlines; then every object gets a mask, if only an empty one.
        semantic: whether a semantic mask is made of the outlines.
        keypoints: number of key points per object, 0 for none.
        oriented: whether the data set has oriented boxes; then every object gets corners, if only those of its box.
    """
    findings: list[Finding] = []
    objects: list[_Object] = []
    for annotation in annotations:

        def tell(code: Code, reason: str, place: str = annotation.place) -> None:
            findings.append(Finding(code, source, f"{place}: {reason}"))

        try:
            found = _checked(annotation, size, keypoints, tell)
            if replace(found, area=0.0) in [replace(other, area=0.0) for other in objects if other.box == found.box]:
                raise _Rejected("repeated", "a duplicate of another one of this image")
            objects.append(found)
            if masks and found.mask is None:
                tell("box_only", "has a box but no outline, unlike the other objects")
        except _Rejected as error:
            tell(error.code, error.reason)
    sample = Sample(
        source,
        image,
        split=split,
        labels=sorted({one.label for one in objects}),
        boxes=np.array([one.box for one in objects], np.float32).reshape(-1, 4),
        corners=_corners(objects) if oriented else None,
        box_labels=[one.label for one in objects],
        iscrowd=[one.iscrowd for one in objects],
        difficult=[one.difficult for one in objects],
        area=[one.area for one in objects],
        instances=[one.mask or _empty(size) for one in objects] if masks else [],
        semantic=_painted(objects, size) if semantic else None,
        keypoints=_keypoints(objects, keypoints) if keypoints else None,
    )
    return sample, findings


def _checked(annotation: Annotation, size: Size, keypoints: int, tell: _Tell) -> _Object:
    unit = (size[1], size[0]) if annotation.relative else (1, 1)
    mask = _mask(annotation, size, unit, tell)
    points = _points(_in_pixels(annotation.points, unit), keypoints, size, tell)
    if annotation.corners is not None:
        return _turned(annotation, annotation.corners, unit, points, size, tell)
    if annotation.box is not None:
        box = tuple(float(value) * scale for value, scale in zip(annotation.box, (*unit, *unit), strict=True))
    else:
        box = _box_of_points(points) if mask is None else _box_of_mask(mask)
    box = _within(box, size, tell)
    pixels = int(coco_masks.area(mask)) if mask is not None else (box[2] - box[0]) * (box[3] - box[1])
    if pixels < _TINY:
        tell("tiny", f"covers {pixels:g} pixels")
    given = annotation.area
    area = given if given is not None and np.isfinite(given) and given > 0 else float(pixels)
    return _Object(annotation.label, box, mask, points, area, annotation.iscrowd, annotation.difficult)


def _turned(
    annotation: Annotation,
    corners: Sequence[float],
    unit: tuple[int, int],
    points: tuple[tuple[float, ...], ...],
    size: Size,
    tell: _Tell,
) -> _Object:
    """Return an object with the smallest rectangle around its corners, and the part of the image around that."""
    given = np.asarray(corners, np.float64).reshape(-1, 2) * unit
    _within((*given.min(0).tolist(), *given.max(0).tolist()), size, tell)
    rectangle = smallest_rectangle(given)
    area = float(areas(rectangle[None])[0])
    if area < _FLAT:
        raise _Rejected("bad_box", f"corners {', '.join(f'{value:g}' for value in given.ravel())} have no area")
    if area < _TINY:
        tell("tiny", f"covers {area:g} pixels")
    box = hulls(rectangle[None])[0].clip(0, np.array([size[1], size[0]] * 2, np.float32))
    return _Object(
        annotation.label,
        tuple(box.tolist()),
        None,
        points,
        area,
        annotation.iscrowd,
        annotation.difficult,
        tuple(map(tuple, rectangle.tolist())),
    )


def _in_pixels(points: Sequence[float] | None, unit: tuple[int, int]) -> Sequence[float] | None:
    if points is None or unit == (1, 1):
        return points
    return [float(value) * (*unit, 1)[number % 3] for number, value in enumerate(points)]


def _mask(annotation: Annotation, size: Size, unit: tuple[float, float], tell: _Tell) -> dict[str, Any] | None:
    """Return what the outline covers, None if there is none, or it has no area and there is a box."""
    if annotation.outline is None:
        return None
    try:
        mask = run_lengths_of(annotation.outline, size, unit)
        problem = None if coco_masks.area(mask) else "the outline covers no pixel of the image"
    except NoArea as error:
        problem = str(error)
    except BrokenOutline as error:
        raise _Rejected("bad_mask", str(error)) from None
    if problem is None:
        return mask
    if annotation.box is None:
        raise _Rejected("bad_mask", problem)
    tell("bad_outline", problem)
    return None


def _points(given: Sequence[float] | None, count: int, size: Size, tell: _Tell) -> tuple[tuple[float, ...], ...]:
    """Return x, y, visibility of each key point, zeros where it is absent."""
    if not given or not count:
        return ((0.0, 0.0, 0.0),) * count
    if len(given) != 3 * count:
        raise _Rejected("bad_keypoints", f"keypoints has {len(given)} numbers, expected {3 * count} (3 per key point)")
    found = []
    for number in range(count):
        x, y, seen = (float(value) for value in given[3 * number : 3 * number + 3])
        if seen not in (0, 1, 2) or not np.isfinite([x, y]).all():
            raise _Rejected("bad_keypoints", f"key point {number} is ({x:g}, {y:g}, {seen:g})")
        if seen and not (0 <= x <= size[1] and 0 <= y <= size[0]):
            tell("keypoint_outside", f"key point {number} at ({x:g}, {y:g}), the image is {size[1]} x {size[0]}")
            seen = 0.0
        found.append((x, y, seen) if seen else (0.0, 0.0, 0.0))
    return tuple(found)


def _within(box: tuple[float, ...], size: Size, tell: _Tell) -> tuple[float, ...]:
    """Return the part of an xyxy box that is inside the image."""
    height, width = size
    told = f"box {', '.join(f'{value:g}' for value in box)} (left, top, right, bottom)"
    if not np.isfinite(box).all():
        raise _Rejected("bad_box", f"{told} is not finite")
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        problem = "is inverted" if right < left or bottom < top else "has no area"
        raise _Rejected("bad_box", f"{told} {problem}")
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise _Rejected("outside", f"{told}, the image is {width} x {height}")
    clipped = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if max(abs(before - after) for before, after in zip(box, clipped, strict=True)) > _SLACK:
        tell("clipped", f"{told}, the image is {width} x {height}")
    return clipped


def _box_of_mask(mask: dict[str, Any]) -> tuple[float, ...]:
    left, top, width, height = coco_masks.toBbox(mask).tolist()
    return (left, top, left + width, top + height)


def _box_of_points(points: Sequence[Sequence[float]]) -> tuple[float, ...]:
    there = [(x, y) for x, y, seen in points if seen]
    if not there:
        raise _Rejected("bad_box", "has no box, no outline and no key points")
    columns, rows = zip(*there, strict=True)
    return (min(columns), min(rows), max(columns), max(rows))


def _keypoints(objects: Sequence[_Object], count: int) -> FLOAT32:
    return np.array([one.points for one in objects], np.float32).reshape(-1, count, 3)


def _corners(objects: Sequence[_Object]) -> FLOAT32:
    """Return N x 4 x 2 corners, of upright boxes too."""
    return np.array(
        [one.corners or upright_corners(np.array([one.box], np.float32))[0] for one in objects], np.float32
    ).reshape(-1, 4, 2)


def _empty(size: Size) -> dict[str, Any]:
    return run_lengths_of({"size": list(size), "counts": [size[0] * size[1]]}, size)


def map_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the values of semantic masks that are made of objects; none where a byte cannot hold them."""
    background = "background" if "background" not in classes else "no object"
    return (background, *classes) if len(classes) < IGNORED else ()


def _painted(objects: Sequence[_Object], size: Size) -> UINT8:
    """Return the semantic mask: 0 = background, class + 1, 255 = ignored; smaller objects are drawn over larger ones.

    Crowds, and the boxes of objects without an outline, are ignored where no other object is.
    """
    painted = np.zeros(size, np.uint8)
    for one in objects:
        if one.mask is None:
            left, top, right, bottom = one.box
            painted[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = IGNORED
    outlined = [(one, one.mask) for one in objects if one.mask is not None]
    for one, mask in sorted(outlined, key=lambda pair: (not pair[0].iscrowd, -pair[0].area)):
        painted[decode_rle(mask)] = IGNORED if one.iscrowd else one.label + 1
    return painted
