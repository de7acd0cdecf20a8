"""How many straight lines of a photograph are straight in a picture that was made of it.

A line counts as kept if, along at least `MOST` of its length, edges of its direction lie within `STRAIGHT` pixels of
one straight line that leaves it by no more than `BESIDE` pixels. So a line that is bent, broken, turned or rubbed out
is lost; one that moved a little, or has other colours or another contrast, is kept. An edge is a ridge of the gradient
of all colours together, in the steeper half of the picture's own gradients, so contrast does not count.

The lines that are looked for come from the probabilistic Hough transform of the photograph's edges, without those that
the same measure finds no straight line in: Hough also draws lines through leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from sightline.data.structures import UINT8

FLOATS = NDArray[np.float64]
SHORTEST = 24  # pixels: in less, a bend of a pixel could not be told from a line that is turned
MOST = 0.75  # of a line's length
STRAIGHT = 0.5  # pixels: as far as a straight line's own pixels are from it
BESIDE = 2.0  # pixels
TURNED = 15.0  # degrees by which an edge may be turned against its line
PRESENT = 0.5  # quantile of the picture's gradients from which they are edges
_BLUR = 1.0  # pixels
_STEP = 0.25  # pixels, of places across a line
_HOUGH_EDGES = (0.80, 0.92)  # quantiles of the gradient: the strong edges that lines are found in
_GAP = 2  # pixels


@dataclass(frozen=True)
class Along:
    """What there is along a line.

    Attributes:
        covered: share of its length along which edges lie on one straight line.
        bend: root mean square distance of the nearest edges from that line, pixels; NaN without edges.
    """

    covered: float
    bend: float

    @property
    def kept(self) -> bool:
        """Whether the line is there, and straight."""
        return self.covered >= MOST


def straight_lines(picture: UINT8) -> FLOATS:
    """H x W x 3 -> lines of `SHORTEST` pixels or more, each x, y of its two ends, from the longest on.

    The probabilistic Hough transform of Canny's edges, whose thresholds are quantiles of the gradient. Of lines that
    lie on each other the longest is taken.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), _BLUR)
    steep = np.hypot(*(cv2.Sobel(grey, cv2.CV_16S, *way).astype(np.float64) for way in ((1, 0), (0, 1))))
    low, high = np.quantile(steep, _HOUGH_EDGES)
    edges = cv2.Canny(grey, low, high, L2gradient=True)
    drawn = cv2.HoughLinesP(edges, 1, np.pi / 180, SHORTEST, minLineLength=SHORTEST, maxLineGap=_GAP)
    found = np.zeros((0, 4)) if drawn is None else drawn.reshape(-1, 4).astype(np.float64)
    lengths = np.hypot(*(found[:, 2:] - found[:, :2]).T)
    chosen: list[FLOATS] = []
    for line in found[np.argsort(-lengths, kind="stable")]:
        if covered_by(line, chosen) < 0.5:
            chosen.append(line)
    return np.array(chosen).reshape(-1, 4)


def covered_by(line: FLOATS, others: Sequence[FLOATS] | FLOATS) -> float:
    """Return the share of a line's points that have one of the others within `BESIDE` pixels and ten degrees."""
    points, along = _points(line)
    hit = np.zeros(len(points), bool)
    for other in others:
        own = other[2:] - other[:2]
        length = float(np.hypot(*own))
        if abs(along @ own) < np.cos(np.deg2rad(10)) * length:
            continue
        share = ((points - other[:2]) @ own / length**2).clip(0, 1)
        hit |= np.hypot(*(points - other[:2] - share[:, None] * own).T) <= BESIDE
    return float(hit.mean())


def found_again(lines: FLOATS, picture: UINT8) -> float:
    """Return the share of lines half of whose length Hough's transform of a picture finds again, bent or not."""
    there = straight_lines(picture)
    return float(np.mean([covered_by(line, there) >= 0.5 for line in lines]))


def wanted_lines(photograph: UINT8) -> FLOATS:
    """Return the lines that are straight in the photograph itself."""
    lines = straight_lines(photograph)
    kept = [line for line, found in zip(lines, measure(lines, photograph), strict=True) if found.kept]
    return np.array(kept).reshape(-1, 4)


