"""JPEG: size and end by its segments (ITU-T T.81, annex B), without decoding, and decoding at a smaller size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from sightline.data.structures import UINT8

# OpenCV's flags of a half, a quarter and an eighth: bits that go with grey and colours alike, whatever their names say.
PARTS = {2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8}
_BEGINNING = b"\xff\xd8"
APP1, START_OF_IMAGE, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xD8, 0xDA, 0xD9  # markers
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF: the size is in their content
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_FIRST = 0xC0  # of the markers that have a meaning in files, but for 0x01
# Pixels hold no markers but those at which a decoder may restart; FF 00 stands for the byte FF.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Segment(NamedTuple):
    """A marker and where its content begins and ends, which may be behind the end of a file that is cut off."""

    marker: int
    begin: int
    end: int


def jpeg_segments(encoded: bytes) -> Iterator[Segment]:
    """Yield the segments up to `END_OF_IMAGE`, or to where the file is damaged or ends; none where it is no JPEG."""
    if not encoded.startswith(_BEGINNING):
        return
    place, total = len(_BEGINNING), len(encoded)
    while place + 2 <= total and encoded[place] == 0xFF:
        marker = encoded[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == END_OF_IMAGE:
            yield Segment(marker, place + 2, place + 2)
            return
        if marker < _FIRST or marker == START_OF_IMAGE or place + 4 > total:  # of two files, the first is cut off
            return
        end = place + 2 + max(encoded[place + 2] << 8 | encoded[place + 3], 2)
        yield Segment(marker, place + 4, end)
        if marker == START_OF_SCAN:
            found = _MARKER.search(encoded, end)
            end = total if found is None else found.start()
        place = end


def is_whole(encoded: bytes) -> bool:
    """Return whether the segments, one after the other, lead to pixels and to the end of the image.

    What follows does not matter. False says that a decoder must be asked: some mend what is not as it should be.
    """
    scans = 0
    for marker, _, _ in jpeg_segments(encoded):
        if marker == END_OF_IMAGE:
            return scans > 0
        scans += marker == START_OF_SCAN
    return False


def stored_size(encoded: bytes) -> tuple[int, int] | None:
    """Return height and width as stored, None where the file does not say so before its pixels."""
    for marker, begin, _ in jpeg_segments(encoded):
        if marker in _FRAMES:  # precision in bits, then both sides in two bytes each
            sides = encoded[begin + 1 : begin + 5]
            height, width = int.from_bytes(sides[:2], "big"), int.from_bytes(sides[2:], "big")
            return (height, width) if height and width else None
        if marker == START_OF_SCAN:
            break
    return None


def shrinking(encoded: bytes, least: int) -> tuple[tuple[int, int] | None, int]:
    """Return height and width as stored, where known, and by what they can be divided to keep `least` pixels."""
    shape = stored_size(encoded)
    fits = [shrunk for shrunk in PARTS if shape is not None and min(shape) >= least * shrunk]
    return shape, max(fits, default=1)


def without_padding(image: UINT8, shape: tuple[int, int], shrunk: int) -> UINT8:
    """Return a JPEG decoded at a part of its size, with the edges where those of the image are.

    Its last row and column reach over the edge, as sizes are rounded up.
    """
    rows, columns = image.shape[:2]
    if (rows * shrunk, columns * shrunk) == shape:
        return image
    matrix = np.diag([shape[1] / (columns * shrunk), shape[0] / (rows * shrunk), 0])[:2]
    matrix[:, 2] = 0.5 * matrix[:, :2].sum(1) - 0.5  # pixel centres are at + 0.5, which OpenCV's coordinates leave out
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole: UINT8 = cv2.warpAffine(image, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return whole
