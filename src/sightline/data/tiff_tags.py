"""Single numbers of a TIFF structure: the first page of a TIFF file, or an EXIF block."""

from __future__ import annotations

import struct
from typing import NamedTuple

BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 259, 262, 274, 339
_SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}  # BYTE, SHORT, LONG: types of a tag's values
_MOST = 4096  # tags that are looked at


class Tag(NamedTuple):
    """The first value of a tag, and where and how it is written: offset in bytes, and code for `struct`."""

    value: int
    place: int
    code: str


def find_tag(encoded: bytes | memoryview, wanted: int, begin: int = 0) -> Tag | None:
    """Return a tag of the structure that begins at `begin`; None if it has none, or is damaged."""
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(encoded[begin : begin + 2])]
        big = struct.unpack_from(f"{order}H", encoded, begin + 2)[0] == 43  # BigTIFF: offsets and counts of 8 bytes
        wide, size, inline = ("Q", 20, 8) if big else ("I", 12, 4)
        place = begin + int(struct.unpack_from(order + wide, encoded, begin + (8 if big else 4))[0])
        count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", encoded, place)[0]
        first = place + (8 if big else 2)
        for entry in range(first, first + size * min(count, _MOST), size):
            tag, kind = struct.unpack_from(f"{order}HH", encoded, entry)
            if tag == wanted and kind in _SIZES:
                code, width = _SIZES[kind]
                where = entry + size - inline
                if width * int(struct.unpack_from(order + wide, encoded, entry + 4)[0]) > inline:
                    where = begin + int(struct.unpack_from(order + wide, encoded, where)[0])
                return Tag(struct.unpack_from(order + code, encoded, where)[0], where, order + code)
    except (struct.error, KeyError, OverflowError):
        pass
    return None
