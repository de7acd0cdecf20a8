"""The prepared store: a split's Arrow files, mapped into memory when read."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sightline.data.schema import SCHEMA, WITHOUT_TEXT
from sightline.data.structures import LabelMap, Sample
from sightline.system.errors import UserError, first_line
from sightline.system.files import read_json


class SplitStore:
    """One split of a prepared data set, mapped into memory: nothing is read before it is asked for.

    Args:
        path: `data/prepared/NAME/SPLIT`.
        more: folders with further samples of the same data set, which follow those of `path`.

    Raises:
        UserError: it is missing or damaged.
    """

    def __init__(self, path: Path, more: Sequence[Path] = ()) -> None:
        self.path, self.more = path, tuple(more)
        self._files = []
        for folder in (path, *self.more):
            files = sorted(folder.glob("*.arrow"))
            if not files:
                raise UserError(f"{folder}: no prepared samples; {_remedy(folder.parent)}")
            self._files += files
        self._shards = [_map(file) for file in self._files]
        self._ends = np.cumsum([shard.num_rows for shard in self._shards]).tolist()

    def __reduce__(self) -> tuple[type[SplitStore], tuple[Path, tuple[Path, ...]]]:
        return SplitStore, (self.path, self.more)  # worker processes map the files themselves

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def ids(self) -> list[str]:
        """The samples' ids, ascending in each folder."""
        return self.column("id")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """N class ids, -1 for none."""
        joined = [shard.column("label").to_numpy() for shard in self._shards]
        return np.concatenate(joined).astype(np.int64)

    @cached_property
    def sources(self) -> list[str]:
        """Each sample's path below the raw root."""
        return self.column("source")

    @cached_property
    def digest(self) -> str:
        """Hash of all files, hexadecimal."""
        joined = hashlib.sha256()
        for file in self._files:
            with file.open("rb") as opened:
                joined.update(hashlib.file_digest(opened, "sha256").digest())
        return joined.hexdigest()

    @cached_property
    def _keypoints(self) -> int:
        return len(load_labels(self.path.parent).keypoints)

    def column(self, name: str) -> list[Any]:
        """Return the values of one column as plain Python values."""
        return [value for shard in self._shards for value in _values(shard, name)]

    def image(self, index: int) -> memoryview:
        """Return the encoded bytes of an image, as a view of the file."""
        shard, row = self._place(index)
        return memoryview(shard.column("image")[row].as_buffer())

    def sample(self, index: int) -> Sample:
        """Return a sample with all that is known of it."""
        shard, row = self._place(index)
        values = shard.slice(row, 1).to_pylist()[0]
        for name in ("boxes", "corners", "keypoints"):
            values[name] = None if values[name] is None else np.array(values[name], np.float32)
        if values["boxes"] is not None:
            values["boxes"] = values["boxes"].reshape(-1, 4)
        if values["corners"] is not None:
            values["corners"] = values["corners"].reshape(-1, 4, 2)
        if values["keypoints"] is not None:
            values["keypoints"] = values["keypoints"].reshape(len(values["keypoints"]), self._keypoints, 3)
        if values["semantic"] is not None:
            values["semantic"] = cv2.imdecode(np.frombuffer(values["semantic"], np.uint8), cv2.IMREAD_GRAYSCALE)
        values["attributes"] = json.loads(values["attributes"])
        for name in ("id", "height", "width", "channels", "sha256"):
            del values[name]
        return Sample(**values)

    def _place(self, index: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = bisect_right(self._ends, index)
        return self._shards[shard], index - (self._ends[shard - 1] if shard else 0)


def load_labels(folder: Path) -> LabelMap:
    """Return the label map of a prepared data set.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return LabelMap.from_json(read_json(folder / "labels.json"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no prepared data set; {_remedy(folder)}") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{folder / 'labels.json'}: damaged ({error}); {_remedy(folder)}") from None


def _map(file: Path) -> pa.RecordBatch:
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    except (pa.ArrowException, OSError) as error:
        problem = first_line(error)
        raise UserError(f"{file}: damaged ({problem}); {_remedy(file.parent.parent)}") from None
    if not (batch.schema.equals(WITHOUT_TEXT) or batch.schema.equals(SCHEMA)):
        raise UserError(f"{file}: written by another version of Sightline; {_remedy(file.parent.parent)}")
    return batch


def _values(shard: pa.RecordBatch, name: str) -> list[Any]:
    if name == "text" and name not in shard.schema.names:
        return [""] * int(shard.num_rows)
    values: list[Any] = shard.column(name).to_pylist()
    return values


def _remedy(folder: Path) -> str:
    stage = "augment" if folder.parent.name == "augmented" else "prepare"
    return f"run dvc repro {stage}@{folder.name}"
