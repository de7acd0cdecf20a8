"""Panels of objects: true ones next to predicted ones, as boxes or masks, and which of them have a counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from sightline.data.encoding import decode_rle
from sightline.data.images import decode
from sightline.data.overlay import class_colour, scaled, with_instances
from sightline.data.rectangles import overlaps as turned_overlaps
from sightline.data.rectangles import upright_corners
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Prediction, Sample
from sightline.evaluation.report.panels import SIDE, Mark, Panel
from sightline.evaluation.report.quality import UNKNOWN
from sightline.tasks.metrics.boxes import largest_object

ENOUGH = 0.5  # overlap of objects that are the same
_BOOL = NDArray[np.bool_]
_FLOAT64 = NDArray[np.float64]


@dataclass(frozen=True)
class Objects:
    """N objects of an image.

    Attributes:
        boxes: N x 4 xyxy pixels of the image.
        labels: N class ids.
        words: N short texts next to them.
        masks: N run-length encodings, or none where objects are boxes.
        passed: N flags: it need not be found, and may be found several times.
        corners: N x 4 x 2 where boxes are oriented, else None.
    """

    boxes: FLOAT32
    labels: list[int]
    words: list[str]
    masks: list[dict[str, Any]]
    passed: list[bool]
    corners: FLOAT32 | None = None

    def chosen(self, places: Sequence[int]) -> Objects:
        """Return those at the places."""
        return Objects(
            self.boxes[list(places)],
            [self.labels[k] for k in places],
            [self.words[k] for k in places],
            [self.masks[k] for k in places if self.masks],
            [self.passed[k] for k in places],
            None if self.corners is None else self.corners[list(places)],
        )


def object_panels(sample: Sample, prediction: Prediction, labels: LabelMap, thresholds: _FLOAT64 | None) -> list[Panel]:
    """Return the true objects and the predicted ones over the image.

    Args:
        sample: with the truth.
        prediction: with boxes, most confident first.
        labels: names of classes.
        thresholds: K least scores of objects that count, by class; None if the model names one object per image.
    """
    base, scale = scaled(decode(sample.image, 3), SIDE)
    told = predicted_objects(prediction, labels, thresholds)
    true = true_objects(sample, labels, bool(prediction.instances is not None), thresholds is None)
    if told.corners is None:  # a model of upright boxes is compared with those
        true = replace(true, corners=None)
    right, found = paired(told, true)
    return [_panel("truth", base, scale, true, found), _panel("prediction", base, scale, told, right)]


def predicted_objects(prediction: Prediction, labels: LabelMap, thresholds: _FLOAT64 | None) -> Objects:
    """Return the objects whose score reaches their class's threshold; if none does, the most confident."""
    assert prediction.boxes is not None
    assert prediction.box_labels is not None
    assert prediction.box_scores is not None
    own, scores = prediction.box_labels, prediction.box_scores
    sure = scores >= (0 if thresholds is None else np.nan_to_num(thresholds, nan=UNKNOWN)[own].astype(np.float32))
    words = [
        f"{labels.classes[label]} {score:.0%}{'' if enough else ', unsure'}"
        for label, score, enough in zip(own, scores, sure, strict=True)
    ]
    every = Objects(prediction.boxes, own, words, prediction.instances or [], [False] * len(own), prediction.corners)
    return every.chosen(np.flatnonzero(sure).tolist() or range(len(own))[:1])


def true_objects(sample: Sample, labels: LabelMap, masks: bool, largest: bool) -> Objects:
    """Return the objects of a sample, with their masks or not, all of them or only the largest."""
    boxes = np.zeros((0, 4), np.float32) if sample.boxes is None else sample.boxes
    flags = [own or [False] * len(boxes) for own in (sample.iscrowd, sample.difficult)]
    passed = [crowd or hard for crowd, hard in zip(*flags, strict=True)]
    words = [labels.classes[label] + ("?" if own else "") for label, own in zip(sample.box_labels, passed, strict=True)]
    masked = sample.instances if masks else []
    every = Objects(boxes, sample.box_labels, words, masked, passed, sample.corners)
    place = largest_object(boxes.tolist(), sample.iscrowd)
    return every.chosen([] if place is None else [place]) if largest else every


def paired(told: Objects, true: Objects) -> tuple[_BOOL, _BOOL]:
    """Pair each of D predicted objects with the free true one of its class that it overlaps most, most confident first.

    Returns:
        D flags: it is right; G flags: it is found, or need not be.
    """
    right, found = np.zeros(len(told.labels), bool), np.zeros(len(true.labels), bool)
    passed = np.asarray(true.passed, bool)
    if right.size and found.size:
        overlaps = _overlaps(told, true, passed)
        overlaps[np.asarray(told.labels)[:, None] != np.asarray(true.labels)] = 0
        for place, own in enumerate(overlaps):
            free = np.where(found & ~passed, 0.0, own)
            wanted = np.where(passed, 0.0, free)
            best = int((wanted if wanted.max() >= ENOUGH else free).argmax())
            right[place] = free[best] >= ENOUGH
            found[best] |= right[place]
    return right, found | passed


def _overlaps(told: Objects, true: Objects, passed: _BOOL) -> _FLOAT64:
    """Return D x G intersections over union, over the area of the prediction where the true object is passed over."""
    if told.corners is not None:
        return turned_overlaps(told.corners, _corners(true), passed)
    masks = bool(told.masks and true.masks)
    shapes = [own.masks if masks else _as_xywh(own.boxes) for own in (told, true)]
    return np.asarray(coco_masks.iou(*shapes, passed.astype(np.uint8)), np.float64)


def _corners(objects: Objects) -> FLOAT32:
    return upright_corners(objects.boxes) if objects.corners is None else objects.corners


def _panel(name: str, base: UINT8, scale: float, objects: Objects, right: _BOOL) -> Panel:
    picture = with_instances(base, objects.masks, objects.labels) if objects.masks else base
    if objects.masks:
        lines = [_contours(mask, base.shape[:2]) for mask in objects.masks]
    else:
        lines = [[shape * scale] for shape in _corners(objects).astype(np.float64)]
    outlined = zip(lines, objects.labels, objects.words, right.tolist(), strict=True)
    return Panel(name, picture, [Mark(line, class_colour(label), *rest) for line, label, *rest in outlined])


def _contours(mask: dict[str, Any], size: tuple[int, ...]) -> list[_FLOAT64]:
    """Return closed lines around the parts of a mask, in pixels of a picture of `size` (height, width)."""
    drawn = cv2.resize(decode_rle(mask).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [line[:, 0].astype(np.float64) + 0.5 for line in lines]


def _as_xywh(boxes: FLOAT32) -> _FLOAT64:
    wide = boxes.astype(np.float64)
    return np.concatenate([wide[:, :2], wide[:, 2:] - wide[:, :2]], 1)
