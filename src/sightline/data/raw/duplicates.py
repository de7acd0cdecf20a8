"""Preflight across images: copies, contradictions, and leaks between splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.structures import UINT8, SplitName

PROTECTION: dict[SplitName, int] = {"train": 0, "val": 1, "test": 2}  # the copy in the higher one stays
_COMPARED: tuple[tuple[SplitName, SplitName], ...] = (("train", "val"), ("train", "test"), ("val", "test"))
_SAME = 4.0  # mean difference of two thumbnails, in grey levels
_PAIRS = 4_000_000  # hashes compared at a time: 32 MB
_CANDIDATES = 32  # thumbnails compared per image, nearest hashes first: flat images have thousands


def find_conflicts(records: Sequence[Record], classes: Sequence[str]) -> list[Finding]:
    """Return a finding for every copy of an image whose copies have different labels or annotations."""

    def named(record: Record) -> str:
        return repr(classes[record.label]) if record.label >= 0 else "not at all"

    findings = []
    for copies in _copies(records):
        if len({record.label for record in copies}) > 1:
            for record in copies:
                other = next(copy for copy in copies if copy.label != record.label)
                told = f"labelled {named(record)}, but its copy {other.source} {named(other)}"
                findings.append(Finding("conflict", record.source, told))
        elif len({record.truth for record in copies}) > 1:
            for record in copies:
                other = next(copy for copy in copies if copy.truth != record.truth)
                findings.append(
                    Finding("conflict", record.source, f"annotated differently from its copy {other.source}")
                )
    return findings


def find_copies(records: Sequence[Record], splits: Sequence[SplitName]) -> list[Finding]:
    """Return a leak for copies in a less protected split than another, and a duplicate for others beyond the first."""
    split_of = {record.index: split for record, split in zip(records, splits, strict=True)}
    findings = []
    for copies in _copies(records):
        kept = max((split_of[record.index] for record in copies), key=PROTECTION.__getitem__)
        first = next(record for record in copies if split_of[record.index] == kept)
        for record in copies:
            split = split_of[record.index]
            if split != kept:
                findings.append(Finding("leak", record.source, f"in {split}, and the same as {first.source} in {kept}"))
            elif record is not first:
                findings.append(Finding("duplicate", record.source, f"the same as {first.source}"))
    return findings


def _copies(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records of each image that occurs more than once."""
    same: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        same[record.sha256].append(record)
    yield from (copies for copies in same.values() if len(copies) > 1)


def find_near_copies(records: Sequence[Record], splits: Sequence[SplitName], bits: int) -> list[Finding]:
    """Return a finding for each image of val or test that nearly equals one of train, or of test one of val.

    Two images are nearly equal where their hashes differ in at most `bits` and their thumbnails hardly differ.
    """
    if bits < 0:
        return []
    parts: dict[SplitName, list[Record]] = {split: [] for split in PROTECTION}
    for record, split in zip(records, splits, strict=True):
        parts[split].append(record)
    found: dict[int, Finding] = {}
    for against, split in _COMPARED:
        for record, other, distance in _nearest(parts[split], parts[against], bits):
            told = (
                f"in {split}, and nearly the same as {other.source} in {against} ({distance:.1f} grey levels "
                f"difference)"
            )
            found.setdefault(record.index, Finding("near_duplicate", record.source, told))
    return [found[index] for index in sorted(found)]


def _nearest(queries: Sequence[Record], others: Sequence[Record], bits: int) -> Iterator[tuple[Record, Record, float]]:
    """Yield each query that has near copies among the others, with the nearest and the thumbnails' distance."""
    if not queries or not others:
        return
    hashes = np.array([record.signature.bits for record in others], np.uint64)
    thumbnails = _thumbnails(others)
    step = max(1, _PAIRS // len(others))
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step]
        own = np.array([record.signature.bits for record in chunk], np.uint64)
        differing = np.bitwise_count(own[:, None] ^ hashes)
        for row in np.flatnonzero((differing <= bits).any(axis=1)).tolist():
            near = np.flatnonzero(differing[row] <= bits)
            near = near[np.argsort(differing[row, near], kind="stable")[:_CANDIDATES]]
            distances = np.abs(thumbnails[near].astype(np.int16) - _thumbnails([chunk[row]])).mean(axis=1)
            best = int(distances.argmin())
            if distances[best] <= _SAME:
                yield chunk[row], others[int(near[best])], float(distances[best])


def _thumbnails(records: Sequence[Record]) -> UINT8:
    joined = b"".join(record.signature.thumbnail for record in records)
    return np.frombuffer(joined, np.uint8).reshape(len(records), -1)