def measure(lines: FLOATS, picture: UINT8) -> list[Along]:
    """Look along each line (x, y of two ends) in a picture, H x W x 3."""
    field = _gradient_field(picture)
    present = float(np.quantile(_steepest(*field), PRESENT))
    return [_look(line, field, present) for line in lines]


def wavy(picture: UINT8, amplitude: float, period: float = 20.0) -> UINT8:
    """Shift rows and columns of a picture by sines of so many pixels."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    across = columns + amplitude * np.sin(rows * 2 * np.pi / period)
    down = rows + amplitude * np.sin(columns * 2 * np.pi / period)
    moved = cv2.remap(
        picture, across.astype(np.float32), down.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    bent: UINT8 = moved.astype(np.uint8)
    return bent


def _points(line: FLOATS) -> tuple[FLOATS, FLOATS]:
    """Return x, y about every pixel along a line, and its direction."""
    along = line[2:] - line[:2]
    length = float(np.hypot(*along))
    return line[:2] + np.linspace(0, 1, round(length) + 1)[:, None] * along, along / length


def _gradient_field(picture: UINT8) -> tuple[FLOATS, FLOATS, FLOATS]:
    """Return xx, xy, yy of the sum over channels of products of derivatives (Di Zenzo 1986), H x W each."""
    smooth = gaussian_filter(picture.astype(np.float64) / 255, (_BLUR, _BLUR, 0))
    down, across = np.gradient(smooth, axis=(0, 1))
    return (across**2).sum(2), (across * down).sum(2), (down**2).sum(2)


def _steepest(xx: FLOATS, xy: FLOATS, yy: FLOATS) -> FLOATS:
    """Return the greatest squared rise of any direction: the larger eigenvalue."""
    steep: FLOATS = (xx + yy) / 2 + np.hypot((xx - yy) / 2, xy)
    return steep


def _look(line: FLOATS, field: tuple[FLOATS, FLOATS, FLOATS], present: float) -> Along:
    edges, offsets = _edges_across(line, field, present)
    near = round(STRAIGHT / _STEP)
    hits = np.zeros_like(edges)
    for shift in range(-near, near + 1):
        hits |= np.roll(edges, shift, 1)  # nothing comes round: no edge is further than BESIDE + STRAIGHT
    ends = np.flatnonzero(np.abs(offsets) <= BESIDE)
    first, last = (one.ravel()[:, None] for one in np.meshgrid(ends, ends, indexing="ij"))
    share = np.linspace(0, 1, len(edges))
    straight = np.rint(first + (last - first) * share).astype(int)  # candidates x points
    covered = hits[np.arange(len(edges)), straight].mean(1)
    best = int(covered.argmax())
    chosen = offsets[first[best, 0]] + (offsets[last[best, 0]] - offsets[first[best, 0]]) * share
    away = np.where(edges, np.abs(offsets - chosen[:, None]), np.inf).min(1)
    there = away[np.isfinite(away)]
    return Along(float(covered[best]), float(np.sqrt((there**2).mean())) if len(there) else float("nan"))


def _edges_across(
    line: FLOATS, field: tuple[FLOATS, FLOATS, FLOATS], present: float
) -> tuple[NDArray[np.bool_], FLOATS]:
    """Return where edges of a line's direction cross its normals, points x offsets, and the offsets in pixels."""
    points, along = _points(line)
    across = np.array([-along[1], along[0]])
    reach = BESIDE + STRAIGHT
    room = 2 + round(STRAIGHT / _STEP)  # offsets on each side that have no edge
    offsets = np.arange(-round(reach / _STEP) - room, round(reach / _STEP) + room + 1) * _STEP
    places = points[:, None] + offsets[:, None] * across  # points x offsets x (x, y)
    xx, xy, yy = (map_coordinates(one, [places[..., 1], places[..., 0]], order=3, mode="nearest") for one in field)
    rise = across[0] ** 2 * xx + 2 * across[0] * across[1] * xy + across[1] ** 2 * yy
    steep = _steepest(xx, xy, yy)
    edges = np.zeros(rise.shape, bool)
    edges[:, 1:-1] = (rise[:, 1:-1] > rise[:, :-2]) & (rise[:, 1:-1] >= rise[:, 2:])
    edges &= (steep >= present) & (rise >= np.cos(np.deg2rad(TURNED)) ** 2 * steep) & (np.abs(offsets) <= reach)
    return edges, np.asarray(offsets, np.float64)
