"""Structure of a character: strokes, their ends and crossings, pieces and holes, where its ink lies, its outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, UINT8
from sightline.training.features.base import Extractor, Vectors
from sightline.training.features.handmade import grey_values
from sightline.training.features.skeletons import BOOL, branches_of, ends_of, euler_numbers, pruned, thin

_INTS = NDArray[np.int64]
_WHOLE = 9  # numbers of the whole character


class Structure(Extractor):
    """Structural features of characters (Trier, Jain and Taxt 1996 compare those of many papers).

    The frame is the square around the ink, so that neither place nor size of the character matters. In order:

    - of the whole: ends, crossings, pieces, holes, Euler number, share of ink, width of the strokes, width and height
      of the ink, the last three as shares of the frame's or the image's side;
    - of each zone of the frame, row by row: share of ink; ends; crossings; lines, then arcs in each direction, as
      lengths over the frame's side;
    - of each side (left, right, top, bottom): how far the ink lies from it, as shares of the frame's side;
    - how many strokes are cut by each row, and each column.

    Args:
        zones: along each side of the frame.
        directions: of lines and arcs, equally far apart in half a turn; the first runs along a row.
        profiles: places along each side of the frame at which distances are taken and strokes counted.
    """

    def __init__(self, zones: int, directions: int, profiles: int) -> None:
        self.zones, self.directions, self.profiles = zones, directions, profiles
        self.dimensions = {"structure": _WHOLE + zones**2 * (3 + 2 * directions) + 6 * profiles}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x D; zeros for an image without ink."""
        ink = ink_of(grey_values(images))
        found = np.zeros((len(images), self.dimensions["structure"]), np.float32)
        written = np.flatnonzero(ink.any((1, 2)))
        if len(written):
            found[written] = self._describe(ink[written])
        return {"structure": found}

    def _describe(self, ink: BOOL) -> FLOAT32:
        skeleton, frame, area = thin(ink), _frame(ink), ink.sum((1, 2))
        skeleton = pruned(skeleton, np.ceil(area / skeleton.sum((1, 2)) / 2).astype(int))
        length = skeleton.sum((1, 2))
        ends, crossings = ends_of(skeleton), _middles(branches_of(skeleton), area / length)
        pieces = np.array([cv2.connectedComponents(one.view(np.uint8), connectivity=8)[0] - 1 for one in ink])
        euler = euler_numbers(ink)
        whole = [ends.sum((1, 2)), crossings.sum((1, 2)), pieces, pieces - euler, euler, area / frame.side**2]
        whole += [area / length / frame.side, frame.width / ink.shape[1], frame.height / ink.shape[1]]
        assert len(whole) == _WHOLE
        zone_area, lines, arcs = (frame.side / self.zones) ** 2, *_lines_and_arcs(skeleton, self.directions)
        parts = [np.stack(whole, 1), self._zoned(ink, frame) / zone_area[:, None], self._zoned(ends, frame)]
        parts.append(self._zoned(crossings, frame))
        parts += [self._zoned(skeleton, frame, weights) / frame.side[:, None] for weights in (*lines, *arcs)]
        parts += _profiles(ink, frame, self.profiles)
        return np.concatenate(parts, 1).astype(np.float32)

    def _zoned(self, pixels: BOOL, frame: _Frame, weights: FLOAT32 | None = None) -> NDArray[np.float64]:
        """N x S x S -> N x zones^2: how many of the pixels, or how much of their weights, each zone has."""
        image, row, column = np.nonzero(pixels)
        down = np.floor((row + 0.5 - frame.top[image]) / frame.side[image] * self.zones).astype(int)
        right = np.floor((column + 0.5 - frame.left[image]) / frame.side[image] * self.zones).astype(int)
        place = (image * self.zones + down) * self.zones + right
        own = None if weights is None else weights[image, row, column]
        counts = np.bincount(place, own, minlength=len(pixels) * self.zones**2)
        return counts.reshape(len(pixels), -1).astype(float)


@dataclass(frozen=True)
class _Frame:
    """The squares around ink, in pixels, and height and width of the ink; N each."""

    top: NDArray[np.float64]
    left: NDArray[np.float64]
    side: _INTS
    height: _INTS
    width: _INTS


def ink_of(grey: UINT8 | FLOAT32) -> BOOL:
    """N x S x S in 0..255 -> the same: what differs from most of the border, by Otsu's threshold (1979).

    An image of one value has no ink.
    """
    ink: BOOL = np.zeros(grey.shape, bool)
    for place, values in enumerate(np.clip(np.rint(grey), 0, 255).astype(np.uint8)):
        if values.min() == values.max():
            continue
        threshold, _ = cv2.threshold(values, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        bright: BOOL = np.asarray(values > threshold)
        border = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]]).mean()
        # Where the border does not say, ink is what there is less of.
        paper_is_bright = border > 0.5 if border != 0.5 else bright.mean() > 0.5
        ink[place] = ~bright if paper_is_bright else bright
    return ink


