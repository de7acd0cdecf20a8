"""The task: a classifier's network with one output, the number of objects."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.resampling import Metric, mean_of

from .settings import Counting as Section


def build_counting(
    task: Section, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> "Counting":
    built = build_classifier(task.architecture, image.channels, image.size, 1, weights=weights)
    return Counting(built.network, built.head, labels, *channel_statistics(image.channels, image.mean, image.std))


class Counting(Task):
    """Outputs are N x 1: the number of objects."""

    kind: ClassVar[str] = "counting"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels")

    def loss(self, outputs: Tensor, targets: dict[str, Any]) -> Tensor:
        return F.smooth_l1_loss(outputs[:, 0], _counts(targets["box_labels"]).to(outputs))

    def scores(self, outputs: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        wanted = _counts(targets["box_labels"]).to(outputs)
        return {"exact": (outputs[:, 0].round() == wanted).float().mean()}

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        return [Prediction(values=row) for row in numbers(outputs)]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        found = np.array([one.values[0] for one in predictions if one.values is not None])
        actual = truth["box_labels"].map(len).to_numpy()
        difference = np.abs(found - actual)
        rows = truth[["id", "source"]].assign(
            told=[f"{wanted} -> {got:.1f}" for wanted, got in zip(actual, found, strict=True)],
            score=-difference,
            exact=(found.round() == actual).astype(float),
            mean_difference=difference,
        )
        values = {name: float(rows[name].mean()) for name in ("exact", "mean_difference")}
        return Measurement("exact", values, rows.reset_index(drop=True), {})


def within_one(rows: pd.DataFrame, labels: LabelMap) -> Metric:
    """The share of images whose count is wrong by at most one."""
    return mean_of((rows["mean_difference"] <= 1).to_numpy(float))


def _counts(box_labels: Sequence[Any]) -> Tensor:
    return torch.tensor([float(len(one)) for one in box_labels])
