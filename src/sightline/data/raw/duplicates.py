"""Preflight across images: copies, contradictions, and leaks between splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.raw.hash_index import HashIndex
from sightline.data.raw.signature import Signatures
from sightline.data.structures import SplitName

PROTECTION: dict[SplitName, int] = {"train": 0, "val": 1, "test": 2}  # the copy in the higher one stays
_COMPARED: tuple[tuple[SplitName, SplitName], ...] = (("train", "val"), ("train", "test"), ("val", "test"))
_SAME = 4.0  # mean difference of two thumbnails, in grey levels
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
    first: dict[str, Record] = {}
    same: dict[str, list[Record]] = {}  # of the images alone of which there are several: a list each costs much
    for record in records:
        if first.setdefault(record.sha256, record) is not record:
            same.setdefault(record.sha256, [first[record.sha256]]).append(record)
    yield from sorted(same.values(), key=lambda copies: copies[0].index)


def find_near_copies(
    records: Sequence[Record], splits: Sequence[SplitName], signatures: Signatures, bits: int
) -> list[Finding]:
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
        for record, other, distance in _nearest(parts[split], parts[against], signatures, bits):
            told = (
                f"in {split}, and nearly the same as {other.source} in {against} (thumbnails differ by {distance:.1f} "
                "of 255 grey levels)"
            )
            found.setdefault(record.index, Finding("near_duplicate", record.source, told))
    return [found[index] for index in sorted(found)]


def _nearest(
    queries: Sequence[Record], others: Sequence[Record], signatures: Signatures, bits: int
) -> Iterator[tuple[Record, Record, float]]:
    """Yield each query that has near copies among the others, with the nearest and the thumbnails' distance."""
    if not queries or not others:
        return
    theirs, own = (np.array([record.index for record in records]) for records in (others, queries))
    near = HashIndex(signatures.bits(theirs), bits, _CANDIDATES).near(signatures.bits(own))
    begins = np.flatnonzero(np.diff(near.queries, prepend=-1)).tolist()
    for begin, end in pairwise([*begins, len(near.queries)]):
        query = int(near.queries[begin])
        members = near.members[begin : min(end, begin + _CANDIDATES)]
        thumbnails = signatures.thumbnails(theirs[members]).astype(np.int16)
        distances = np.abs(thumbnails - signatures.thumbnails(own[query : query + 1])).mean(axis=1)
        best = int(distances.argmin())
        if distances[best] <= _SAME:
            yield queries[query], others[int(members[best])], float(distances[best])
