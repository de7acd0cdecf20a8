"""The IDX files of MNIST and its relatives (http://yann.lecun.com/exdb/mnist), gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from sightline.data.encoding import encode_png
from sightline.data.raw.formats.source import Source, require_root
from sightline.data.structures import UINT8, LabelMap, Sample, SplitName
from sightline.system.errors import UserError

_PREFIXES: dict[str, SplitName] = {"train": "train", "t10k": "test", "test": "test"}


class IdxSource(Source):
    """Images held as one uint8 array per part, each made a PNG as it is asked for."""

    def __init__(self, parts: dict[SplitName, tuple[UINT8, UINT8]], ignored: list[str]) -> None:
        self.parts, self.ignored = parts, ignored
        self.values = np.unique(np.concatenate([labels for _, labels in parts.values()]))
        classes = tuple(str(value) for value in self.values)
        self.labels = LabelMap(classes, classes)
        joined = np.concatenate([labels for _, labels in parts.values()])
        self.sample_labels = np.searchsorted(self.values, joined).tolist()

    def __len__(self) -> int:
        return sum(len(labels) for _, labels in self.parts.values())

    def sample(self, index: int) -> Sample:
        """Return one image as grey PNG, with its split and its place in the file."""
        for split, (images, labels) in self.parts.items():
            if index < len(labels):
                label = int(np.searchsorted(self.values, labels[index]))
                return Sample(f"{split}/{index:05}", encode_png(images[index]), split=split, label=label)
            index -= len(labels)
        raise IndexError(index)


def open_idx(root: Path) -> IdxSource:
    """Return the images of the train and, if there is one, the test pair of files in `root`.

    Raises:
        UserError: a file is missing, damaged, or does not fit its partner.
    """
    require_root(root)
    parts: dict[SplitName, tuple[UINT8, UINT8]] = {}
    used: set[str] = set()
    for prefix, split in _PREFIXES.items():
        images, labels = _find(root, f"{prefix}-images", 3), _find(root, f"{prefix}-labels", 1)
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            got, wanted = (images, f"{prefix}-labels-idx1-ubyte") if images else (labels, f"{prefix}-images-idx3-ubyte")
            raise UserError(f"{got}: {wanted}, which belongs to it, is missing; put both into {root}")
        if split in parts:
            raise UserError(f"{root}: holds both a t10k and a test pair of IDX files; keep one of the two")
        parts[split] = _pair(images, labels)
        used |= {images.name, labels.name}
    if "train" not in parts:
        raise UserError(f"{root}: no train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz or not); put them there")
    others = [path.name for path in root.iterdir() if path.name not in used and not path.name.startswith(".")]
    return IdxSource(parts, sorted(others))


def _find(root: Path, stem: str, dimensions: int) -> Path | None:
    names = [f"{stem}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    return next((root / name for name in names if (root / name).is_file()), None)


def _pair(image_file: Path, label_file: Path) -> tuple[UINT8, UINT8]:
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if len(images) != len(labels):
        raise UserError(
            f"{label_file}: {len(labels)} labels, but {image_file.name} has {len(images)} images; "
            "take both files from the same release"
        )
    return images, labels


def read_idx(path: Path, dimensions: int) -> UINT8:
    """Return the uint8 array of an IDX file with so many dimensions.

    The header is 0, 0, a code of the type (8: uint8), the number of dimensions, and each of them as big-endian uint32.

    Raises:
        UserError: the file is something else or has another length than its header says.
    """
    data = _bytes(path)
    header = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) < header:
        raise UserError(
            f"{path}: begins with {data[:4].hex() or 'nothing'}, expected 000008{dimensions:02x} "
            f"(uint8, {dimensions} dimensions); download it again"
        )
    shape = np.frombuffer(data, ">u4", dimensions, offset=4).astype(int).tolist()
    expected = int(np.prod(shape, dtype=object))
    if len(data) - header != expected:
        problem = "is truncated" if len(data) - header < expected else "has too many bytes"
        raise UserError(
            f"{path}: {problem}: its header says {' x '.join(map(str, shape))} = {expected} bytes, "
            f"but {len(data) - header} follow; download it again"
        )
    if expected == 0:
        raise UserError(f"{path}: is empty ({' x '.join(map(str, shape))}); download it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip file ({error}); download it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error.strerror}") from None
