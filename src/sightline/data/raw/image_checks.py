"""What is checked of a single encoded image, and what is worth knowing of one that is kept."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL import Image

from sightline.data.image_formats import OtherFormat, format_of, open_header
from sightline.data.images import Picture
from sightline.data.jpeg import is_whole
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.formats.source import Unreadable
from sightline.data.raw.small_pictures import read_for_small
from sightline.data.structures import Sample
from sightline.system.errors import first_line

_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


class Stored(NamedTuple):
    """What a file says of its image.

    Attributes:
        format: one of `FORMATS`.
        channels: 1 for grey, 3 for colour.
        pages: pages or frames; only the first is used.
        transparent: whether any pixel is.
    """

    format: str
    channels: int
    pages: int
    transparent: bool


def decoded_to_its_end(sample: Sample, max_pixels: int) -> tuple[Stored, Picture]:
    """Return what a file says of its image, and the image, which is there to its end.

    OpenCV fills a missing part with grey, so Pillow is asked to read the file too. A JPEG whose segments lead to its
    end needs that only where OpenCV cannot decode it: Pillow may know why.

    Raises:
        Unreadable: it is bad.
        ValueError, MemoryError: OpenCV alone cannot decode it.
    """
    stored = _opened(sample, max_pixels, load=not is_whole(sample.image))
    try:
        return stored, read_for_small(sample.image)
    except (ValueError, MemoryError):
        _opened(sample, max_pixels, load=True)
        raise


def _opened(sample: Sample, max_pixels: int, load: bool) -> Stored:
    """Open an image with Pillow, which reads the header first: a huge image is rejected before it is decoded.

    Args:
        sample: with the image.
        max_pixels: that it may have.
        load: whether to read it to its end. Otherwise it is a JPEG, in which nothing is transparent.

    Raises:
        Unreadable: it is bad.
    """

    def bad(code: Code, told: str) -> Unreadable:
        return Unreadable(sample.source, told, code)

    if not sample.image:
        raise bad("empty", "has 0 bytes")
    try:
        kind = format_of(sample.image)
    except ValueError as error:
        raise bad("undecodable" if isinstance(error, OtherFormat) else "unreadable", str(error)) from None
    try:
        with open_header(sample.image) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise bad("bomb", f"{width} x {height} pixels, at most {max_pixels} are allowed")
            pages = _pages(image)
            if load:
                image.load()
            return Stored(kind, 1 if image.mode in _GREY_MODES else 3, pages, _is_transparent(image))
    except Unreadable:
        raise
    except OtherFormat as error:
        raise bad("undecodable", str(error)) from None
    except Image.DecompressionBombError as error:
        raise bad("bomb", str(error).partition(",")[0]) from None
    except Exception as error:  # damaged files raise nearly anything: OSError, SyntaxError, struct.error, ValueError
        raise bad("truncated", f"cannot be read to its end ({first_line(error)})") from None


def _pages(image: Image.Image) -> int:
    """Return the number of pages or frames; the second picture of a phone's JPEG (MPO) is a preview, and no page."""
    if image.format == "MPO":
        return 1
    pages = int(getattr(image, "is_animated", False)) + 1
    with suppress(Exception):  # later pages may be damaged; the first is what counts
        pages = int(getattr(image, "n_frames", 1))
    if pages > 1:
        image.seek(0)
    return pages


def _is_transparent(image: Image.Image) -> bool:
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return False
    with suppress(ValueError):  # 16 bits with a transparent grey
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        return bool(alpha.min() < 255)
    return False


def hints(source: str, stored: Stored, picture: Picture) -> list[Finding]:
    """Return what is worth knowing of an image that is kept."""
    found = []
    suffix = os.path.splitext(source)[1].lower()  # noqa: PTH122 - a Path per file costs 3x as much
    told = Image.registered_extensions().get(suffix)
    if told is not None and stored.format != {"DIB": "BMP", "MPO": "JPEG"}.get(told, told):
        found.append(Finding("wrong_suffix", source, f"has the suffix {suffix}, but is {stored.format}"))
    if picture.orientation > 1:
        found.append(Finding("rotated", source, f"stored with orientation {picture.orientation}, decoded upright"))
    if stored.pages > 1:
        found.append(Finding("later_pages", source, f"has {stored.pages} pages or frames; only the first is used"))
    if stored.transparent:
        found.append(Finding("transparent", source, "has transparent pixels, whose colours become visible"))
    if picture.highest is not None:
        told = f"16 bits per channel, the largest value {picture.highest}; {picture.white} is taken as white"
        found.append(Finding("deep", source, told))
    return found
