"""The supported image formats, detected by a file's first bytes: the suffix does not matter.

Anything else never reaches a decoder: Pillow would start Ghostscript for PostScript, and OpenCV has decoders
(OpenEXR, Radiance, PFM, Sun raster, ...) whose pixels are no 8-bit picture.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from io import BytesIO

from PIL import Image, ImageFile, UnidentifiedImageError

from sightline.data.jpeg import is_whole
from sightline.system.errors import first_line

# As Pillow calls them, to be handed to `Image.open(..., formats=FORMATS)`; a phone's MPO is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "JPEG2000", "PPM")
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
# Pictures that are not read, by their first bytes, and other files that people name like an image.
_OTHER_PICTURES = {
    b"%!PS": "PostScript (EPS)",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop (PSD)",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"Pf": "PFM (floats)",
    b"PF": "PFM (floats)",
    b"P7\n": "PAM",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\0\0\x01\0": "an icon (ICO)",
    b"DDS ": "a texture (DDS)",
    b"qoif": "QOI",
    b"SIMPLE  =": "FITS",
    b"\x59\xa6\x6a\x95": "Sun raster",
    b"\x01\xda": "SGI",
    b"<svg": "SVG",
}
_NO_PICTURES = {
    b"<?xml": "XML",
    b"<!DOCTYPE": "HTML",
    b"<!doctype": "HTML",
    b"<html": "HTML",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS, not the file (`git lfs pull` gets it)",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC"}
_HEAD = 256  # bytes
_SHOWN = 20  # characters of a text
_Decoder = getincrementaldecoder("utf-8")  # the last character may be cut


class OtherFormat(ValueError):  # noqa: N818 - it says what the file is
    """An image of a format that is not read."""


def format_of(encoded: bytes | memoryview) -> str:
    """Return which of `FORMATS` the bytes begin like.

    Raises:
        OtherFormat: an image of another format, which the message names.
        ValueError: no image.
    """
    head = bytes(encoded[:_HEAD])
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        told = _brand(head)
        if told == "AVIF":
            return told
        raise OtherFormat(f"{told} is not supported")
    if begins := _named(head, _BEGINNINGS):
        return begins
    if other := "DICOM" if head[128:132] == b"DICM" else _named(head, _OTHER_PICTURES):
        raise OtherFormat(f"{other} is not supported")
    raise ValueError(f"not an image{_other_content(head)}")


def _other_content(head: bytes) -> str:
    """Return what follows "not an image": what the file is by its first bytes."""
    if told := _named(head, _NO_PICTURES):
        return f" ({told})"
    if text := _text(head):
        return f': it is text, beginning "{text}"'
    return f" (begins with {head[:4].hex()})"


def _text(head: bytes) -> str:
    """Return the first few characters where all are printable, else nothing."""
    try:
        words = " ".join(_Decoder().decode(head).split())
    except UnicodeDecodeError:
        return ""
    return words[:_SHOWN] if words.isprintable() else ""


def _named(head: bytes, names: dict[bytes, str]) -> str | None:
    return next((name for begins, name in names.items() if head.startswith(begins)), None)


def _brand(head: bytes) -> str:
    """Return what an ISO base media file holds, by its major brand, else by those that it is compatible with."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, min(size, len(head)), 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "a film, or another ISO media file,")


def open_header(encoded: bytes | memoryview) -> ImageFile.ImageFile:
    """Return an image opened by Pillow, of which no pixel is decoded yet.

    Raises:
        OtherFormat, ValueError: as `format_of`, and where Pillow makes nothing of the header.
        Exception: damaged headers raise nearly anything.
    """
    kind = format_of(encoded)
    try:
        return Image.open(BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError:
        raise OtherFormat(f"{kind} with a damaged header, or of an unsupported kind") from None


def require_whole(encoded: bytes | memoryview) -> None:
    """Find that an image ends too early, where OpenCV would fill what is missing with grey.

    Raises:
        ValueError: it cannot be decoded to its end, or is not one of the supported formats.
    """
    if format_of(encoded) == "JPEG" and is_whole(bytes(encoded)):
        return
    try:
        with open_header(encoded) as image:
            image.load()
    except OtherFormat:
        raise
    except Exception as error:  # damaged files raise nearly anything
        raise ValueError(f"cannot be read to its end ({first_line(error)}); copy it again") from None


def png_chunks(encoded: bytes | memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and end of the content of each chunk of a PNG; ends where the file is damaged."""
    place, total = 8, len(encoded)
    while place + 12 <= total:
        size = int.from_bytes(encoded[place : place + 4], "big")
        yield bytes(encoded[place + 4 : place + 8]), place + 8, min(place + 8 + size, total)
        place += 12 + size
