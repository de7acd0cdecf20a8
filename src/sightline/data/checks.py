"""Preflight of single images: every one is opened and decoded in full before anything is written."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from sightline.data.findings import Finding
from sightline.data.formats.source import Source, Unreadable
from sightline.data.images import decode
from sightline.data.signature import Signature, sign
from sightline.processors import usable_processors
from sightline.structures import Sample, SplitName

_CHUNK = 64  # samples per piece of work, so that threads cost little for tiny images
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
_ORIENTATION = 0x0112  # EXIF tag; 1 is upright


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a sample after its image is let go.

    Attributes:
        index: its number in the source.
        size: bytes of the encoded image.
        height, width: pixels of the upright image.
        channels: 1 for grey, 3 for colour.
        sha256: hash of the encoded bytes, hexadecimal.
        signature: by which nearly equal images are found.
        label: class of the whole image, -1 for none.
        present: classes that are in the image in any way, ascending.
        objects: class of each box.
        pixels: pixels of each class, where the sample has a semantic mask and no boxes.
        values: regression targets.
        truth: hash of all that is known beside the label; empty where that is nothing.
        batch: the batch that brought it, "" for the first data.
    """

    index: int
    source: str
    size: int
    height: int
    width: int
    channels: int
    sha256: str
    signature: Signature
    label: int
    split: SplitName | None
    group: str | None
    present: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()
    pixels: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    truth: str = ""
    batch: str = ""


def inspect_all(source: Source, max_pixels: int) -> Iterator[tuple[Record | None, list[Finding]]]:
    """Yield the record (none where the sample is bad) and the findings of each sample, in order."""

    def inspect_chunk(start: int) -> list[tuple[Record | None, list[Finding]]]:
        return [inspect(source, index, max_pixels) for index in range(start, min(start + _CHUNK, len(source)))]

    pool = ThreadPoolExecutor(usable_processors())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's hints on single files; what matters becomes a finding
        try:
            for chunk in pool.map(inspect_chunk, range(0, len(source), _CHUNK)):
                yield from chunk
        finally:
            pool.shutdown(cancel_futures=True)


def inspect(source: Source, index: int, max_pixels: int) -> tuple[Record | None, list[Finding]]:
    """Return the record of one sample (none where it is bad) and what is to be said of it."""
    try:
        sample, found = source.examined(index)
    except Unreadable as error:
        return None, [Finding(error.code, error.source, error.reason)]
    bad, hints, channels = _check_encoded(sample, max_pixels)
    if bad is not None:
        return None, [bad]
    try:
        grey = decode(sample.image, 1)[..., 0]
    except (ValueError, MemoryError):
        return None, [Finding("undecodable", sample.source, "opened by Pillow, but not by OpenCV, which decodes here")]
    if sample.semantic is not None and sample.semantic.shape != grey.shape:
        (rows, columns), (height, width) = sample.semantic.shape, grey.shape
        told = f"its mask is {columns} x {rows}, the upright image {width} x {height}"
        return None, [Finding("size_differs", sample.source, told)]
    pixels = _pixels(sample, len(source.labels))
    record = Record(
        index=index,
        source=sample.source,
        size=len(sample.image),
        height=grey.shape[0],
        width=grey.shape[1],
        channels=channels,
        sha256=hashlib.sha256(sample.image).hexdigest(),
        signature=sign(np.ascontiguousarray(grey)),
        label=sample.label,
        split=sample.split,
        group=sample.group,
        present=_present(sample, pixels),
        objects=tuple(sample.box_labels),
        pixels=pixels,
        values=tuple(sample.values),
        truth=truth_of(sample),
        batch=sample.batch,
    )
    return record, hints + found


def _pixels(sample: Sample, classes: int) -> tuple[int, ...]:
    if sample.semantic is None or sample.boxes is not None:
        return ()
    counted: list[int] = np.bincount(sample.semantic.ravel(), minlength=256)[:classes].tolist()
    return tuple(counted)


def _present(sample: Sample, pixels: tuple[int, ...]) -> tuple[int, ...]:
    told = {sample.label, *sample.labels, *sample.box_labels, *(label for label, count in enumerate(pixels) if count)}
    return tuple(sorted(told - {-1}))


def truth_of(sample: Sample) -> str:
    """Return a hash by which copies of an image with other annotations are told apart."""
    plain = [sample.labels, sample.box_labels, sample.iscrowd, sample.difficult, sample.instances, sample.values]
    arrays = [array for array in (sample.boxes, sample.keypoints, sample.semantic) if array is not None]
    if not any(plain) and not arrays:
        return ""
    joined = hashlib.sha256(json.dumps(plain).encode())
    for array in arrays:
        joined.update(array.tobytes())
    return joined.hexdigest()


def _check_encoded(sample: Sample, max_pixels: int) -> tuple[Finding | None, list[Finding], int]:
    """Return what makes the sample bad, if anything, the warnings, and the number of channels.

    Pillow reads the header first, so a huge image is refused before it is decoded, and tells truncation, where OpenCV
    fills the missing part with grey.
    """
    if not sample.image:
        return Finding("empty", sample.source, "has 0 bytes"), [], 0
    try:
        with Image.open(BytesIO(sample.image)) as image:
            width, height = image.size
            if width * height > max_pixels:
                return Finding("bomb", sample.source, f"{width} x {height} pixels, allowed are {max_pixels}"), [], 0
            hints = _hints(sample.source, image)
            image.load()
            return None, hints, 1 if image.mode in _GREY_MODES else 3
    except UnidentifiedImageError:
        return Finding("unreadable", sample.source, f"not an image (begins with {sample.image[:4].hex()})"), [], 0
    except Image.DecompressionBombError as error:
        return Finding("bomb", sample.source, str(error).partition(",")[0]), [], 0
    except Exception as error:  # damaged files raise nearly anything: OSError, SyntaxError, struct.error, ValueError
        return Finding("truncated", sample.source, f"cannot be read to its end ({_first_line(error)})"), [], 0


def _hints(source: str, image: Image.Image) -> list[Finding]:
    found = []
    suffix = PurePosixPath(source).suffix.lower()
    told = Image.registered_extensions().get(suffix)
    content = "JPEG" if image.format == "MPO" else image.format  # phones' JPEGs with a second picture
    if told is not None and content != told:
        found.append(Finding("wrong_suffix", source, f"named {suffix}, but holds {content}"))
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        found.append(Finding("rotated", source, f"EXIF orientation {orientation}, decoded upright"))
    return found


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
