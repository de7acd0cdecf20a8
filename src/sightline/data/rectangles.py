"""Turned rectangles in pixels: their corners, their sides and angle, what two of them share, and which to keep.

Corners are N x 4 x 2: x, y, clockwise as seen on the image, whose y axis points down. As numbers a rectangle is cx, cy,
width, height, angle: width is the longer side, and angle its direction in radians, in -pi/2 .. pi/2, clockwise from the
x axis (the long-side definition). A square has the same corners at four angles, of which the nearest to 0 is chosen.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32

FLOAT64 = NDArray[np.float64]
_UNIT = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])  # corners of a square of side 1, clockwise
_SLACK = 1e-9  # of the longest side: so near to a line, a point is on it
_AT_ONCE = 2**16  # pairs of rectangles whose intersections are computed together


def corners_of(rectangles: FLOAT64 | FLOAT32) -> FLOAT32:
    """N x 5 cx, cy, width, height, angle -> N x 4 x 2 corners, clockwise."""
    numbers = np.asarray(rectangles, np.float64).reshape(-1, 5)
    sides = _UNIT * numbers[:, None, 2:4]
    cosine, sine = np.cos(numbers[:, 4, None]), np.sin(numbers[:, 4, None])
    x = numbers[:, :1] + sides[..., 0] * cosine - sides[..., 1] * sine
    y = numbers[:, 1:2] + sides[..., 0] * sine + sides[..., 1] * cosine
    return np.stack([x, y], -1).astype(np.float32)


def rectangles_of(corners: FLOAT32) -> FLOAT64:
    """N x 4 x 2 corners of rectangles -> N x 5 cx, cy, width, height, angle in the one form of this module."""
    points = _clockwise(corners)
    first, second = points[:, 1] - points[:, 0], points[:, 2] - points[:, 1]
    sides = np.stack([np.hypot(*first.T), np.hypot(*second.T)], -1)
    angles = np.arctan2(first[:, 1], first[:, 0])
    turned = sides[:, 1] > sides[:, 0]
    angle = angles + np.where(turned, np.pi / 2, 0.0)
    equal = sides[:, 0] == sides[:, 1]
    period = np.where(equal, np.pi / 2, np.pi)
    angle = angle - period * np.floor(angle / period + 0.5)  # -period / 2 .. period / 2, the latter excluded
    return np.concatenate([points.mean(1), sides.max(1)[:, None], sides.min(1)[:, None], angle[:, None]], 1)


def upright_corners(boxes: FLOAT32) -> FLOAT32:
    """N x 4 xyxy boxes -> N x 4 x 2 corners, clockwise from the upper left one."""
    return np.ascontiguousarray(boxes.reshape(-1, 4)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]], np.float32)


def hulls(corners: FLOAT32) -> FLOAT32:
    """N x 4 x 2 corners -> N x 4 xyxy: the upright boxes around them."""
    points = corners.reshape(-1, 4, 2)
    return np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32)


def smallest_rectangle(points: NDArray[np.floating]) -> FLOAT32:
    """P x 2 points -> 4 x 2 corners of the rectangle of least area around them, clockwise."""
    middle = np.asarray(points, np.float64).mean(0)  # single precision, in which OpenCV computes, is finer around 0
    (x, y), (width, height), degrees = cv2.minAreaRect((points - middle).astype(np.float32))
    found = corners_of(np.array([[x, y, width, height, np.deg2rad(degrees)]])) + middle
    rectangle: FLOAT32 = corners_of(rectangles_of(found.astype(np.float32)))[0]
    return rectangle


def smallest_rectangles(shapes: FLOAT32) -> FLOAT32:
    """N x P x 2 points -> N x 4 x 2: around the points of each shape the rectangle of least area.

    What a shear or an uneven scale makes of a rectangle is none, so this follows each of them.
    """
    found = np.zeros((len(shapes), 4, 2), np.float32)
    for place, points in enumerate(shapes):
        found[place] = smallest_rectangle(points)
    return found


def areas(corners: FLOAT32) -> FLOAT64:
    """N x 4 x 2 corners of convex shapes -> N areas (the shoelace formula)."""
    points = np.asarray(corners, np.float64).reshape(-1, 4, 2)
    return np.abs(_twice_signed(points)) / 2


def shares_within(corners: FLOAT32, height: float, width: float) -> FLOAT64:
    """N x 4 x 2 corners -> N shares 0..1 of their areas that lie in an image of this size."""
    image = np.broadcast_to(upright_corners(np.array([[0, 0, width, height]], np.float32)), corners.shape)
    whole = areas(corners)
    return np.divide(_intersections(corners, image), whole, out=np.zeros_like(whole), where=whole > 0)


def cut(corners: FLOAT32, window: tuple[float, float, float, float]) -> FLOAT32:
    """N x 4 x 2 corners -> those of the least rectangles around what an xyxy window shows of each.

    Rectangles within the window, and those outside of it, stay as they are.
    """
    x1, y1, x2, y2 = window
    frame = upright_corners(np.array([window], np.float32))[0]
    found = corners.copy()
    beyond = ((corners < [x1, y1]) | (corners > [x2, y2])).any((1, 2))
    for place in np.flatnonzero(beyond):
        _, seen = cv2.intersectConvexConvex(corners[place], frame)
        if seen is not None and len(seen) > 2:
            found[place] = smallest_rectangle(seen.reshape(-1, 2))
    return found


def overlaps(corners: FLOAT32, others: FLOAT32, within: NDArray[np.bool_] | None = None) -> FLOAT64:
    """Return D x G intersections over union, exact but for rounding.

    Args:
        corners: D x 4 x 2.
        others: G x 4 x 2.
        within: G flags of those of which the intersection is taken over the area of the first alone, as of crowds.
    """
    shared = np.zeros((len(corners), len(others)))
    one, two = hulls(corners), hulls(others)
    near = (one[:, None, :2] < two[None, :, 2:]).all(-1) & (two[None, :, :2] < one[:, None, 2:]).all(-1)
    rows, columns = np.nonzero(near)
    for start in range(0, len(rows), _AT_ONCE):
        pair = rows[start : start + _AT_ONCE], columns[start : start + _AT_ONCE]
        shared[pair] = _intersections(corners[pair[0]], others[pair[1]])
    own, theirs = areas(corners)[:, None], areas(others)[None]
    union = own + theirs - shared
    if within is not None:
        union = np.where(within[None], own, union)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).clip(0, 1)


def kept_by_suppression(
    corners: FLOAT32, scores: FLOAT32, labels: NDArray[np.int64], least: float, most: int
) -> NDArray[np.int64]:
    """Return the places of at most `most` rectangles, most confident first (greedy non-maximum suppression).

    One is left out if it overlaps a kept one of its class by more than `least`; of equal scores the first is kept.

    Args:
        corners: N x 4 x 2.
        scores: N.
        labels: N class ids.
        least: intersection over union, 0..1.
        most: number to keep.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    free = np.ones(len(order), bool)
    kept: list[int] = []
    for turn, place in enumerate(order.tolist()):
        if len(kept) == most:
            break
        if free[turn]:
            kept.append(place)
            later = turn + 1 + np.flatnonzero(free[turn + 1 :] & (labels[order[turn + 1 :]] == labels[place]))
            free[later] = overlaps(corners[[place]], corners[order[later]])[0] <= least
    return np.array(kept, np.int64)


