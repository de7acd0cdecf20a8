"""Panels of key points: true ones next to predicted ones, with lines from these to where they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.images import decode
from sightline.data.overlay import Colour, keypoint_colour, scaled
from sightline.data.structures import LabelMap, Prediction, Sample
from sightline.evaluation.report.panels import SIDE, Dot, Panel
from sightline.tasks.metrics.boxes import largest_object
from sightline.tasks.metrics.keypoints import distances, near_points, reference_lengths

_FLOAT64 = NDArray[np.float64]
_VISIBLE = 2


def pose_panels(sample: Sample, prediction: Prediction, labels: LabelMap) -> list[Panel]:
    """Return the true key points and the predicted ones over the image.

    A true point is full where it is visible, a predicted one where it is near enough for PCK. Points that are not
    labelled are not shown, unless none is.

    Args:
        sample: of whose objects the largest with labelled points is the truth.
        prediction: with the key points of one object.
        labels: names of key points, and their mirror pairs.
    """
    assert prediction.keypoints is not None
    base, scale = scaled(decode(sample.image, 3), SIDE)
    told = prediction.keypoints[0].astype(np.float64)
    found = _true_pose(sample)
    colours = [keypoint_colour(place, labels.mirrored) for place in range(len(told))]
    if found is None:
        points = zip((told[:, :2] * scale).tolist(), colours, strict=True)
        return [
            Panel("truth: no points", base),
            Panel("prediction", base, dots=[Dot(x, y, own) for (x, y), own in points]),
        ]
    true, box = found
    apart = distances(true[None], told[None])
    near = near_points(apart, reference_lengths(true[None], box[None], labels.keypoints))[0]
    dots: tuple[list[Dot], list[Dot]] = ([], [])
    for (x, y, seen), (u, v, _), close, colour in zip(
        true.tolist(), told.tolist(), near.tolist(), colours, strict=True
    ):
        if seen:
            dots[0].append(Dot(x * scale, y * scale, colour, seen == _VISIBLE))
            dots[1].append(Dot(u * scale, v * scale, colour, close, (x * scale, y * scale)))
    return [Panel("truth", base, dots=dots[0]), Panel("prediction", base, dots=dots[1])]


def pose_legend(labels: LabelMap) -> dict[str, Colour]:
    """Return the colours of key points by side, such as left and right; nothing where mirror pairs are not known."""
    names: dict[Colour, list[str]] = {}
    for place, name in enumerate(labels.keypoints if labels.mirrored else ()):
        names.setdefault(keypoint_colour(place, labels.mirrored), []).append(name)
    sides = {colour: {name.replace("_", " ").split()[0] for name in own} for colour, own in names.items()}
    return {side.pop() if len(side) == 1 else "others": colour for colour, side in sides.items()}


def _true_pose(sample: Sample) -> tuple[_FLOAT64, _FLOAT64] | None:
    """Return K x 3 points and the box of the largest object with labelled points, None without one."""
    if sample.keypoints is None or sample.boxes is None:
        return None
    crowds: Any = sample.iscrowd or [False] * len(sample.boxes)
    empty = (sample.keypoints[..., 2] == 0).all(1)
    place = largest_object(sample.boxes.tolist(), (np.asarray(crowds, bool) | empty).tolist())
    return (
        None if place is None else (sample.keypoints[place].astype(np.float64), sample.boxes[place].astype(np.float64))
    )
