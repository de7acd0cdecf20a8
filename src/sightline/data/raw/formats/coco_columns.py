"""The annotations of a COCO file read all at once: columns are checked as a whole, which takes a third of the time.

Where a single one of them is unusual, nothing is read here, and the reader goes through them one by one.
"""

from __future__ import annotations

from collections import Counter
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
_FLAGS: frozenset[type] = frozenset((int, bool, type(None)))
_AT_ONCE = 4096  # annotations, whose values stay in the processor's cache from one column to the next
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
    made: list[Annotation] = []
    images, kinds, points = _column(annotations, "image_id"), set[Any](), Counter[int]()
    if not _all_of((int,), images) or not set(images) <= by_id.keys():
        return False
    for start in range(0, len(annotations), _AT_ONCE):
        block = _made(file, start, annotations[start : start + _AT_ONCE], crowds)
        if block is None:
            return False
        made += block
        kinds |= {one.label for one in block}
        points.update(len(one.points) for one in block if one.points and len(one.points) % 3 == 0)
    if not kinds <= set(known):
        return False
    for image, one in zip(images, made, strict=True):
        by_id[image].annotations.append(one)
    categories.used |= kinds
    categories.points += points
    return True


def _made(file: str, start: int, given: Sequence[Mapping[str, Any]], crowds: bool) -> list[Annotation] | None:
    """Return some annotations, the first of which is number `start`; None where one of them is unusual."""
    kinds = _column(given, "category_id")
    flags = [_column(given, name) for name in ("iscrowd", "ignore")]
    if not _all_of((int,), kinds) or not _all_of(_FLAGS, chain(*flags)):
        return None
    boxes = _boxes(_column(given, "bbox"))
    outlines = _outlines(_column(given, "segmentation"))
    points = _points(_column(given, "keypoints"))
    if boxes is None or outlines is None or points is None:
        return None
    areas = [float(area) if type(area) in _NUMBERS else None for area in _column(given, "area")]
    places = [f"{file}: annotation {one.get('id', f'number {number}')}" for number, one in enumerate(given, start)]
    crowd = map(bool, flags[0]) if crowds else repeat(False)
    return list(map(Annotation, places, kinds, boxes, outlines, points, areas, crowd, map(bool, flags[1])))


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
        return [[]] * len(given)
    found = [numbers(one or []) for one in given]
    return None if None in found else [one for one in found if one is not None]
