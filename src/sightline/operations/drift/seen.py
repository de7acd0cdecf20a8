"""Everything that is known of a sample of images: one pass over them, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.cache import counted
from sightline.data.images import Placement, decode, fit
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.operations.drift.images import Images
from sightline.operations.drift.observers import Observer
from sightline.operations.drift.statistics import STATISTICS, image_statistics
from sightline.operations.drift.two_samples import FLOAT64

_BATCH = 32
_THUMBNAIL = 96  # pixels, both sides
_SURE = 0.5  # score from which a box counts as found


@dataclass(frozen=True)
class Seen:
    """N images that could be read.

    Attributes:
        names: of the images.
        vectors: N x D, by the observer.
        statistics: N numbers of each of `STATISTICS`.
        answers: N numbers for each property of predictions: `confidence`, `score`, or `objects` and `best score`.
        labels: N predicted class ids; None if the model predicts no class for an image.
        thumbnails: N x 96 x 96 x 3 uint8.
        unreadable: names of files that are no readable images.
    """

    names: list[str]
    vectors: FLOAT32
    statistics: dict[str, FLOAT64]
    answers: dict[str, FLOAT64]
    labels: NDArray[np.int64] | None
    thumbnails: UINT8
    unreadable: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: NDArray[np.int64]) -> Seen:
        """Return the images with these numbers."""
        return Seen(
            [self.names[place] for place in chosen],
            self.vectors[chosen],
            {name: values[chosen] for name, values in self.statistics.items()},
            {name: values[chosen] for name, values in self.answers.items()},
            None if self.labels is None else self.labels[chosen],
            self.thumbnails[chosen],
            self.unreadable,
        )


def look(images: Images, observer: Observer, what: str = "looking") -> Seen | None:
    """Return what is known of images; None if not one of them can be read."""
    parts: list[_Part] = []
    unreadable: list[str] = []
    with counted(len(images), what) as advance:
        for start in range(0, len(images), _BATCH):
            numbers = range(start, min(start + _BATCH, len(images)))
            part = _look_at(images, numbers, observer, unreadable)
            if part is not None:
                parts.append(part)
            advance(len(numbers))
    if not parts:
        return None
    predictions = [prediction for part in parts for prediction in part.predictions]
    answers, labels = _answers(predictions)
    rows = [row for part in parts for row in part.statistics]
    return Seen(
        [name for part in parts for name in part.names],
        np.concatenate([part.vectors for part in parts]),
        {name: np.array([row[name] for row in rows]) for name in STATISTICS},
        answers,
        labels,
        np.concatenate([part.thumbnails for part in parts]),
        unreadable,
    )


@dataclass(frozen=True)
class _Part:
    names: list[str]
    vectors: FLOAT32
    statistics: list[dict[str, float]]
    predictions: list[Prediction]
    thumbnails: UINT8


def _look_at(images: Images, numbers: range, observer: Observer, unreadable: list[str]) -> _Part | None:
    names, statistics = [], []
    pixels: list[UINT8] = []
    thumbnails: list[UINT8] = []
    placements: list[Placement] = []
    for number in numbers:
        try:
            encoded = images.read(number)
            image = decode(encoded, 3)
            own, placement = observer.open(encoded, image)
        except (ValueError, OSError, cv2.error):
            unreadable.append(images.names[number])
            continue
        names.append(images.names[number])
        statistics.append(image_statistics(image))
        pixels.append(own)
        placements.append(placement)
        thumbnails.append(fit(image, _THUMBNAIL, "letterbox"))
    if not names:
        return None
    vectors, predictions = observer(np.stack(pixels), placements)
    return _Part(names, vectors, statistics, predictions, np.stack(thumbnails))


def _answers(predictions: Sequence[Prediction]) -> tuple[dict[str, FLOAT64], NDArray[np.int64] | None]:
    """Return numbers and class ids of predictions, if this kind of model has them."""
    if not predictions:
        return {}, None
    first = predictions[0]
    labels = np.array([prediction.label for prediction in predictions], np.int64)
    labelled = labels if (labels >= 0).all() else None
    if first.box_scores is not None:
        scores = [np.asarray(prediction.box_scores, np.float64) for prediction in predictions]
        objects = np.array([float((own >= _SURE).sum()) for own in scores])
        return {"objects": objects, "best score": np.array([own.max(initial=0.0) for own in scores])}, labelled
    if first.probabilities is not None:
        sure = [float(np.max(own.probabilities)) for own in predictions if own.probabilities is not None]
        return {"confidence": np.array(sure)}, labelled
    if first.text_score is not None:
        read = [len(own.text or "") for own in predictions]
        sure = [float(own.text_score or 0.0) for own in predictions]
        return {"confidence": np.array(sure), "characters": np.array(read, np.float64)}, labelled
    if first.anomaly is not None:
        return {"score": np.array([float(own.anomaly or 0) for own in predictions])}, labelled
    return {}, labelled
