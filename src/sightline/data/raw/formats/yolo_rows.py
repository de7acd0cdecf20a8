"""Rows of YOLO's text files: a class, and a box, a box with key points, or the corners of an outline.

All are shares of the image: `class cx cy w h`, `class cx cy w h x y [v] ...`, `class x y x y x y ...`. An
oriented box is `class x y x y x y x y`, which looks like an outline of four corners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.formats.annotated import whole
from sightline.data.raw.formats.yolo_names import Points
from sightline.system.errors import UserError


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """What is wrong with a row, and where."""

    code: Code
    reason: str


_BOX = 4  # numbers
_FORMS = "class cx cy w h, or class and x y of each corner"
_CORNERS = 8  # numbers of four corners


def read_row(
    place: str, cells: Sequence[str], labels: Mapping[str, int], points: Points | None, oriented: bool = False
) -> Annotation | BrokenRow:
    """Return the object of a row, or what is wrong with it.

    Args:
        place: file and line.
        cells: the row.
        labels: class by number and by name, as written.
        points: key points of each object, if any.
        oriented: whether four corners are an oriented box.
    """
    try:
        values = [float(cell) for cell in cells[1:]]
    except ValueError:
        return BrokenRow("broken_line", f"{place}: {' '.join(cells)[:40]!r} contains something other than numbers")
    label = labels.get(_class_of(cells[0]))
    if label is None:
        return BrokenRow("unknown_class", f"{place}: class {cells[0]} is not one of the names")
    count = len(values)
    if count == _BOX:
        return Annotation(place, label, _box(values), relative=True)
    if oriented:
        if count != _CORNERS:
            return BrokenRow("broken_line", f"{place}: {count + 1} values, expected 9: class and x y of four corners")
        return Annotation(place, label, corners=values, relative=True)
    if points is not None:
        wanted = _BOX + len(points.names) * points.numbers
        if count != wanted:
            told = f"a box or a box with {len(points.names)} key points ({wanted + 1})"
            return BrokenRow("broken_line", f"{place}: {count + 1} values, expected {told}")
        return Annotation(place, label, _box(values), points=_points(values[_BOX:], points.numbers), relative=True)
    if count == _BOX + 1:
        return BrokenRow(
            "broken_line", f"{place}: 6 values, expected 5: ground-truth boxes have no confidence and no angle"
        )
    if count < _BOX or count % 2:
        hint = "; name key points by kpt_shape in data.yaml" if count > _BOX and (count - _BOX) % 3 == 0 else ""
        return BrokenRow("broken_line", f"{place}: {count + 1} values, expected {_FORMS}{hint}")
    return Annotation(place, label, outline=[values], relative=True)


def _class_of(cell: str) -> str:
    """Return the number of a class without zeros around it, or its name."""
    try:
        number = whole(float(cell))
    except ValueError:
        return cell
    return cell if number is None else str(number)


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = values[:_BOX]
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _points(values: Sequence[float], numbers: int) -> list[float]:
    """Return x, y, visibility of each; without visibility, one at or before 0, 0 is absent."""
    found: list[float] = []
    for start in range(0, len(values), numbers):
        x, y = values[start : start + 2]
        seen = values[start + 2] if numbers == 3 else 0.0 if x <= 0 and y <= 0 else 2.0
        found += [x, y, seen]
    return found


def examine_outlines(annotations: Sequence[Annotation]) -> list[Finding]:
    """Return what is to be said of the outlines of a whole data set.

    Raises:
        UserError: they are boxes with key points.
    """
    rows = [(one, one.outline[0]) for one in annotations if isinstance(one.outline, list)]
    lengths = {len(values) for _, values in rows}
    if len(lengths) != 1:
        return []
    (length,) = lengths
    count = (length - _BOX) // 3
    if count > 1 and length == _BOX + 3 * count and all(_are_visibilities(values) for _, values in rows):
        raise UserError(
            f"{rows[0][0].place}: {length + 1} values, as in all rows, look like a box and {count} key points with "
            f"visibility; name them by `kpt_shape: [{count}, 3]` in data.yaml"
        )
    if length == _CORNERS:
        place = rows[0][0].place.partition(": ")[0]
        told = f"{len(rows)} rows, all with four corners (oriented boxes?): outlines, and the upright boxes around them"
        return [Finding("four_corners", place, told)]
    return []


def _are_visibilities(values: Sequence[float]) -> bool:
    return all(value in (0, 1, 2) for value in values[_BOX + 2 :: 3])
