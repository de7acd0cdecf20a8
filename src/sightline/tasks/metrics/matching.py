"""Which predicted objects are right: the matching of COCO, for boxes, oriented boxes and masks, kept per image.

In each image and class, predictions take turns by score, most confident first. Each takes, of the true objects that are
still free and overlap it enough, the one that overlaps it most (pycocotools, `COCOeval.evaluateImg`). Crowds and
objects marked as difficult do not count: what matches them is neither right nor wrong, however often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from sightline.data import rectangles
from sightline.data.structures import FLOAT32

BOOL = NDArray[np.bool_]
FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
Shapes = FLOAT32 | Sequence[dict[str, Any]]  # N x 4 xyxy boxes, N x 4 x 2 corners, or N masks' run lengths

OVERLAPS = np.linspace(0.5, 0.95, 10)  # COCO's
SIZES = ("all", "small", "medium", "large")
_AREAS = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])  # pixels, COCO's
MOST_PER_CLASS = 100  # predictions that count in one image, COCO's


@dataclass(frozen=True)
class Truth:
    """The true objects of one image.

    Attributes:
        shapes: G boxes, oriented boxes or masks.
        labels: G class ids.
        areas: G areas in pixels, which decide the size of an object.
        crowds: G flags: several objects in one; a prediction within it overlaps it wholly.
        difficult: G flags: hard to recognise, as marked by the annotator.
    """

    shapes: Shapes
    labels: INT64
    areas: FLOAT64
    crowds: BOOL
    difficult: BOOL


@dataclass(frozen=True)
class Matches:
    """What became of D predicted objects in N images, for A sizes of objects (`SIZES`) and T overlaps (`OVERLAPS`).

    Attributes:
        images: D places of the image, ascending.
        labels: D class ids.
        scores: D scores, descending within an image.
        found: A x T x D: it matches a true object that counts.
        ignored: A x T x D: neither right nor wrong.
        truths: A x N x K true objects that count, of each class.
    """

    images: INT64
    labels: INT64
    scores: FLOAT64
    found: BOOL
    ignored: BOOL
    truths: INT64


def match(shapes: Shapes, labels: Sequence[int], scores: FLOAT32, truth: Truth, classes: int) -> Matches:
    """Match the predicted objects of one image.

    Args:
        shapes: boxes, oriented boxes or masks, of the kind that `truth` has.
        labels: class id of each.
        scores: of each.
        truth: the image's true objects.
        classes: K.
    """
    label_of = np.asarray(labels, np.int64)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    order = order[_place_in_class(label_of[order]) < MOST_PER_CLASS]
    label_of, own_scores = label_of[order], np.asarray(scores, np.float64)[order]
    areas, overlaps = areas_of(shapes)[order], _overlaps(shapes, truth)[order]
    outside = (areas < _AREAS[:, :1]) | (areas > _AREAS[:, 1:])  # A x D
    found = np.zeros((len(SIZES), len(OVERLAPS), len(order)), bool)
    ignored = np.repeat(outside[:, None], len(OVERLAPS), 1)
    unasked = truth.crowds | truth.difficult
    passed_over = unasked | (truth.areas < _AREAS[:, :1]) | (truth.areas > _AREAS[:, 1:])  # A x G
    for label in np.intersect1d(label_of, truth.labels):
        mine, theirs = np.flatnonzero(label_of == label), np.flatnonzero(truth.labels == label)
        right, matched = _turns(overlaps[np.ix_(mine, theirs)], passed_over[:, theirs], unasked[theirs])
        found[..., mine] = right
        ignored[..., mine] = np.where(matched, ~right, ignored[..., mine])
    truths = np.stack([np.bincount(truth.labels[~own], minlength=classes) for own in passed_over])
    return Matches(np.zeros(len(order), np.int64), label_of, own_scores, found, ignored, truths[:, None])


def joined(images: Sequence[Matches]) -> Matches:
    """Put single images together, in their order."""
    return Matches(
        np.repeat(np.arange(len(images)), [len(one.scores) for one in images]),
        np.concatenate([one.labels for one in images]),
        np.concatenate([one.scores for one in images]),
        np.concatenate([one.found for one in images], -1),
        np.concatenate([one.ignored for one in images], -1),
        np.concatenate([one.truths for one in images], 1),
    )


def _turns(overlaps: FLOAT64, passed_over: BOOL, again: BOOL) -> tuple[BOOL, BOOL]:
    """Let D predictions of one class, in their order, take from G true objects.

    Args:
        overlaps: D x G.
        passed_over: A x G objects that do not count; they are taken only where no other is left.
        again: G objects that may be taken more than once.

    Returns:
        A x T x D flags: takes an object that counts; takes any.
    """
    sizes, count = passed_over.shape
    least = np.minimum(OVERLAPS, 1 - 1e-10)[None, :, None]
    free = np.ones((sizes, len(OVERLAPS), count), bool)
    right = np.zeros((sizes, len(OVERLAPS), len(overlaps)), bool)
    matched = right.copy()
    for turn in np.flatnonzero((overlaps >= OVERLAPS[0]).any(1)):
        enough = free & (overlaps[turn] >= least)
        counts = enough & ~passed_over[:, None]
        right[..., turn] = counts.any(-1)
        matched[..., turn] = enough.any(-1)
        open_to = np.where(right[..., turn, None], counts, enough)
        # Of equal overlaps the last one is taken, as by COCO.
        best = count - 1 - np.where(open_to, overlaps[turn], -1.0)[..., ::-1].argmax(-1)
        taken = np.arange(count) == best[..., None]
        free &= ~(taken & matched[..., turn, None]) | again
    return right, matched


def areas_of(shapes: Shapes) -> FLOAT64:
    """Return N areas in pixels."""
    if isinstance(shapes, np.ndarray):
        if shapes.ndim == 3:
            return rectangles.areas(shapes)
        areas: FLOAT64 = _as_xywh(shapes)[:, 2:].prod(1)
        return areas
    return np.array([coco_masks.area(mask) for mask in shapes], np.float64)


def _overlaps(shapes: Shapes, truth: Truth) -> FLOAT64:
    """Return D x G intersections over union; with crowds, over the area of the prediction."""
    if not len(shapes) or not len(truth.shapes):
        return np.zeros((len(shapes), len(truth.shapes)))
    if isinstance(shapes, np.ndarray) and isinstance(truth.shapes, np.ndarray) and shapes.ndim == 3:
        return rectangles.overlaps(shapes, truth.shapes, truth.crowds)
    pair = [_as_xywh(own) if isinstance(own, np.ndarray) else list(own) for own in (shapes, truth.shapes)]
    return np.asarray(coco_masks.iou(*pair, truth.crowds.astype(np.uint8)), np.float64)


def _as_xywh(boxes: FLOAT32) -> FLOAT64:
    wide = boxes.astype(np.float64)
    return np.concatenate([wide[:, :2], wide[:, 2:] - wide[:, :2]], 1)


def _place_in_class(labels: INT64) -> INT64:
    """Return for each of D labels how many equal ones come before it."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    places = np.empty(len(labels), np.int64)
    places[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return places
