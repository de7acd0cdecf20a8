"""Writes the checked samples of a source as a split of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sightline.data.raw.checks import Record
from sightline.data.raw.formats.source import Source, Unreadable
from sightline.data.rows import sample_row, write_rows
from sightline.data.structures import Sample
from sightline.system.errors import UserError
from sightline.system.in_order import in_order


def sample_id(record: Record) -> str:
    """Return 16 hexadecimal digits that name a sample for ever: a hash of its place and its bytes."""
    return hashlib.sha256(f"{record.source}\0{record.sha256}".encode()).hexdigest()[:16]


def write_split(folder: Path, source: Source, records: Sequence[Record], advance: Callable[[], None]) -> None:
    """Write the samples of `records` to shards in `folder`; one shard at a time is in memory.

    Raises:
        UserError: a file has changed since it was checked.
    """

    def row(place: int) -> dict[str, Any]:
        record = records[place]
        sample = _unchanged(source, record)
        return sample_row(sample_id(record), sample, (record.height, record.width, record.channels), record.sha256)

    def rows(places: Sequence[int]) -> Iterator[dict[str, Any]]:
        for made in in_order(row, places):
            advance()
            yield made

    write_rows(folder, map(sample_id, records), sum(record.size for record in records), rows)


def _unchanged(source: Source, record: Record) -> Sample:
    try:
        sample = source.sample(record.index)
    except Unreadable as error:
        raise UserError(
            f"{error.source}: {error.reason}, although it was readable when it was checked; run again"
        ) from None
    if hashlib.sha256(sample.image).hexdigest() != record.sha256:
        raise UserError(f"{record.source}: has changed since it was checked; run again when no program writes there")
    return sample
