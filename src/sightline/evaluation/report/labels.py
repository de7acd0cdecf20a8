"""Where the words next to outlined objects go, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.evaluation.report.panels import Mark

_CHARACTER, _LINE = 0.058, 0.125  # inches, of words of 6.5 points with a margin
_Box = tuple[float, float, float, float]  # left, top, right, bottom


def place_labels(marks: Sequence[Mark], inch: float, size: tuple[int, int]) -> list[tuple[float, float] | None]:
    """Return for each mark where its words begin, the left and top edge in pixels; None if there is no room.

    Words go above the object, else within it or below, at its left or right edge. Earlier marks choose first.

    Args:
        marks: of one panel.
        inch: pixels of the panel per inch on the page.
        size: height and width of the panel in pixels.
    """
    taken: list[_Box] = []
    places: list[tuple[float, float] | None] = []
    for mark in marks:
        wide, high = len(mark.words) * _CHARACTER * inch, _LINE * inch
        free = [box for box in _candidates(mark, wide, high, size) if not any(_overlap(box, own) for own in taken)]
        taken += free[:1]
        places.append((free[0][0], free[0][1]) if free and mark.words else None)
    return places


def _candidates(mark: Mark, wide: float, high: float, size: tuple[int, int]) -> list[_Box]:
    """Return boxes of words near a mark, the best first, moved into the panel; none for words that do not fit in it."""
    height, width = size
    if not mark.lines or wide > width or high > height:
        return []
    xs, ys = ([value for line in mark.lines for value in line[:, axis].tolist()] for axis in (0, 1))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    boxes = []
    for y in (top - high, top, bottom, bottom - high):
        for x in (left, right - wide):
            moved = min(max(x, 0.0), width - wide), min(max(y, 0.0), height - high)
            boxes.append((*moved, moved[0] + wide, moved[1] + high))
    return boxes


def _overlap(box: _Box, other: _Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
