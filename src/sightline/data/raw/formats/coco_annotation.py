"""One annotation of a COCO file: its values with the right types, or what is wrong with them."""

from __future__ import annotations

from typing import Any

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Code
from sightline.data.raw.formats.json_values import flag, numbers
from sightline.data.raw.outlines import Outline


def annotation_of(place: str, category: int, values: dict[str, Any], crowds: bool) -> Annotation | tuple[Code, str]:
    """Return an annotation with values of the right types, or what is wrong with it."""
    box = values.get("bbox")
    corners = numbers(box)
    if box and (corners is None or len(corners) != 4):
        return "broken_line", f"bbox {box!r} is not left, top, width, height"
    outline = outline_of(values.get("segmentation"))
    if outline == []:
        return "bad_mask", "segmentation must be a list of polygons or run lengths"
    points = numbers(values.get("keypoints") or [])
    if points is None:
        return "bad_keypoints", "keypoints is not a list of numbers"
    flags = {name: flag(values.get(name)) for name in ("iscrowd", "ignore")}
    for name, value in flags.items():
        if value is None:
            return "broken_line", f"{name} {values.get(name)!r} is neither 0 nor 1"
    area = numbers([values.get("area")])
    return Annotation(
        place,
        category,
        (corners[0], corners[1], corners[0] + corners[2], corners[1] + corners[3]) if corners else None,
        outline,
        points,
        area[0] if area else None,
        iscrowd=crowds and bool(flags["iscrowd"]),
        difficult=bool(flags["ignore"]),
    )


def outline_of(given: Any) -> Outline | None:
    """Return polygons or run lengths, None if nothing is drawn, [] for what is neither.

    Beside COCO's list of polygons there are tools that write one flat polygon, a list of points, or run lengths in a
    list, and [[]] for an object that has a box alone.
    """
    if isinstance(given, dict):
        return given or None
    if not given:
        return None
    if not isinstance(given, list):
        return []
    drawn = [part for part in given if part != []]
    if not drawn:
        return None
    if len(drawn) == 1 and isinstance(drawn[0], dict):
        return dict(drawn[0])
    if numbers(drawn) is not None:
        return [drawn]
    if not all(isinstance(part, list) for part in drawn):
        return []
    if len(drawn) > 2:
        points = [numbers(part) for part in drawn]
        if all(point is not None and len(point) == 2 for point in points):
            return [[value for point in points for value in point or ()]]
    return drawn
