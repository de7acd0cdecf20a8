"""The segments of a JPEG: its size and its end are found without decoding a pixel (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BEGINNING = b"\xff\xd8"
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, 0xD9  # markers
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF: the size is in their content
_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
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
        if marker < _FIRST or place + 4 > total:
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