def _frame(ink: BOOL) -> _Frame:
    rows, columns = np.asarray(ink.any(2)), np.asarray(ink.any(1))
    size = ink.shape[1]
    top, left = rows.argmax(1), columns.argmax(1)
    height = size - rows[:, ::-1].argmax(1) - top
    width = size - columns[:, ::-1].argmax(1) - left
    side = np.maximum(height, width)
    return _Frame(top - (side - height) / 2, left - (side - width) / 2, side, height, width)


def _middles(branches: BOOL, stroke: NDArray[np.float64]) -> BOOL:
    """Return one pixel for each crossing: branches nearer than a stroke's width are one, drawn apart by thinning."""
    middles = np.zeros_like(branches)
    for place in np.flatnonzero(branches.any((1, 2))):
        own = branches[place].view(np.uint8)
        radius = max(1, round(stroke[place] / 2))
        joined = cv2.dilate(own, np.ones((2 * radius + 1,) * 2, np.uint8))
        count, names = cv2.connectedComponents(joined, connectivity=8)
        rows, columns = np.nonzero(own)
        group = names[rows, columns]
        for name in range(1, count):
            mine = group == name
            middles[place, int(rows[mine].mean()), int(columns[mine].mean())] = True
    return middles


def _lines_and_arcs(skeleton: BOOL, directions: int) -> tuple[list[FLOAT32], list[FLOAT32]]:
    """N x S x S -> for each direction how much a pixel belongs to a line, and to an arc or a crossing; N x S x S.

    By the second moments of the skeleton in a window around each pixel: the axis with most of them is the direction,
    and a line has no others. A pixel is divided between the two nearest directions.
    """
    import torch
    from torch.nn import functional

    reach = max(2, round(skeleton.shape[1] / 6))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    kernels = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y]).unsqueeze(1)
    with torch.inference_mode():
        sums = functional.conv2d(torch.from_numpy(skeleton[:, None].astype(np.float32)), kernels, padding=reach)
    count, x1, y1, xx, xy, yy = sums.numpy().swapaxes(0, 1)
    count = np.maximum(count, 1)
    xx, xy, yy = xx / count - (x1 / count) ** 2, xy / count - x1 * y1 / count**2, yy / count - (y1 / count) ** 2
    apart, both = np.hypot(xx - yy, 2 * xy), xx + yy
    # Deviations along and across; steps of a slanting line have a variance of up to 1/12 without being an arc.
    along, across = np.sqrt((both + apart) / 2), np.sqrt(np.maximum(0, (both - apart) / 2 - 1 / 12))
    straight = ((along - across) / np.maximum(along + across, 1e-6)).clip(0, 1)
    angle = np.arctan2(2 * xy, xx - yy) / 2 % np.pi  # rows grow downwards, so it turns clockwise
    lines: list[FLOAT32] = []
    arcs: list[FLOAT32] = []
    for direction in range(directions):
        off = np.abs(angle / np.pi * directions - direction)
        near = np.maximum(0, 1 - np.minimum(off, directions - off))
        lines.append(near * straight)
        arcs.append(near * (1 - straight))
    return lines, arcs


def _profiles(ink: BOOL, frame: _Frame, places: int) -> list[NDArray[np.float64]]:
    """Return distances from the left, the right, the top and the bottom, and strokes cut by rows and columns."""
    size, count = ink.shape[1], np.arange(len(ink))[:, None]
    steps = (np.arange(places) + 0.5) / places
    distances, strokes = [], []
    side = frame.side[:, None]
    for turned, along, across in ((ink, frame.top, frame.left), (ink.swapaxes(1, 2), frame.left, frame.top)):
        lines = np.floor(along[:, None] + steps * side).astype(int)
        inside = (lines >= 0) & (lines < size)  # the square may reach beyond the image
        cut = turned[count, lines.clip(0, size - 1)] & inside[..., None]  # N x places x S
        some, start = cut.any(2), across[:, None]
        first = np.where(some, cut.argmax(2) - start, side)  # a line that meets no ink has it all before it
        last = np.where(some, start + side - size + cut[:, :, ::-1].argmax(2), side)
        distances += [first / side, last / side]
        begins = cut & ~np.pad(cut, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
        strokes.append(begins.sum(2).astype(float))
    return distances + strokes
