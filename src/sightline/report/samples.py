"""Pictures of single samples: the truth beside what the model said, worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from sightline.data.images import decode
from sightline.data.overlay import draw_truth
from sightline.data.store import SplitStore, load_labels
from sightline.report.figures import ORANGE, new_figure, save_figure
from sightline.structures import LabelMap, Prediction, Sample

MOST_SINGLE, MOST_PAIRS = 24, 12
SHOWN_FROM = 0.4  # confidence of the least sure box in a picture
SIDE = 220  # pixels of a drawn sample's longer side

Predict = Callable[[Sequence[bytes | memoryview]], list[Prediction]]


def draw_worst(rows: pd.DataFrame, prepared: Path, predict: Predict, path: Path) -> None:
    """Draw the samples with the worst scores; of classifiers the errors made with most confidence.

    Args:
        rows: one row per sample of the test split, with id, score and told.
        prepared: folder of the data set.
        predict: what the model says of encoded images.
        path: the PNG to write.
    """
    worst, title = _worst_first(rows)
    test = SplitStore(prepared / "test")
    place = {sample: index for index, sample in enumerate(test.ids)}
    chosen = [place[sample] for sample in worst["id"].head(MOST_SINGLE)]
    said = predict([test.image(index) for index in chosen[:1]]) if chosen else []
    if said and is_drawable(said[0]):
        chosen = chosen[:MOST_PAIRS]
        said = predict([test.image(index) for index in chosen])
        labels = load_labels(prepared)
        pictures = [_pair(test.sample(index), one, labels) for index, one in zip(chosen, said, strict=True)]
        title += (
            f"; truth on the left, the surest box and those surer than {SHOWN_FROM:.0%}"
            if said[0].boxes is not None
            else "; truth on the left"
        )
        _draw_grid(pictures, worst["told"].tolist(), title, path, columns=3, width=4.2)
    else:
        pictures = [decode(test.image(index), 3) for index in chosen]
        _draw_grid(pictures, worst["told"].tolist(), title, path, columns=8, width=1.6)


def is_drawable(prediction: Prediction) -> bool:
    """Tell whether a prediction has anything that can be laid over its image, or is an image."""
    fields = ("boxes", "instances", "keypoints", "semantic", "image")
    return any(getattr(prediction, name) is not None for name in fields)


def as_sample(image: bytes, prediction: Prediction) -> Sample:
    """Return what a model said as a sample that can be drawn like a true one, with its sure boxes or at least one."""
    sample = Sample("prediction", image, semantic=prediction.semantic, keypoints=_shown_points(prediction))
    if prediction.boxes is None or prediction.box_labels is None:
        return sample
    given = prediction.box_scores
    scores = np.ones(len(prediction.boxes), np.float32) if given is None else given
    sure = scores >= min(SHOWN_FROM, scores.max(initial=0))
    sample.boxes = prediction.boxes[sure]
    sample.box_labels = [label for label, keep in zip(prediction.box_labels, sure, strict=True) if keep]
    if prediction.instances is not None:
        sample.instances = [mask for mask, keep in zip(prediction.instances, sure, strict=True) if keep]
    return sample


def _shown_points(prediction: Prediction) -> Any:
    if prediction.keypoints is None:
        return None
    points = prediction.keypoints.copy()
    points[..., 2] = 2  # drawn as visible, whatever the score
    return points


def _pair(sample: Sample, prediction: Prediction, labels: LabelMap) -> Any:
    """Return the drawn truth and the drawn prediction side by side."""
    background = bool(labels.semantic)
    if prediction.image is not None:
        theirs = draw_truth(Sample("prediction", _encoded(prediction.image)), SIDE)
    else:
        theirs = draw_truth(as_sample(sample.image, prediction), SIDE, labels.mirrored, background)
    ours = draw_truth(_asked(sample, prediction), SIDE, labels.mirrored, background)
    gap = np.full((ours.shape[0], 6, 3), 255, np.uint8)
    return np.concatenate([ours, gap, theirs], 1)


def _asked(sample: Sample, prediction: Prediction) -> Sample:
    """Return the sample with nothing but what the model was asked for."""
    asked = Sample(sample.source, sample.image)
    if prediction.boxes is not None:
        asked.box_labels, asked.boxes = sample.box_labels, sample.boxes
        asked.instances = sample.instances if prediction.instances is not None else []
    if prediction.keypoints is not None:
        asked.keypoints = sample.keypoints
    if prediction.semantic is not None:
        asked.semantic = sample.semantic
    return asked


def _encoded(image: Any) -> bytes:
    from sightline.data.encoding import encode_png

    return encode_png(image[..., 0] if image.shape[-1] == 1 else image)


def _worst_first(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    if "label" not in rows:
        return rows.sort_values(["score", "id"]), f"lowest scores of {len(rows)} samples"
    wrong = rows[rows["score"] == 0].sort_values(["confidence", "id"], ascending=[False, True])
    return wrong, f"most confident errors, true → predicted, of {len(wrong)}" if len(wrong) else "no errors"


def _draw_grid(
    pictures: Sequence[Any], told: Sequence[str], title: str, path: Path, columns: int, width: float
) -> None:
    columns = min(columns, max(1, len(pictures)))
    lines = max(1, -(-len(pictures) // columns))
    ratio = max((picture.shape[0] / picture.shape[1] for picture in pictures), default=1.0)
    figure, axes = new_figure(
        lines, columns, width=max(4.0, width * columns), height=(width * ratio + 0.4) * lines + 0.5
    )
    for axis in axes:
        axis.axis("off")
    for axis, picture, words in zip(axes, pictures, told, strict=False):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title("\n".join(wrap(words, round(13 * width))[:3]), fontsize=8, color=ORANGE)
    figure.suptitle(title)
    save_figure(figure, path)
