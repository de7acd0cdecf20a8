"""Fits a head that finds defects: features of good train images in, a threshold from validation, files out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from threadpoolctl import threadpool_limits

from sightline.config.anomaly import AnomalyHead, Padim, PatchCore
from sightline.data.structures import FLOAT32, LabelMap, SplitName
from sightline.system.errors import UserError, nearest
from sightline.training.features.settings import read_settings
from sightline.training.features.store import EXTRACTOR, FeatureCard, read_parts
from sightline.training.heads.anomaly.detector import Detector, Scorer
from sightline.training.heads.anomaly.maps import Layout
from sightline.training.heads.anomaly.padim import gaussians_of
from sightline.training.heads.anomaly.patch_core import memory_of
from sightline.training.heads.anomaly.threshold import Threshold, threshold_of
from sightline.training.heads.artifact import HeadCard, write_head
from sightline.training.heads.training import card_of

_APART = {"dataset", "features", "layers", "seed", "kind"}  # of a section: what the card says elsewhere
_BLAS_THREADS = 1  # the same bytes on any number of cores


@dataclass(frozen=True)
class FittedDetector:
    """What a fit leaves.

    Attributes:
        detector: fitted.
        threshold: of its scores.
        learned: number of good train images.
        left_out: number of other train images, by class.
    """

    detector: Detector
    threshold: Threshold
    learned: int
    left_out: dict[str, int]


def fit_detector(
    head: AnomalyHead, layers: Sequence[str], seed: int, features: Path, prepared: Path, output: Path
) -> tuple[HeadCard, FittedDetector]:
    """Fit a head on the good train images of its features, and write its directory; the test split is not read.

    Images of other classes in train are left out: a split of a folder with both puts some there.

    Args:
        head: the section.
        layers: whose features are joined.
        seed: of whatever is drawn.
        features: folder of the features.
        prepared: folder of the data set, for its label map.
        output: the model directory to write.

    Raises:
        UserError: features of other classes or of whole images, no such class, no good images in train or validation.
    """
    known, labels = card_of(features, prepared)
    good = good_class(head.good, labels, prepared)
    layout = Layout(tuple(_shape(known, name, features) for name in layers), head.neighbourhood)
    data = _GoodImages(features, tuple(layers), good, layout)
    learned = data.counts("train")
    if not learned[good]:
        raise UserError(f"{features}: the train split has no image of the class {head.good!r}; it learns from those")
    if not data.counts("val")[good]:
        raise UserError(
            f"{features}: the validation split has no image of the class {head.good!r}, from which the threshold is "
            "taken; set split.val of the data set, or add such images"
        )
    image = read_settings(features / EXTRACTOR).input
    with threadpool_limits(_BLAS_THREADS):
        scorer = _fitted(head, data, learned[good], seed)
        detector = Detector(scorer, layout, image.size, head.blur)
        scores = np.concatenate([detector(own)[0] for _, own in data.parts("val")])
    threshold = threshold_of(scores, head.false_alarms)
    if not threshold.value > 0:
        raise UserError(f"{features}: all good validation images have the score 0; use other features")
    left_out = {labels.classes[label] if label >= 0 else "no class": learned[label] for label in sorted(learned)}
    left_out.pop(head.good, None)
    settings = {**head.model_dump(exclude=_APART), "seed": seed, "chosen": {"threshold": threshold.value}}
    card = HeadCard(head.kind, list(layers), settings, image, labels, known.data_sha256, "anomaly")
    written = write_head(output, _bytes(scorer), features / EXTRACTOR, card)
    return written, FittedDetector(detector, threshold, learned[good], left_out)


def good_class(name: str, labels: LabelMap, place: Path) -> int:
    """Return the id of the class of good images.

    Raises:
        UserError: there is no such class.
    """
    if name not in labels.classes:
        near = nearest(name, labels.classes, otherwise=f" (there are {', '.join(labels.classes) or 'none'})")
        raise UserError(f"good: {name!r}: {place} has no such class{near}; set `good` to that of images without defect")
    return labels.classes.index(name)


def _shape(known: FeatureCard, layer: str, features: Path) -> tuple[int, int, int]:
    if layer not in known.dimensions:
        near = nearest(layer, known.dimensions)
        raise UserError(f"{features}: has no layer {layer}{near}; it has {', '.join(known.dimensions)}")
    if layer not in known.maps:
        raise UserError(
            f"{features}: layer {layer} has no features of single places; name a layer that outputs a map, with "
            "pooling: flatten or one level of pyramid"
        )
    return known.maps[layer]


@dataclass(frozen=True)
class _GoodImages:
    """The good images of a split, some at a time."""

    features: Path
    layers: tuple[str, ...]
    good: int
    layout: Layout

    def counts(self, split: SplitName) -> Counter[int]:
        """Return how many images of each class there are."""
        return Counter(label for _, own, _ in read_parts(self.features, split, ()) for label in own.tolist())

    def parts(self, split: SplitName) -> Iterator[tuple[list[str], list[FLOAT32]]]:
        """Yield ids, and the vectors of each layer, N x D."""
        for ids, labels, vectors in read_parts(self.features, split, self.layers):
            rows = np.flatnonzero(labels == self.good)
            if len(rows):
                yield [ids[row] for row in rows], [vectors[name][rows] for name in self.layers]

    def patches(self) -> Iterator[FLOAT32]:
        """Yield N x P x C of train."""
        for _, own in self.parts("train"):
            yield self.layout.patches(own)


def _fitted(head: AnomalyHead, data: _GoodImages, images: int, seed: int) -> Scorer:
    match head:
        case PatchCore():
            candidates = _candidates(data, max(1, head.candidates // images), seed)
            return memory_of(candidates, head.coreset, head.neighbours, head.standardize, seed)
        case Padim():
            places, channels = data.layout.places, data.layout.channels
            return gaussians_of(data.patches, places, channels, head.channels, head.shrinkage, head.standardize, seed)
        case _:
            assert_never(head)


def _candidates(data: _GoodImages, per_image: int, seed: int) -> FLOAT32:
    """Return as many places of each good train image, drawn by seed and sample id: N x C."""
    drawn = []
    for ids, own in data.parts("train"):
        for name, patches in zip(ids, data.layout.patches(own), strict=True):
            if len(patches) > per_image:
                key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
                random = np.random.Generator(np.random.Philox(key=np.array([seed, key], np.uint64)))
                drawn.append(patches[np.sort(random.permutation(len(patches))[:per_image])])
            else:
                drawn.append(patches)
    return np.concatenate(drawn)


def _bytes(scorer: Scorer) -> bytes:
    from safetensors.numpy import save

    content: bytes = save(scorer.tensors())
    return content


def flat_settings(head: AnomalyHead, card: HeadCard, fitted: FittedDetector) -> dict[str, Any]:
    """Return the settings of a head and what came of them, as one level of dotted names."""
    values = {**head.model_dump(), "layers": card.layers, "seed": card.settings["seed"]}
    threshold = fitted.threshold
    found = {"good_train_images": fitted.learned, "left_out": sum(fitted.left_out.values())}
    chosen = {
        "chosen.threshold": threshold.value,
        "threshold.images": threshold.images,
        "threshold.expected_false_alarms": threshold.expected,
    }
    return {**values, **chosen, **found}


def told(fitted: FittedDetector, false_alarms: float) -> str:
    """Say in a line what was learned from, where the threshold is from, and what was left out."""
    threshold = fitted.threshold
    line = (
        f"{fitted.learned} good train images; threshold {threshold.value:.4g} from {threshold.images} good validation "
        f"images, {threshold.expected:.1%} of further ones are expected above it"
    )
    if threshold.expected > false_alarms:
        needed = int(np.ceil(1 / false_alarms)) - 1 if false_alarms else 0
        line += f" (false_alarms: {false_alarms} needs {f'at least {needed}' if needed else 'infinitely many'} of them)"
    if fitted.left_out:
        named = ", ".join(f"{name} {count}" for name, count in fitted.left_out.items())
        line += f"; left out {sum(fitted.left_out.values())} train images that are not good: {named}"
    return line
