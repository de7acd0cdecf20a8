"""Turned rectangles: one form of each, exact overlaps against a slow oracle, suppression, cutting."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightline.data.rectangles import (
    areas,
    corners_of,
    cut,
    hulls,
    kept_by_suppression,
    overlaps,
    rectangles_of,
    shares_within,
    smallest_rectangle,
    smallest_rectangles,
    upright_corners,
)

Points = list[tuple[float, float]]


def drawn(seed: int, count: int, span: float = 60.0) -> np.ndarray:
    """Return N x 5 random rectangles."""
    draw = np.random.default_rng(seed)
    sides = draw.uniform(2, 40, (count, 2))
    return np.column_stack([draw.uniform(0, span, (count, 2)), sides, draw.uniform(-7, 7, count)])


def clipped(subject: Points, frame: Points) -> Points:
    """Sutherland and Hodgman 1974: what a convex frame, clockwise with y down, leaves of a polygon."""
    for (x1, y1), (x2, y2) in zip(frame, frame[1:] + frame[:1], strict=True):
        given, subject = subject, []
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in given]
        for place, ((x, y), side) in enumerate(zip(given, sides, strict=True)):
            (ox, oy), other = given[place - 1], sides[place - 1]
            if (side >= 0) != (other >= 0):
                share = other / (other - side)
                subject.append((ox + share * (x - ox), oy + share * (y - oy)))
            if side >= 0:
                subject.append((x, y))
    return subject


def area(polygon: Points) -> float:
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


def slow_overlap(one: np.ndarray, two: np.ndarray) -> float:
    first, second = ([(float(x), float(y)) for x, y in own] for own in (one, two))
    shared = area(clipped(first, second)) if clipped(first, second) else 0.0
    return shared / (area(first) + area(second) - shared)


def test_there_and_back_is_the_one_form() -> None:
    corners = corners_of(drawn(0, 500))
    found = rectangles_of(corners)
    assert (found[:, 2] >= found[:, 3]).all()
    assert ((found[:, 4] >= -np.pi / 2) & (found[:, 4] < np.pi / 2)).all()
    again = corners_of(found)
    for before, after in zip(corners, again, strict=True):  # the same corners, perhaps from another one on
        apart = np.abs(before[:, None] - after[None]).max(-1).min(1)
        assert apart.max() < 1e-4
    np.testing.assert_allclose(rectangles_of(again), found, atol=2e-5)


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_the_form_does_not_depend_on_the_order_of_corners(start: int, step: int) -> None:
    corners = corners_of(np.array([[30, 20, 12, 5, 0.7]]))
    again = corners[:, [(start + step * place) % 4 for place in range(4)]]
    np.testing.assert_allclose(rectangles_of(again), [[30, 20, 12, 5, 0.7]], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([10, 10, 4, 8, 0.0], [10, 10, 8, 4, -np.pi / 2]),  # of both directions of the long side the lower bound
        ([10, 10, 8, 4, np.pi / 2], [10, 10, 8, 4, -np.pi / 2]),
        ([10, 10, 8, 4, np.pi + 0.1], [10, 10, 8, 4, 0.1]),
        ([10, 10, 6, 6, 0.0], [10, 10, 6, 6, 0.0]),
    ],
)
def test_angles_at_the_ends_of_their_range(given: list[float], wanted: list[float]) -> None:
    found = rectangles_of(corners_of(np.array([given])))[0]
    np.testing.assert_allclose(found[:4], wanted[:4], atol=1e-5)
    assert np.cos(2 * (found[4] - wanted[4])) == pytest.approx(1, abs=1e-6)
    assert -np.pi / 2 <= found[4] < np.pi / 2


def test_overlaps_are_those_of_the_slow_oracle() -> None:
    one, two = corners_of(drawn(1, 40)), corners_of(drawn(2, 40))
    wanted = np.array([[slow_overlap(own, other) for other in two] for own in one])
    assert 0.2 < (wanted > 0).mean() < 0.9
    np.testing.assert_allclose(overlaps(one, two), wanted, atol=1e-6)


def test_overlaps_are_those_of_opencv() -> None:
    one, two = drawn(3, 30), drawn(4, 30)
    found = overlaps(corners_of(one), corners_of(two))
    for row, column in np.ndindex(found.shape):
        pair = [((x, y), (w, h), float(np.rad2deg(angle))) for x, y, w, h, angle in (one[row], two[column])]
        _, points = cv2.rotatedRectangleIntersection(*pair)
        shared = 0.0 if points is None else cv2.contourArea(cv2.convexHull(points))
        union = np.prod(one[row, 2:4]) + np.prod(two[column, 2:4]) - shared
        assert found[row, column] == pytest.approx(shared / union, abs=1e-3)


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1e-7, np.pi / 2])
def test_coinciding_edges_are_counted_once(angle: float) -> None:
    def at(x: float, y: float, width: float, height: float) -> np.ndarray:
        cosine, sine = np.cos(angle), np.sin(angle)
        return corners_of(np.array([[x * cosine - y * sine, x * sine + y * cosine, width, height, angle]]))

    whole = at(0, 0, 10, 10)
    assert overlaps(whole, whole)[0, 0] == pytest.approx(1, abs=1e-6)
    assert overlaps(whole, whole[:, ::-1])[0, 0] == pytest.approx(1, abs=1e-6)
    assert overlaps(whole, at(2.5, 0, 5, 10))[0, 0] == pytest.approx(0.5, abs=1e-6)  # three common edges
    assert overlaps(whole, at(0, 0, 5, 5))[0, 0] == pytest.approx(0.25, abs=1e-6)  # inside
    assert overlaps(whole, at(10, 0, 10, 10))[0, 0] == pytest.approx(0, abs=1e-6)  # beside each other
    eighth = corners_of(np.array([[0, 0, 10, 10, angle + np.pi / 4]]))
    shared = 2 * (np.sqrt(2) - 1) * 100
    assert overlaps(whole, eighth)[0, 0] == pytest.approx(shared / (200 - shared), abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, np.pi / 4, 0.3])
def test_rectangles_on_a_grid_whose_edges_and_corners_meet(angle: float) -> None:
    """Among them equal ones, ones inside others with common edges, and ones that touch from outside."""
    draw = np.random.default_rng(10)
    corner, sides = draw.integers(0, 4, (60, 2)), draw.integers(1, 4, (60, 2))
    upright = upright_corners(np.concatenate([corner, corner + sides], 1).astype(np.float32) * 10)
    wanted = np.array([[slow_overlap(own, other) for other in upright] for own in upright])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = (upright.astype(np.float64) @ turn).astype(np.float32)
    np.testing.assert_allclose(overlaps(turned, turned), wanted, atol=2e-6)


@pytest.mark.parametrize("turn", 10.0 ** -np.arange(2, 13))
def test_hardly_turned_rectangles_overlap_nearly_wholly(turn: float) -> None:
    """Edges that are nearly parallel cross at points that rounding moves far."""
    pair = corners_of(np.array([[500, 300, 80, 3, 0.4], [500, 300, 80, 3, 0.4 + turn]]))
    found = overlaps(pair[:1], pair[1:])[0, 0]
    assert 1 - 40 * turn - 1e-5 < found <= 1


def test_flat_ones_overlap_nothing_and_crowds_are_measured_by_the_other() -> None:
    flat = np.zeros((1, 4, 2), np.float32)
    whole = upright_corners(np.array([[0, 0, 10, 10]], np.float32))
    assert overlaps(flat, whole)[0, 0] == 0
    assert overlaps(flat, flat)[0, 0] == 0
    part = upright_corners(np.array([[0, 0, 5, 5], [-5, 0, 5, 10]], np.float32))
    np.testing.assert_allclose(overlaps(part, whole, np.array([True]))[:, 0], [1, 0.5])
    assert overlaps(part[:0], whole).shape == (0, 1)


def test_areas_hulls_and_shares() -> None:
    given = drawn(5, 50)
    corners = corners_of(given)
    np.testing.assert_allclose(areas(corners), given[:, 2:4].prod(1), rtol=1e-5)
    boxes = hulls(corners)
    assert (corners >= boxes[:, None, :2]).all()
    assert (corners <= boxes[:, None, 2:]).all()
    shares = shares_within(corners, 50, 30)
    frame = [(0.0, 0.0), (30.0, 0.0), (30.0, 50.0), (0.0, 50.0)]
    for own, share in zip(corners, shares, strict=True):
        points = [(float(x), float(y)) for x, y in own]
        left = clipped(points, frame)
        assert share == pytest.approx((area(left) if left else 0) / area(points), abs=1e-6)


def test_the_smallest_rectangle_holds_its_points_and_no_turned_one_is_smaller() -> None:
    points = np.random.default_rng(6).uniform(1000, 1030, (12, 2)) * [1, 0.5]
    found = smallest_rectangle(points)
    turns = np.linspace(0, np.pi / 2, 2001)
    along = points @ np.stack([np.cos(turns), np.sin(turns)])
    across = points @ np.stack([-np.sin(turns), np.cos(turns)])
    least = (np.ptp(along, 0) * np.ptp(across, 0)).min()
    assert areas(found[None])[0] <= least * (1 + 1e-4)
    hull = clipped([(float(x), float(y)) for x, y in found], [(0.0, 0.0), (2e3, 0.0), (2e3, 2e3), (0.0, 2e3)])
    for x, y in points:
        assert cv2.pointPolygonTest(np.array(hull, np.float32), (float(x), float(y)), True) > -1e-2
    exact = corners_of(drawn(7, 20))
    for one, other in zip(exact, smallest_rectangles(exact), strict=True):
        assert overlaps(one[None], other[None])[0, 0] > 1 - 1e-4


def test_suppression_is_greedy_within_a_class() -> None:
    given = np.array([[10, 10, 8, 4, 0.5], [10.5, 10, 8, 4, 0.5], [10, 10, 8, 4, 0.5 + np.pi / 2], [11, 10, 8, 4, 0.5]])
    corners, scores = corners_of(given), np.array([0.6, 0.9, 0.8, 0.9], np.float32)
    labels = np.zeros(4, np.int64)
    shared = overlaps(corners, corners)
    assert shared[1, 0] > 0.5
    assert shared[1, 2] < 0.5  # upright boxes around them would overlap by more
    assert kept_by_suppression(corners, scores, labels, 0.5, 10).tolist() == [1, 2]
    assert kept_by_suppression(corners, scores, np.array([0, 1, 0, 1]), 0.5, 10).tolist() == [1, 2, 0]
    assert kept_by_suppression(corners, scores, labels, 0.5, 1).tolist() == [1]
    assert kept_by_suppression(corners[:0], scores[:0], labels[:0], 0.5, 5).tolist() == []


def test_suppression_keeps_what_a_slow_one_keeps() -> None:
    draw = np.random.default_rng(8)
    corners, scores, labels = corners_of(drawn(9, 60, 30)), draw.random(60).astype(np.float32), draw.integers(0, 2, 60)
    kept: list[int] = []
    for place in np.argsort(-scores).tolist():
        rivals = [other for other in kept if labels[other] == labels[place]]
        if all(slow_overlap(corners[place], corners[other]) <= 0.3 for other in rivals):
            kept.append(place)
    assert kept_by_suppression(corners, scores, labels, 0.3, 100).tolist() == kept


def test_a_window_cuts_what_reaches_beyond_it() -> None:
    inside, half = corners_of(np.array([[30, 30, 10, 6, 0.4], [50, 30, 20, 6, 0.0]]))
    found = cut(np.stack([inside, half]), (10, 10, 50, 50))
    np.testing.assert_array_equal(found[0], inside)
    np.testing.assert_allclose(hulls(found[1:])[0], [40, 27, 50, 33], atol=1e-3)
