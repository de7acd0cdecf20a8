"""Makes tiny raw folders in the layouts of the public formats."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from sightline.config.datasets import Dataset
from sightline.data.encoding import encode_png
from sightline.data.raw.checks import Record
from sightline.data.structures import UINT8


def pixels(number: int, size: int = 12) -> UINT8:
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)


def png(number: int, size: int = 12) -> bytes:
    return encode_png(pixels(number, size))


def write_folder(root: Path, classes: int = 2, each: int = 12, first: int = 0, parts: tuple[str, ...] = ("",)) -> Path:
    number = first
    for part in parts:
        for label in range(classes):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            for place in range(each):
                (folder / f"{first + place:03}.png").write_bytes(png(number))
                number += 1
    return root


def write_idx(root: Path, prefix: str, labels: list[int], gz: bool = False, mark: str = "-") -> None:
    root.mkdir(parents=True, exist_ok=True)
    images = b"".join(pixels(number + len(prefix) * 1000, 6)[..., 0].tobytes() for number in range(len(labels)))
    for stem, data in (
        (f"images{mark}idx3", struct.pack(">4BIII", 0, 0, 8, 3, len(labels), 6, 6) + images),
        (f"labels{mark}idx1", struct.pack(">4BI", 0, 0, 8, 1, len(labels)) + bytes(labels)),
    ):
        path = root / f"{prefix}-{stem}-ubyte{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(data, mtime=0) if gz else data)


def config(**values: Any) -> Any:
    return TypeAdapter(Dataset).validate_python(values)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def record(number: int, **values: Any) -> Record:
    """Return a record of an image that does not exist."""
    plain: dict[str, Any] = {
        "index": number,
        "source": f"{number:04}.png",
        "size": 100,
        "height": 8,
        "width": 8,
        "channels": 1,
        "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        "label": 0,
        "split": None,
        "group": None,
    }
    return Record(**plain | values)
