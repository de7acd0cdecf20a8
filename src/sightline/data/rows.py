"""Writes samples as a few Arrow files: a sample's bucket is a prefix of its id, and files are ordered by id.

So the same samples give the same bytes, and added images rewrite only the files they fall in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sightline.data.encoding import encode_png
from sightline.data.schema import SCHEMA, WITHOUT_TEXT
from sightline.data.structures import Sample

_SHARD_SAMPLES = 2048
_SHARD_BYTES = 64 * 2**20


Rows = Callable[[Sequence[int]], Iterable[dict[str, Any]]]


def write_rows(folder: Path, names: Iterable[str], size: int, make: Rows) -> None:
    """Write one row per id to shards in a new `folder`; those of one shard at a time are made and in memory.

    Args:
        folder: to be made.
        names: ids, 16 hexadecimal digits each.
        size: bytes of all encoded images, by which the number of shards is chosen.
        make: yields the values of all columns for each of some places in `names`, which ascend by id.
    """
    folder.mkdir(parents=True)
    ids = np.fromiter((int(name, 16) for name in names), np.uint64)  # as text they would take ten times as much
    bits = bucket_bits(len(ids), size)
    digits = max(2, -(-bits // 4))
    order = np.argsort(ids)
    buckets = ids[order] >> np.uint64(32) >> np.uint64(32 - bits)
    begins = np.flatnonzero(np.diff(buckets)) + 1
    for places in np.split(order, begins):
        bucket = int(ids[places[0]]) >> 32 >> (32 - bits)
        rows = list(make(places.tolist()))
        schema = SCHEMA if any(own["text"] for own in rows) else WITHOUT_TEXT
        with pa.OSFile(str(folder / f"{bucket:0{digits}x}.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as out:
            out.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def bucket_bits(count: int, size: int) -> int:
    """Return how many bits of the id choose the shard, so that one holds at most 2048 samples and 64 MiB on average."""
    shards = max(count / _SHARD_SAMPLES, size / _SHARD_BYTES, 1)
    return min(32, int(np.ceil(np.log2(shards))))


def sample_row(name: str, sample: Sample, shape: tuple[int, int, int], sha256: str) -> dict[str, Any]:
    """Return the values of all columns: id, sample, its height, width and channels, and the hash of its bytes."""
    copied = ("image", "label", "labels", "box_labels", "iscrowd", "difficult", "area", "instances", "values", "text")
    height, width, channels = shape
    return {column: getattr(sample, column) for column in (*copied, "group", "source", "batch")} | {
        "id": name,
        "height": height,
        "width": width,
        "channels": channels,
        "sha256": sha256,
        "boxes": None if sample.boxes is None else sample.boxes.tolist(),
        "corners": None if sample.corners is None else sample.corners.tolist(),
        "keypoints": None if sample.keypoints is None else sample.keypoints.tolist(),
        "semantic": None if sample.semantic is None else encode_png(sample.semantic),
        "attributes": json.dumps(sample.attributes, sort_keys=True),
    }
