"""A prediction drawn on its image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sightline.data.images import decode
from sightline.data.overlay import class_colour, draw_truth, keypoint_colour, with_heat
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Prediction, Sample
from sightline.operations.prediction_files.words import counted, told

_LEAST_SIDE, _MOST_SIDE = 384, 2048  # pixels of a picture's longer side: words need room, and disks are finite
_BAR = 24  # pixels of the line of words below
_TOP, _RADIUS = 3, 4
_CROP = (255, 255, 255)  # RGB, of the part that the model looked at
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def draw_prediction(encoded: bytes, prediction: Prediction, labels: LabelMap, least: float) -> UINT8:
    """Return H x W x 3 RGB: the image with boxes, masks, points or map on it, and a line of words below.

    Args:
        encoded: the image.
        prediction: for it.
        labels: the names.
        least: score from which an object is drawn; key points below it are rings.
    """
    height, width = decode(encoded, 3).shape[:2]
    side = min(max(height, width, _LEAST_SIDE), _MOST_SIDE)
    places = counted(prediction, least)
    sample = _as_sample(encoded, prediction, places)
    picture = draw_truth(sample, side, background=bool(labels.semantic))
    if prediction.heat is not None:
        picture = with_heat(picture, prediction.heat)
    scale = side / max(height, width)
    for place, label in zip(places, sample.box_labels, strict=True):
        left, top = (np.asarray(prediction.boxes)[place, :2] * scale).round().astype(int).tolist()
        score = "" if prediction.box_scores is None else f" {prediction.box_scores[place]:.2f}"
        _write_words(picture, f"{labels.classes[label]}{score}", left, top, class_colour(label))
    if prediction.keypoints is not None:
        shown = prediction.keypoints if prediction.boxes is None else prediction.keypoints[places]
        for points in shown:
            _draw_points(picture, points * [scale, scale, 1], labels.mirrored, least)
    if prediction.crop is not None and prediction.crop.box is not None:
        left, top, right, bottom = (round(edge * scale) for edge in prediction.crop.region)
        for colour, thickness in (((0, 0, 0), 3), (_CROP, 1)):  # a dark rim, to be seen on any picture
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, thickness)
        _write_words(picture, f"{prediction.crop.label} {prediction.crop.score:.2f}", left, top, _CROP)
    return _with_line(picture, told(prediction, labels, least, _TOP))


def _as_sample(encoded: bytes, prediction: Prediction, places: list[int]) -> Sample:
    """Return boxes, masks and map as if they were known, so that one drawing serves both."""
    chosen = prediction.box_labels or [max(prediction.label, 0)] * len(places)
    instances = prediction.instances
    return Sample(
        source="",
        image=encoded,
        boxes=None if prediction.boxes is None else prediction.boxes[places],
        corners=None if prediction.corners is None else prediction.corners[places],
        box_labels=[chosen[place] for place in places],
        instances=[] if instances is None else [instances[place] for place in places],
        semantic=prediction.semantic,
    )


def _draw_points(picture: UINT8, points: FLOAT32, mirrored: Sequence[int], least: float) -> None:
    """Draw K x 3 points, each on a dark rim that shows it on any ground; those below `least` are rings."""
    for place, (x, y, score) in enumerate(points.tolist()):
        centre, colour = (round(x), round(y)), keypoint_colour(place, mirrored)
        cv2.circle(picture, centre, _RADIUS + 1, (0, 0, 0), cv2.FILLED if score >= least else 3, cv2.LINE_AA)
        cv2.circle(picture, centre, _RADIUS, colour, cv2.FILLED if score >= least else 1, cv2.LINE_AA)


def _write_words(picture: UINT8, words: str, left: int, top: int, colour: tuple[int, int, int]) -> None:
    """Write words in black on a plate of the class's colour, above the point or, where there is no room, below it."""
    (width, height), base = cv2.getTextSize(words, _FONT, _SCALE, 1)
    high = height + base + 2
    left = max(0, min(left, picture.shape[1] - width - 4))
    upper = top - high if top >= high else top
    cv2.rectangle(picture, (left, upper), (left + width + 3, upper + high), colour, cv2.FILLED)
    cv2.putText(picture, words, (left + 2, upper + height + 2), _FONT, _SCALE, (0, 0, 0), 1, cv2.LINE_AA)


def _with_line(picture: UINT8, words: str) -> UINT8:
    """Add a line of words below a picture, as many as have room."""
    while words and cv2.getTextSize(words, _FONT, _SCALE, 1)[0][0] > picture.shape[1] - 12:
        words = f"{words.removesuffix('...')[:-1]}..." if len(words) > 4 else ""
    bar = np.full((_BAR, picture.shape[1], 3), 32, np.uint8)
    cv2.putText(bar, words, (6, _BAR - 8), _FONT, _SCALE, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([picture, bar])
