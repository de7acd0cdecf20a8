"""Pictures of single samples: the truth next to what the model said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sightline.data.images import decode
from sightline.data.overlay import Colour
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap, Prediction, Sample
from sightline.evaluation.report.grid import Cell, draw_grid
from sightline.evaluation.report.objects import object_panels
from sightline.evaluation.report.panels import (
    Panel,
    fitted,
    heat_panels,
    image_panels,
    map_legend,
    map_panels,
    picture_panels,
)
from sightline.evaluation.report.poses import pose_legend, pose_panels
from sightline.evaluation.report.quality import MARKED
from sightline.evaluation.report.readings import reading_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SINGLE, MOST_PAIRS = 24, MARKED
_FEW = 2  # pictures, more of which need a whole line
MOST_COLOURS = 16  # in a legend

# Of encoded images; of a task with styles also of M x K mixes of them.
Predict = Callable[..., list[Prediction]]


def samples_page(
    rows: pd.DataFrame, title: str, prepared: Path, predict: Predict, thresholds: NDArray[np.float64] | None
) -> Figure:
    """Draw samples in the order of their rows, as many as there is room for.

    Args:
        rows: of samples of the test split, with the columns id, source, told, and note, some words on its quality.
        title: of the page.
        prepared: folder of the data set.
        predict: what the model says of encoded images.
        thresholds: K least scores of objects that count, by class; None if the model has none.
    """
    test = SplitStore(prepared / "test")
    place = {sample: index for index, sample in enumerate(test.ids)}
    chosen = [place[sample] for sample in rows["id"].head(MOST_SINGLE)]
    said = predict([test.image(index) for index in chosen[:MOST_PAIRS]]) if chosen else []
    if not said or not is_drawable(said[0]):
        told = zip(chosen, rows["told"], strict=False)
        cells = [Cell([Panel("", fitted(decode(test.image(index), 3)))], words) for index, words in told]
        return draw_grid(cells, title, 8, {})
    labels = load_labels(prepared)
    samples = [test.sample(index) for index in chosen[: len(said)]]
    drawn = [panels_of(*pair, labels, thresholds) for pair in zip(samples, said, strict=True)]
    words = zip(drawn, rows["told"], rows["note"], rows["source"], strict=False)
    cells = [Cell(panels, told, " · ".join(filter(None, (note, source)))) for panels, told, note, source in words]
    hint, legend = _explained(samples, said, labels)
    wide = any(getattr(said[0], name) is not None for name in ("semantic", "boxes", "heat"))
    return draw_grid(cells, title + hint, 1 if len(said[0].pictures or ()) > _FEW else 2 if wide else 3, legend)


def is_drawable(prediction: Prediction) -> bool:
    """Return whether a prediction has anything that can be drawn over its image, or is an image."""
    fields = ("boxes", "keypoints", "semantic", "image", "text", "heat", "pictures")
    return any(getattr(prediction, name) is not None for name in fields)


def panels_of(
    sample: Sample, prediction: Prediction, labels: LabelMap, thresholds: NDArray[np.float64] | None
) -> list[Panel]:
    """Return what can be drawn of a sample by the fields that its prediction has; see `samples_page`."""
    if prediction.image is not None:
        return image_panels(sample, prediction.image)
    if prediction.text is not None:
        return reading_panels(sample, prediction)
    if prediction.heat is not None:
        return heat_panels(sample, prediction.heat, labels)
    if prediction.pictures is not None:
        return picture_panels(sample, prediction.pictures)
    if prediction.semantic is not None:
        return map_panels(sample, prediction.semantic, labels)
    if prediction.boxes is not None:
        return object_panels(sample, prediction, labels, thresholds)
    return pose_panels(sample, prediction, labels)


def _explained(
    samples: Sequence[Sample], said: Sequence[Prediction], labels: LabelMap
) -> tuple[str, dict[str, Colour]]:
    """Return what lines mean and what colours mean."""
    if said[0].semantic is not None:
        maps = [own for own in [*(one.semantic for one in samples), *(one.semantic for one in said)] if own is not None]
        return "", map_legend(maps, labels, MOST_COLOURS)
    if said[0].heat is not None:
        return "; the threshold is in the middle of the heat map's colours", {}
    if said[0].boxes is not None:
        return "; dashed: missed or false, at an overlap of 0.5", {}
    if said[0].text is not None:
        return "; below each strip what was read, under the columns that say it, errors in orange", {}
    if said[0].keypoints is not None:
        return (
            "; lines lead to the true position; rings are hidden points or more than 0.2 torso lengths away",
            pose_legend(labels),
        )
    return "", {}
