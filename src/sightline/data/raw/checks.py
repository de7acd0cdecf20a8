"""Preflight of single images: every one is opened and decoded in full before anything is written."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import Source, Unreadable
from sightline.data.raw.image_checks import decoded_to_its_end, hints
from sightline.data.raw.names import is_utf8
from sightline.data.raw.signature import Signature, sign
from sightline.data.raw.small_pictures import small_of
from sightline.data.structures import UINT8, Sample, SplitName
from sightline.system.errors import first_line
from sightline.system.in_order import in_order


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a sample after its image is let go.

    Attributes:
        index: its number in the source.
        size: bytes of the encoded image.
        height, width: pixels of the upright image.
        channels: 1 for grey, 3 for colour.
        sha256: hash of the encoded bytes, hexadecimal.
        label: class of the whole image, -1 for none.
        present: classes that are in the image in any way, ascending.
        objects: class of each box.
        crowds: class of each box that is a crowd, which is neither learned nor scored.
        pixels: pixels of each class, where the sample has a semantic mask and no boxes.
        ignored: pixels of no class, where it has such a mask.
        values: regression targets.
        text: what is written on the image.
        truth: hash of all that is known besides the label; empty where that is nothing.
        batch: the batch that brought it, "" for the first data.
        white: of 16-bit images the stored value that becomes 255, else 0.
    """

    index: int
    source: str
    size: int
    height: int
    width: int
    channels: int
    sha256: str
    label: int
    split: SplitName | None
    group: str | None
    present: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()
    crowds: tuple[int, ...] = ()
    pixels: tuple[int, ...] = ()
    ignored: int = 0
    values: tuple[float, ...] = ()
    text: str = ""
    truth: str = ""
    batch: str = ""
    white: int = 0


class Look(NamedTuple):
    """What is seen of an image: its small picture, and the signature by which nearly equal ones are found."""

    picture: UINT8
    signature: Signature


class Inspected(NamedTuple):
    """What is known of a sample: its record and its look, None where it is bad, and what is to be said."""

    record: Record | None
    findings: list[Finding]
    look: Look | None = None


def inspect_all(source: Source, max_pixels: int) -> Iterator[Inspected]:
    """Yield what is known of each sample, in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's hints on single files; what matters becomes a finding
        yield from in_order(lambda index: inspect(source, index, max_pixels), range(len(source)))


def inspect(source: Source, index: int, max_pixels: int) -> Inspected:
    """Read and decode one sample, and return what is known of it."""
    try:
        sample, found = source.examined(index)
    except Unreadable as error:
        return Inspected(None, [Finding(error.code, error.source, error.reason)])
    if any(finding.bad for finding in found):
        return Inspected(None, found)
    try:
        if not is_utf8(sample.source):
            raise Unreadable(sample.source, "its name is not UTF-8", "bad_name")
        stored, picture = decoded_to_its_end(sample, max_pixels)
    except Unreadable as error:
        return Inspected(None, [Finding(error.code, error.source, error.reason)])
    except (ValueError, MemoryError) as error:
        return Inspected(None, [Finding("undecodable", sample.source, first_line(error))])
    height, width = picture.height, picture.width
    if sample.semantic is not None and sample.semantic.shape != (height, width):
        rows, columns = sample.semantic.shape
        told = f"its mask is {columns} x {rows}, the upright image {width} x {height}"
        return Inspected(None, [Finding("size_differs", sample.source, told)])
    pixels = _pixels(sample, len(source.labels))
    record = Record(
        index=index,
        source=sample.source,
        size=len(sample.image),
        height=height,
        width=width,
        channels=stored.channels,
        white=0 if picture.highest is None else picture.white,
        sha256=hashlib.sha256(sample.image).hexdigest(),
        label=sample.label,
        split=sample.split,
        group=sample.group,
        present=_present(sample, pixels),
        objects=tuple(sample.box_labels),
        crowds=tuple(label for label, crowd in zip(sample.box_labels, sample.iscrowd, strict=False) if crowd),
        pixels=pixels,
        ignored=0 if sample.semantic is None or not pixels else sample.semantic.size - sum(pixels),
        values=tuple(sample.values),
        text=sample.text,
        truth=truth_of(sample),
        batch=sample.batch,
    )
    look = Look(small_of(picture), sign(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)))
    return Inspected(record, hints(sample.source, stored, picture) + found, look)


def _pixels(sample: Sample, classes: int) -> tuple[int, ...]:
    if sample.semantic is None or sample.boxes is not None:
        return ()
    counted: list[int] = np.bincount(sample.semantic.ravel(), minlength=256)[:classes].tolist()
    return tuple(counted)


def _present(sample: Sample, pixels: tuple[int, ...]) -> tuple[int, ...]:
    inside = [label for label, count in enumerate(pixels) if count and sample.label < 0]  # else the image has its class
    return tuple(sorted({sample.label, *sample.labels, *sample.box_labels, *inside} - {-1}))


def truth_of(sample: Sample) -> str:
    """Return a hash by which copies of an image with other annotations are distinguished."""
    plain: list[Any] = [sample.labels, sample.box_labels, sample.iscrowd, sample.difficult, sample.instances]
    plain += [sample.values, *([sample.text] if sample.text else [])]  # hashes of samples without a text stay
    arrays = [array for array in (sample.boxes, sample.corners, sample.keypoints, sample.semantic) if array is not None]
    if not any(plain) and not arrays:
        return ""
    joined = hashlib.sha256(json.dumps(plain).encode())
    for array in arrays:
        joined.update(array.tobytes())
    return joined.hexdigest()


def find_other_ranges(records: Sequence[Record]) -> list[Finding]:
    """Return a finding where 16-bit images of one data set are not brought to 8 bits by the same scale."""
    ranges: dict[int, list[str]] = {}
    for record in records:
        if record.white:
            ranges.setdefault(record.white, []).append(record.source)
    if len(ranges) < 2:
        return []
    told = ", ".join(f"0 to {white} in {len(sources)} (as {sources[0]})" for white, sources in sorted(ranges.items()))
    return [Finding("other_ranges", "16-bit images", f"taken as {told}: their brightness cannot be compared")]
