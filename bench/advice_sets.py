"""Real data sets as features, for the study of learning curves in `bench.advice`; each is embedded once and kept."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sightline.config.features import Features
from sightline.data.images import decode, fit
from sightline.data.structures import FLOAT32, UINT8
from sightline.training.features.building import build_features

Images = Iterator[tuple[UINT8, str]]  # height x width x channels, and the name of the class
_NETWORK = "tf_efficientnet_lite0"
_BATCH = 32


@dataclass(frozen=True)
class EmbeddedSet:
    """N images as N x D features, N class ids and the K names of the classes."""

    name: str
    vectors: FLOAT32
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Recipe:
    images: Callable[[Path], Images]
    extractor: Mapping[str, Any]
    size: int
    channels: int = 3

    def features(self) -> dict[str, Any]:
        image: dict[str, Any] = {"size": self.size, "channels": self.channels, "resize": "stretch"}
        weights = {"weights": f"{_NETWORK}.safetensors"} if self.extractor["kind"] == "network" else {}
        return {"dataset": "bench", "input": image, "extractor": dict(self.extractor), **weights}


def _folders(data: Path, name: str) -> Images:
    for path in sorted((data / name).rglob("*.jp*g")):
        yield decode(path.read_bytes(), 3), path.parent.name


def _cells(data: Path) -> Images:
    """Yield cells of BCCD, cut out: all white cells and platelets, and as many red ones."""
    left = {"RBC": 380, "WBC": 380, "Platelets": 380}
    for path in sorted((data / "bccd/BCCD/Annotations").glob("*.xml")):
        picture = decode((data / "bccd/BCCD/JPEGImages" / f"{path.stem}.jpg").read_bytes(), 3)
        for cell in ElementTree.parse(path).iter("object"):
            name = cell.findtext("name") or ""
            corners = (cell.findtext(f"bndbox/{edge}") or "0" for edge in ("xmin", "ymin", "xmax", "ymax"))
            left_edge, top, right, bottom = (int(corner) for corner in corners)
            if left[name] and right - left_edge > 4 and bottom - top > 4:
                left[name] -= 1
                yield picture[top:bottom, left_edge:right], name


def _mnist(data: Path, part: str, count: int) -> Images:
    pixels = gzip.decompress((data / f"mnist/{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((data / f"mnist/{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28, 1)
    for image, label in zip(images[:count], labels[:count], strict=True):
        yield image, str(label)


def _digits(_: Path) -> Images:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    for image, label in zip(images, labels, strict=True):
        yield np.rint(image * 255 / 16).astype(np.uint8).reshape(8, 8, 1), str(label)


_DEEP = {"kind": "network", "architecture": f"timm:{_NETWORK}", "layers": ["global_pool"]}
_HOG = {"kind": "hog", "cell": 7}
RECIPES: Mapping[str, _Recipe] = {
    "flowers12": _Recipe(partial(_folders, name="flowers12"), _DEEP, 224),
    "flowers12-16px": _Recipe(partial(_folders, name="flowers12"), {"kind": "hog", "cell": 4}, 16),
    "flowers12-64px": _Recipe(partial(_folders, name="flowers12"), _DEEP, 64),
    "caltech25": _Recipe(partial(_folders, name="caltech25"), _DEEP, 128),
    "bccd-cells": _Recipe(_cells, _DEEP, 32),
    "mnist-pixels": _Recipe(partial(_mnist, part="t10k", count=10_000), {"kind": "pixels"}, 28, 1),
    "mnist-hog": _Recipe(partial(_mnist, part="t10k", count=10_000), _HOG, 28, 1),
    "digits-pixels": _Recipe(_digits, {"kind": "pixels"}, 8, 1),
}


def embedded(name: str, data: Path, cache: Path) -> EmbeddedSet:
    """Return a data set as features.

    Args:
        name: a key of `RECIPES`.
        data: folder of the public data sets and of `weights/`.
        cache: folder in which features are kept.
    """
    recipe = RECIPES[name]
    settings = recipe.features()
    key = hashlib.sha256(repr((name, settings)).encode()).hexdigest()[:12]
    path = cache / f"{name}-{key}.npz"
    if not path.is_file():
        vectors, names = _embed(recipe, settings, data)
        classes = sorted(set(names))
        labels = np.array([classes.index(one) for one in names], np.int64)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, vectors=vectors, labels=labels, classes=np.array(classes))
    kept = np.load(path)
    return EmbeddedSet(name, kept["vectors"], kept["labels"], tuple(str(one) for one in kept["classes"]))


def _embed(recipe: _Recipe, settings: dict[str, Any], data: Path) -> tuple[FLOAT32, list[str]]:
    features = build_features(Features.model_validate(settings), 0, data / "weights")
    names: list[str] = []
    waiting: list[UINT8] = []
    found: list[FLOAT32] = []

    def flush() -> None:
        if waiting:
            found.append(np.concatenate(list(features(np.stack(waiting)).values()), axis=1))
            waiting.clear()

    for image, name in recipe.images(data):
        waiting.append(fit(np.ascontiguousarray(image), recipe.size, "stretch"))
        names.append(name)
        if len(waiting) == _BATCH:
            flush()
    flush()
    return np.concatenate(found), names
