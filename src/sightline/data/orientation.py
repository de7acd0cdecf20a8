r"""How a stored image is turned to be upright: read in one place, so that boxes, training and predictions agree.

Decoders differ. OpenCV 4.14 turns by EXIF, but not by PNG's old profile, by XMP or by WebP's `Exif\0\0`, and leaves
an AVIF as it is stored, while it turns a TIFF even if asked not to; Pillow turns TIFF alone. So decoders are
kept from turning, and `upright` does it. EXIF precedes XMP, as in Pillow; all but the numbers 1 to 8 count
as 1.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from sightline.data.image_formats import format_of, png_chunks
from sightline.data.jpeg import APP1, START_OF_SCAN, jpeg_segments
from sightline.data.tiff_tags import ORIENTATION, Tag, find_tag

_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_PNG_MARKS, _SMALL = re.compile(rb"eXIf|Raw profile|adobe\.xmp"), 4096  # bytes
_IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([0-9]+)")
_MOST_TEXT = 1 << 20  # bytes of an unpacked profile; EXIF is at most 64 KiB, twice that in hexadecimal


def orientation(encoded: bytes | memoryview, kind: str | None = None) -> int:
    """Return the orientation, 1 to 8 as EXIF numbers them; 1 is upright. `kind` is the format where it is known.

    Raises:
        ValueError: the bytes are not in a supported format.
    """
    encoded = bytes(encoded)  # Arrow's are signed
    match kind or format_of(encoded):
        case "JPEG":
            return _first(_in_jpeg(encoded))
        case "PNG":
            if len(encoded) < _SMALL and not _PNG_MARKS.search(encoded):  # digits in their thousands
                return 1
            return _first(_in_png(encoded))
        case "WEBP":
            return _first(_in_webp(encoded))
        case "TIFF":
            return _first([find_tag(encoded, ORIENTATION)])
        case "AVIF":
            return _first([_in_avif(encoded)])
        case _:
            return 1


def as_stored(encoded: bytes) -> bytes:
    """Return a TIFF that says of itself that it is upright, so that no decoder turns it."""
    tag = find_tag(encoded, ORIENTATION)
    if tag is None or tag.value == 1:
        return encoded
    changed = bytearray(encoded)
    struct.pack_into(tag.code, changed, tag.place, 1)
    return bytes(changed)


def upright(image: NDArray[Any], turned: int) -> NDArray[Any]:
    """Return H x W (x C) as it is to be seen, of what is stored with orientation `turned`; a view where it can."""
    if turned in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        image = image[::-1]
    if turned in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _first(found: Iterable[Tag | int | None]) -> int:
    """Return the first orientation that is given, 1 if none is or if it is invalid."""
    told = next((one for one in found if one is not None), None)
    value = told.value if isinstance(told, Tag) else told
    return value if value is not None and 1 <= value <= 8 else 1


def _in_exif(block: bytes) -> Tag | None:
    return find_tag(block, ORIENTATION, len(_EXIF) if block.startswith(_EXIF) else 0)


def _in_xmp(text: bytes) -> int | None:
    found = _IN_XMP.search(text)
    return int(found[1][:4]) if found else None


def _in_jpeg(encoded: bytes) -> Iterator[Tag | int | None]:
    """Yield what the EXIF segments before the pixels say, then what the XMP segments do."""
    texts = []
    for marker, begin, end in jpeg_segments(encoded):
        if marker == START_OF_SCAN:
            break
        if marker == APP1:
            content = encoded[begin:end]
            if content.startswith(_EXIF):
                yield _in_exif(content)
            elif content.startswith(_XMP):
                texts.append(content)
    yield from map(_in_xmp, texts)


def _in_png(encoded: bytes) -> Iterator[Tag | int | None]:
    texts = []
    for name, begin, end in png_chunks(encoded):
        if name == b"eXIf":
            content = bytes(encoded[begin:end])
            yield _in_exif(content)
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            texts.append((name, bytes(encoded[begin:end])))
    if texts:
        unpacked = [pair for name, content in texts if (pair := _text(name, content)) is not None]
        yield from (_in_profile(text) for key, text in unpacked if key in _PROFILES)
        yield from (_in_xmp(text) for key, text in unpacked if key == b"XML:com.adobe.xmp")


_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")


def _text(name: bytes, content: bytes) -> tuple[bytes, bytes] | None:
    """Return keyword and text of a text chunk, unpacked, None if that is damaged or of no interest."""
    key, _, rest = content.partition(b"\0")
    if key not in (*_PROFILES, b"XML:com.adobe.xmp"):
        return None
    packed = name == b"zTXt"
    if name == b"zTXt":
        rest = rest[1:]
    elif name == b"iTXt":  # flag, method, language, translated keyword
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    with suppress(zlib.error):
        return key, zlib.decompressobj().decompress(rest, _MOST_TEXT) if packed else rest
    return None


def _in_profile(text: bytes) -> Tag | int | None:
    """Return what ImageMagick's old profile says: a name, a length, and the EXIF block in hexadecimal."""
    with suppress(ValueError, IndexError):
        content = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
        if content.startswith(_XMP):
            return _in_xmp(content)
        return _in_exif(content)
    return None


def _in_webp(encoded: bytes) -> Iterator[Tag | int | None]:
    if bytes(encoded[12:16]) != b"VP8X":
        return
    place, total, texts = 12, len(encoded), []
    while place + 8 <= total:
        name, size = bytes(encoded[place : place + 4]), int.from_bytes(encoded[place + 4 : place + 8], "little")
        if name in (b"EXIF", b"XMP "):
            content = bytes(encoded[place + 8 : place + 8 + size])
            if name == b"EXIF":
                yield _in_exif(content)
            else:
                texts.append(content)
        place += 8 + size + size % 2
    yield from map(_in_xmp, texts)


def _in_avif(encoded: bytes) -> int | None:
    """Return the turn (`irot`) and the mirror (`imir`) of an AVIF as one orientation, as Pillow makes of them."""
    # Damaged files raise nearly anything; decoding reports them.
    with suppress(Exception), Image.open(BytesIO(encoded), formats=("AVIF",)) as image:
        told = image.getexif().get(ORIENTATION)
        return told if isinstance(told, int) else None
    return None
