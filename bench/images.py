"""Images to measure with, made on the spot."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits, load_sample_images

from sightline.data.structures import UINT8


def write_idx(folder: Path, count: int, tests: int = 64) -> None:
    """Write `count` training and `tests` test digits, 28 x 28, as IDX files."""
    folder.mkdir(parents=True)
    digits = load_digits()
    generator = np.random.default_rng(0)
    for name, number in (("train", count), ("t10k", tests)):
        chosen = generator.integers(0, len(digits.images), number)
        images = np.stack([_varied(digits.images[index], generator) for index in chosen])
        head = struct.pack(">IIII", 0x803, number, 28, 28)
        with gzip.open(folder / f"{name}-images-idx3-ubyte.gz", "wb", 1) as stream:
            stream.write(head + images.tobytes())
        with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz", "wb", 1) as stream:
            stream.write(struct.pack(">II", 0x801, number) + digits.target[chosen].astype(np.uint8).tobytes())


def few_digits(data: Path, folder: Path, train: Sequence[int], test: Sequence[int]) -> Path:
    """Write some of MNIST's digits into a new folder, by their places in the files in `data`, in the same format."""
    folder.mkdir(parents=True)
    for name, rows in (("train", train), ("t10k", test)):
        for kind, head, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            file = f"{name}-{kind}-ubyte.gz"
            content = gzip.decompress((data / file).read_bytes())
            chosen = np.frombuffer(content, np.uint8, offset=head).reshape(-1, size)[np.asarray(rows)]
            first = content[:4] + struct.pack(">I", len(rows)) + content[8:head]
            (folder / file).write_bytes(gzip.compress(first + chosen.tobytes(), 1, mtime=0))
    return folder


def _varied(image: UINT8, generator: np.random.Generator) -> UINT8:
    large = cv2.resize((image * 15.9).astype(np.uint8), (28, 28), interpolation=cv2.INTER_LINEAR)
    noise = generator.integers(0, 16, large.shape)
    varied: UINT8 = np.clip(np.roll(large, generator.integers(-2, 3, 2), (0, 1)) + noise, 0, 255).astype(np.uint8)
    return varied


def write_photographs(folder: Path, count: int, classes: int = 4) -> None:
    """Write JPEG crops of two photographs, about 320 x 400 pixels, one folder per class."""
    photographs = load_sample_images().images
    generator = np.random.default_rng(0)
    for index in range(count):
        photo = photographs[index % 2]
        height, width = generator.integers(280, 360), generator.integers(320, 480)
        top, left = generator.integers(0, photo.shape[0] - height), generator.integers(0, photo.shape[1] - width)
        crop = photo[top : top + height, left : left + width].astype(np.int16)
        crop += generator.integers(-20, 20, 3).astype(np.int16)
        path = folder / f"class{index % classes}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.clip(crop, 0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
