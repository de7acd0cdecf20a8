"""A prediction in a few words."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sightline.data.structures import IGNORED, LabelMap, Prediction


def told(prediction: Prediction, labels: LabelMap, least: float, top: int) -> str:
    """Return what a prediction says, in at most a line.

    Args:
        prediction: of any task.
        labels: the names.
        least: score from which an object counts.
        top: number of classes that are named, the likeliest first.
    """
    if prediction.crop is None:
        return _said(prediction, labels, least, top)
    if prediction.crop.refused:
        return "refused: no box to crop to"
    where = "the whole image" if prediction.crop.box is None else "{} {} {} {}".format(*prediction.crop.region)
    return f"{_said(prediction, labels, least, top)}; in {where}"


def _said(prediction: Prediction, labels: LabelMap, least: float, top: int) -> str:
    if prediction.labels is not None:
        return ", ".join(labels.classes[label] for label in prediction.labels) or "nothing"
    if prediction.label >= 0 and prediction.probabilities is not None:
        order = np.argsort(-prediction.probabilities, kind="stable")[:top]
        classes = ", ".join(f"{labels.classes[label]} {prediction.probabilities[label]:.1%}" for label in order)
        return classes if prediction.boxes is None else f"{classes}; {_box(prediction)}"
    if prediction.text is not None:
        sure = "" if prediction.text_score is None else f" {prediction.text_score:.1%}"
        return f"{prediction.text!r}{sure}"
    if prediction.values is not None:
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(labels.values, prediction.values, strict=True))
    if prediction.boxes is not None:
        return _objects(prediction, labels, least)
    if prediction.keypoints is not None:
        seen = int((prediction.keypoints[..., 2] >= least).sum())
        return f"{seen} of {prediction.keypoints[..., 2].size} key points"
    if prediction.anomaly is not None:
        return f"{'defective' if prediction.anomaly > 1 else 'good'}, score {prediction.anomaly:.2f}"
    if prediction.semantic is not None:
        return _shares(prediction.semantic, labels, top)
    if prediction.image is not None or prediction.pictures is not None:
        return _made(prediction)
    return labels.classes[prediction.label] if prediction.label >= 0 else "nothing"


def _made(prediction: Prediction) -> str:
    if prediction.image is None:
        return f"pictures: {', '.join(prediction.pictures or ())}"
    return f"an image, {prediction.image.shape[1]} x {prediction.image.shape[0]} pixels"


def counted(prediction: Prediction, least: float) -> list[int]:
    """Return the indices of the objects with enough confidence."""
    boxes = prediction.boxes if prediction.boxes is not None else ()
    scores = prediction.box_scores
    return [place for place in range(len(boxes)) if scores is None or scores[place] >= least]


def _box(prediction: Prediction) -> str:
    left, top, right, bottom = np.asarray(prediction.boxes)[0]
    return f"box {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}"


def _objects(prediction: Prediction, labels: LabelMap, least: float) -> str:
    places = counted(prediction, least)
    if prediction.box_labels is None or not places:
        return f"{len(places)} objects"
    numbers = Counter(labels.classes[prediction.box_labels[place]] for place in places)
    named = ", ".join(f"{count} x {name}" for name, count in numbers.most_common())
    return f"{len(places)} object{'s' * (len(places) != 1)}: {named}"


def _shares(semantic: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], labels: LabelMap, top: int) -> str:
    counts = np.bincount(semantic.ravel(), minlength=IGNORED + 1)[: len(labels.map_classes)]
    order = [int(label) for label in np.argsort(-counts, kind="stable")[:top] if counts[label]]
    return ", ".join(f"{labels.map_classes[label]} {counts[label] / semantic.size:.1%}" for label in order)
