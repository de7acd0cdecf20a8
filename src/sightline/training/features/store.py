"""The folder of a features entry, as it is read: `features.json`, and a file of vectors per split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, LabelMap, SplitName
from sightline.system.errors import UserError, first_line, nearest
from sightline.system.files import read_json
from sightline.training.features.base import MapShape, Vectors

FORMAT_VERSION = 1
EXTRACTOR = "extractor"


@dataclass(frozen=True)
class FeatureCard:
    """What `features.json` says.

    It describes only the train split, so new test images change neither it nor what is fitted to it.

    Attributes:
        dimensions: number of features of each layer, by its name.
        labels: the classes.
        train_sha256: of ids and labels of the train split.
        data_sha256: of the train samples and the label map.
        extractor: hash of each file of the extractor, by its name.
        maps: channels, height and width of the layers with features of single places, by their names.
    """

    dimensions: dict[str, int]
    labels: LabelMap
    train_sha256: str
    data_sha256: str
    extractor: dict[str, str]
    maps: dict[str, MapShape] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "layers": self.dimensions,
            "labels": self.labels.to_json(),
            "train_sha256": self.train_sha256,
            "data_sha256": self.data_sha256,
            "extractor": self.extractor,
            "maps": {name: list(shape) for name, shape in self.maps.items()},
        }


@dataclass(frozen=True)
class FeatureTable:
    """Features of N samples.

    Attributes:
        ids: N sample ids.
        labels: N class ids, -1 for none.
        vectors: N x D, the layers that were asked for, joined.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    vectors: FLOAT32


def rows_sha256(ids: Sequence[str], labels: NDArray[np.int64]) -> str:
    """Return a hash of which samples there are and of their classes, in their order."""
    return hashlib.sha256(
        "\n".join(f"{name} {label}" for name, label in zip(ids, labels, strict=True)).encode()
    ).hexdigest()


def read_feature_card(folder: Path) -> FeatureCard:
    """Read `features.json`.

    Raises:
        UserError: missing, damaged, or of another format.
    """
    path = folder / "features.json"
    try:
        values = read_json(path)
        if values["format_version"] != FORMAT_VERSION:
            raise UserError(f"{path}: written by another version of Sightline; {_remedy(folder)}")
        return FeatureCard(
            values["layers"],
            LabelMap.from_json(values["labels"]),
            values["train_sha256"],
            values["data_sha256"],
            values["extractor"],
            {name: (shape[0], shape[1], shape[2]) for name, shape in values.get("maps", {}).items()},
        )
    except FileNotFoundError:
        raise UserError(f"{folder}: no features there; {_remedy(folder)}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged or changed by hand ({error}); {_remedy(folder)}") from None


def read_table(folder: Path, split: SplitName, layers: Sequence[str]) -> FeatureTable:
    """Read the features of a split, in the order of its samples.

    Args:
        folder: `data/features/NAME`.
        split: which part.
        layers: layers whose vectors are concatenated, in this order.

    Raises:
        UserError: a file that is missing or damaged, an unknown layer, or features that are not finite numbers.
    """
    parts = list(read_parts(folder, split, layers))
    vectors = np.concatenate([np.concatenate([part[name] for _, _, part in parts]) for name in layers], axis=1)
    labels = np.concatenate([own for _, own, _ in parts])
    return FeatureTable([one for ids, _, _ in parts for one in ids], labels, vectors)


def read_parts(
    folder: Path, split: SplitName, layers: Sequence[str]
) -> Iterator[tuple[list[str], NDArray[np.int64], Vectors]]:
    """Yield ids, class ids and the features of each layer, of as many samples as were written at once.

    Memory does not grow with their number; the rest is as in `read_table`.
    """
    path = folder / f"{split}.arrow"
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]  # mapped, not read
    except (pa.ArrowException, OSError) as error:
        problem = first_line(error)
        raise UserError(f"{path}: missing or damaged ({problem}); {_remedy(folder)}") from None
    known = file.schema.names[2:]
    for name in layers:
        if name not in known:
            raise UserError(f"{folder}: has no layer {name}{nearest(name, known)}; it has {', '.join(known)}")
    for batch in batches:
        ids = batch.column("id").to_pylist()
        vectors = {name: _matrix(batch.column(name)) for name in layers}
        for own in vectors.values():
            bad = np.flatnonzero(~np.isfinite(own).all(1))
            if len(bad):
                raise UserError(f"{path}: features of sample {ids[bad[0]]} are not finite numbers; {_remedy(folder)}")
        yield ids, batch.column("label").to_numpy().astype(np.int64), vectors


def _matrix(column: pa.Array) -> FLOAT32:
    values: FLOAT32 = column.flatten().to_numpy().reshape(len(column), -1)
    return values


def _remedy(folder: Path) -> str:
    return f"run dvc repro embed@{folder.name}"
