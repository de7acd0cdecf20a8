"""The annotations of a COCO file read all at once: columns are checked as a whole, which takes a third of the time.

Where a single one of them is unusual, nothing is read here, and the reader goes through them one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.formats.coco_annotation import outline_of
from sightline.data.raw.formats.coco_categories import Categories
from sightline.data.raw.formats.json_values import numbers
from sightline.data.raw.formats.listed_images import Listing
from sightline.data.raw.outlines import Outline

_NUMBERS = frozenset((int, float))
_FLAGS = frozenset((int, bool, type(None)))
_BOX = 4  # numbers of a box: left, top, width, height


def read_columns(
    file: str,
    annotations: Sequence[Mapping[str, Any]],
    by_id: Mapping[int | str | None, Listing],
    known: Collection[int | str | None],
    categories: Categories,
    crowds: bool,
) -> bool:
    """Put all annotations to their images; False, and nothing is done, where one needs a look of its own.

    Args:
        file: the name of the file.
        annotations: as they are in it.
        by_id: its images by their ids.
        known: the ids of its categories.
        categories: is told which categories and numbers of key points there are.
        crowds: whether `iscrowd` is believed.
    """
    images, kinds = _column(annotations, "image_id"), _column(annotations, "category_id")
    if not _all_of((int,), chain(images, kinds)) or not set(images) <= by_id.keys() or not set(kinds) <= set(known):
        return False
    flags = [_column(annotations, name) for name in ("iscrowd", "ignore")]
    boxes, outlines, points = (
        _boxes(_column(annotations, "bbox")),
        _outlines(_column(annotations, "segmentation")),
        _points(_column(annotations, "keypoints")),
    )
    if boxes is None or outlines is None or points is None or not _all_of(_FLAGS, chain(*flags)):
        return False
    areas = [float(area) if type(area) in _NUMBERS else None for area in _column(annotations, "area")]
    places = [f"{file}: annotation {one.get('id', f'number {number}')}" for number, one in enumerate(annotations)]
    crowd = map(bool, flags[0]) if crowds else repeat(False)
    made = map(Annotation, places, kinds, boxes, outlines, points, areas, crowd, map(bool, flags[1]))
    for image, one in zip(images, made, strict=True):
        by_id[image].annotations.append(one)
    categories.used.update(kinds)
    categories.points.update(len(one) for one in points if one and len(one) % 3 == 0)
    return True


def _column(annotations: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    return [one.get(name) for one in annotations]


def _all_of(kinds: Collection[type], values: Iterable[Any]) -> bool:
    """Tell whether all values are of these very types; a truth value is no number here."""
    return set(map(type, values)).issubset(kinds)


def _boxes(given: list[Any]) -> list[tuple[float, ...]] | None:
    """Return left, top, right and bottom of each, None where one is not four numbers."""
    if not _all_of((list,), given) or not set(map(len, given)) <= {_BOX}:
        return None
    if not _all_of(_NUMBERS, chain.from_iterable(given)):
        return None
    values = map(float, chain.from_iterable(given))
    return [(left, top, left + width, top + height) for left, top, width, height in zip(*[values] * 4, strict=True)]


def _outlines(given: list[Any]) -> list[Outline | None] | None:
    """Return what is drawn, None where one is neither polygons nor run lengths."""
    if not any(given):
        return [None] * len(given)
    found = [outline_of(one) for one in given]
    return None if [] in found else found


def _points(given: list[Any]) -> list[list[float]] | None:
    """Return the numbers of the key points of each, None where one is not a list of numbers."""
    if not any(given):
        return [[] for _ in given]
    found = [numbers(one or []) for one in given]
    return None if None in found else [one for one in found if one is not None]
