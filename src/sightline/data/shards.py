"""Writes a split as a few Arrow files: a sample's bucket is a prefix of its id, and files are ordered by id.

So the same samples give the same bytes, and added images rewrite only the files they fall in.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sightline.data.checks import Record
from sightline.data.encoding import encode_png
from sightline.data.formats.source import Source, Unreadable
from sightline.data.schema import SCHEMA
from sightline.errors import UserError
from sightline.structures import Sample

_SHARD_SAMPLES = 2048
_SHARD_BYTES = 64 * 2**20


def sample_id(record: Record) -> str:
    """Return 16 hexadecimal digits that name a sample for ever: a hash of its place and its bytes."""
    return hashlib.sha256(f"{record.source}\0{record.sha256}".encode()).hexdigest()[:16]


def write_split(folder: Path, source: Source, records: Sequence[Record], advance: Callable[[], None]) -> None:
    """Write the samples of `records` to shards in `folder`; one shard at a time is in memory.

    Raises:
        UserError: a file has changed since it was checked.
    """
    folder.mkdir(parents=True)
    bits = bucket_bits(len(records), sum(record.size for record in records))
    buckets: dict[int, list[tuple[str, Record]]] = defaultdict(list)
    for record in records:
        name = sample_id(record)
        buckets[int(name[:8], 16) >> (32 - bits)].append((name, record))
    digits = max(2, -(-bits // 4))
    for bucket, named in sorted(buckets.items()):
        rows = []
        for name, record in sorted(named, key=lambda pair: pair[0]):
            rows.append(_row(name, record, _unchanged(source, record)))
            advance()
        with pa.OSFile(str(folder / f"{bucket:0{digits}x}.arrow"), "wb") as file, pa.ipc.new_file(file, SCHEMA) as out:
            out.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


def bucket_bits(count: int, size: int) -> int:
    """Return how many bits of the id choose the shard, so that one holds at most 2048 samples and 64 MiB on average."""
    shards = max(count / _SHARD_SAMPLES, size / _SHARD_BYTES, 1)
    return min(32, int(np.ceil(np.log2(shards))))


def _unchanged(source: Source, record: Record) -> Sample:
    try:
        sample = source.sample(record.index)
    except Unreadable as error:
        raise UserError(f"{error.source}: {error.reason}, though it could be when it was checked; run again") from None
    if hashlib.sha256(sample.image).hexdigest() != record.sha256:
        raise UserError(f"{record.source}: has changed since it was checked; run again when nothing writes there")
    return sample


def _row(name: str, record: Record, sample: Sample) -> dict[str, Any]:
    copied = ("image", "label", "labels", "box_labels", "iscrowd", "difficult", "area", "instances", "values")
    return {column: getattr(sample, column) for column in (*copied, "group", "source")} | {
        "id": name,
        "height": record.height,
        "width": record.width,
        "channels": record.channels,
        "sha256": record.sha256,
        "boxes": None if sample.boxes is None else sample.boxes.tolist(),
        "keypoints": None if sample.keypoints is None else sample.keypoints.tolist(),
        "semantic": None if sample.semantic is None else encode_png(sample.semantic),
        "attributes": json.dumps(sample.attributes, sort_keys=True),
    }
