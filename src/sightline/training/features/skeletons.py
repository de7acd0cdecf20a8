"""Skeletons of binary pictures, their ends and crossings, and the Euler number, by tables of the eight neighbours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import UINT8

BOOL = NDArray[np.bool_]
# The eight neighbours clockwise, north first; p2 to p9 in the papers below.
_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _table(value: Callable[[list[int]], int]) -> UINT8:
    """Return a value for each of the 256 neighbourhoods."""
    return np.array([value([code >> bit & 1 for bit in range(8)]) for code in range(256)], np.uint8)


def _transitions(ring: list[int]) -> int:
    """From paper to ink on the way round: Rutovitz 1966, half of his crossing number."""
    return sum(not ring[place - 1] and ring[place] for place in range(8))


def _may_go(second: bool) -> Callable[[list[int]], int]:
    """Guo and Hall 1989, algorithm A1: the pixels that one of the two turns of a pass takes away."""

    def value(ring: list[int]) -> int:
        north, north_east, east, south_east, south, south_west, west, north_west = ring
        sides = [(north, north_east, east), (east, south_east, south)]
        sides += [(south, south_west, west), (west, north_west, north)]
        pieces = sum(not first and (corner or last) for first, corner, last in sides)
        even = sum(ring[place - 1] or ring[place] for place in (0, 2, 4, 6))
        odd = sum(ring[place] or ring[place + 1] for place in (0, 2, 4, 6))
        stays = (south or south_west or not north_west) and west
        if not second:
            stays = (north or north_east or not south_east) and east
        return pieces == 1 and 2 <= min(even, odd) <= 3 and not stays

    return value


_COUNT, _TRANSITIONS = _table(sum), _table(_transitions)
_MAY_GO = [_table(_may_go(second)).astype(bool) for second in (False, True)]


def thin(ink: BOOL) -> BOOL:
    """N x H x W -> the same, strokes one pixel wide; pieces and holes stay as many (Guo and Hall 1989)."""
    ink = ink.copy()
    active = np.arange(len(ink))
    while len(active):
        here = ink[active]
        before = here.copy()
        for may_go in _MAY_GO:
            here &= ~may_go[_neighbours(here)]
        ink[active] = here
        active = active[(here != before).any((1, 2))]
    return ink


def pruned(skeleton: BOOL, lengths: NDArray[np.int64]) -> BOOL:
    """N x H x W -> the same without the short branches that thinning leaves at corners and bumps of the outline.

    All lines lose `lengths` pixels (N) at their ends, and those that still have an end get them back.
    """
    short = skeleton.copy()
    gone: list[BOOL] = []
    for step in range(int(lengths.max(initial=0))):
        around = _neighbours(short)
        gone.append(short & (_TRANSITIONS[around] == 1) & (_COUNT[around] <= 3) & (lengths > step)[:, None, None])
        short &= ~gone[-1]
    around = _neighbours(short)
    tips = short & ((around == 0) | (_TRANSITIONS[around] == 1) & (_COUNT[around] <= 3))
    for last in reversed(gone):
        tips |= last & (_neighbours(tips) > 0)
    short |= tips
    return _with_lost_pieces(short, skeleton)


def _with_lost_pieces(pruned: BOOL, skeleton: BOOL) -> BOOL:
    """Give pieces back that were nothing but ends."""
    for place in np.flatnonzero(euler_numbers(pruned) != euler_numbers(skeleton)):
        count, names = cv2.connectedComponents(skeleton[place].view(np.uint8), connectivity=8)
        left = np.isin(np.arange(count), names[pruned[place]])
        pruned[place] |= skeleton[place] & ~left[names]
    return pruned


def ends_of(skeleton: BOOL) -> BOOL:
    """N x H x W -> the pixels at which a line ends: all of their one or two neighbours lie on one side."""
    around = _neighbours(skeleton)
    ends: BOOL = skeleton & (_TRANSITIONS[around] == 1) & (_COUNT[around] <= 2)
    return ends


def branches_of(skeleton: BOOL) -> BOOL:
    """N x H x W -> the pixels at which three or more lines meet; a crossing may have several that touch."""
    branches: BOOL = skeleton & (_TRANSITIONS[_neighbours(skeleton)] >= 3)
    return branches


def euler_numbers(ink: BOOL) -> NDArray[np.int64]:
    """N x H x W -> N: pieces (joined at corners too) less holes, by counts of 2 x 2 squares (Gray 1971)."""
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    a, b, c, d = padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]
    filled = a.astype(np.uint8) + b + c + d
    diagonal = (filled == 2) & (a == d)
    one, three, crossed = ((filled == 1), (filled == 3), diagonal)
    sums = [found.sum((1, 2), dtype=np.int64) for found in (one, three, crossed)]
    numbers: NDArray[np.int64] = (sums[0] - sums[1] - 2 * sums[2]) // 4
    return numbers


def _neighbours(ink: BOOL) -> UINT8:
    """N x H x W -> the same: a bit for each of the neighbours that is ink; there is none beyond the border."""
    _, height, width = ink.shape
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1))).view(np.uint8)
    code = np.zeros(ink.shape, np.uint8)
    for bit, (down, right) in enumerate(_RING):
        code |= padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width] << bit
    return code