def _clockwise(corners: FLOAT32) -> FLOAT64:
    """Return N x 4 x 2 corners in this module's direction, from the same first one."""
    points = np.asarray(corners, np.float64).reshape(-1, 4, 2)
    other_way = _twice_signed(points) < 0
    return np.where(other_way[:, None, None], points[:, [0, 3, 2, 1]], points)


def _twice_signed(points: FLOAT64) -> FLOAT64:
    """... x 4 x 2 -> twice the areas, positive for clockwise corners."""
    ahead = np.roll(points, -1, -2)
    twice: FLOAT64 = _cross(points - points[..., :1, :], ahead - points[..., :1, :]).sum(-1)
    return twice


def _cross(one: FLOAT64, two: FLOAT64) -> FLOAT64:
    product: FLOAT64 = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
    return product


def _intersections(corners: FLOAT32, others: FLOAT32) -> FLOAT64:
    """N pairs of convex shapes, N x 4 x 2 each -> N areas that they share.

    By Green's theorem an area follows from its boundary, which here consists of the parts of either boundary that lie
    in the other shape. Where edges coincide, the first shape's is counted and the second's is not; where they coincide
    in opposite directions, the shapes lie beside each other, and neither is.
    """
    if not len(corners):
        return np.zeros(0)
    one, two = _clockwise(corners), _clockwise(others)
    middle = one.mean(1, keepdims=True)
    one, two = one - middle, two - middle
    slack = _SLACK * np.ptp(np.concatenate([one, two], 1), 1).max(1)[:, None, None]
    shared = _boundary(one, two, slack, -slack) + _boundary(two, one, -slack, -slack)
    real = (np.abs(_twice_signed(one)) > 0) & (np.abs(_twice_signed(two)) > 0)
    result: FLOAT64 = np.where(real, shared, 0.0).clip(0)
    return result


def _boundary(shapes: FLOAT64, frames: FLOAT64, same: FLOAT64, opposite: FLOAT64) -> FLOAT64:
    """Return N integrals (x dy - y dx) / 2 along the parts of the shapes' edges in the frames.

    A frame's line is moved outwards by `same` for edges of its direction, and by `opposite` for others. Each edge is
    clipped at the four lines of the frame by their parameters (Cyrus and Beck 1978).
    """
    start, along = shapes, np.roll(shapes, -1, 1) - shapes
    edges = np.roll(frames, -1, 1) - frames
    length = np.hypot(edges[..., 0], edges[..., 1])
    inward = np.stack([-edges[..., 1], edges[..., 0]], -1) / np.where(length > 0, length, 1.0)[..., None]
    # N x edge of the shape x line of the frame: distances of the edge's ends from the line, positive inside
    slack = np.where(np.einsum("nek,nlk->nel", along, edges) > 0, same, opposite)
    first = np.einsum("nek,nlk->nel", start, inward) - (frames * inward).sum(-1)[:, None] + slack
    last = first + np.einsum("nek,nlk->nel", along, inward)
    crossing = np.divide(first, first - last, out=np.zeros_like(first), where=first != last)
    lower = np.where(first < 0, np.where(last > 0, crossing, 1.0), 0.0).max(-1)
    upper = np.where(last < 0, np.where(first > 0, crossing, 0.0), 1.0).min(-1)
    integral: FLOAT64 = ((upper - lower).clip(0) * _cross(start, along)).sum(-1) / 2
    return integral
