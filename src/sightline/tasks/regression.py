"""K numbers per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, assert_never

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.regression import Regression as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers

Loss = Literal["mse", "mae", "huber"]
_FLOAT64 = NDArray[np.float64]
_TOLD = 3  # numbers named in a few words


def build_regression(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Regression:
    """Build a network with K outputs, and its loss in units of the training values' deviation, from configuration."""
    count = len(labels.values)
    if not count:
        where = train.path if train else "this data set"
        raise UserError(
            f"{where}: samples have no numbers (`values`), which task.kind: regression needs; "
            "name the table's columns in the data set's `values`, or choose another task.kind or data set"
        )
    built = build_classifier(task.architecture, image.channels, image.size, count, weights=weights, **task.options())
    regression = Regression(
        built.network,
        built.head,
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        loss=task.loss,
        delta=task.delta,
        views=task.views,
    )
    if train is not None:
        values = np.array(train.column("values"), np.float64)
        spread = values.std(0)
        regression.set_scale(values.mean(0), np.where(spread > 0, spread, 1.0))
    return regression


class Regression(Task):
    """Outputs are in standard deviations from the training mean; both are kept with the weights."""

    kind: ClassVar[str] = "regression"
    targets: ClassVar[tuple[str, ...]] = ("values",)
    head_takes_vectors: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        loss: Loss = "mse",
        delta: float = 1.0,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.criterion: Loss = loss
        self.delta = delta
        self.register_buffer("value_mean", torch.zeros(len(labels.values)))
        self.register_buffer("value_std", torch.ones(len(labels.values)))

    value_mean: Tensor
    value_std: Tensor

    def set_scale(self, mean: _FLOAT64, std: _FLOAT64) -> None:
        """Set the K means and deviations of the training values."""
        self.value_mean.copy_(torch.from_numpy(mean))
        self.value_std.copy_(torch.from_numpy(std))

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return the mean of both."""
        return (outputs + mirrored) / 2

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Mean over N x K outputs of the squared, absolute or Huber (1964) loss of their deviations."""
        wanted = (targets["values"] - self.value_mean) / self.value_std
        match self.criterion:
            case "mse":
                loss = F.mse_loss(outputs, wanted)
            case "mae":
                loss = F.l1_loss(outputs, wanted)
            case "huber":
                loss = F.huber_loss(outputs, wanted, delta=self.delta)
            case _:
                assert_never(self.criterion)
        return joint_mean(loss, len(outputs))

    def scores(self, outputs: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean absolute error in the units of the values."""
        return {"mae": (self._values(outputs) - targets["values"]).abs().mean()}

    def _values(self, outputs: Tensor) -> Tensor:
        return outputs.float() * self.value_std + self.value_mean

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x K outputs -> K numbers of each image, in their units."""
        return [Prediction(values=row) for row in numbers(self._values(outputs))]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Coefficient of determination (mean over the numbers), mean absolute and root mean squared error of each."""
        predicted = np.stack([p.values for p in predictions if p.values is not None]).astype(np.float64)
        actual = np.stack(truth["values"].to_list()).astype(np.float64)
        error, variance = predicted - actual, actual.var(0)
        names = self.labels.values
        explained = explained_shares(error, variance)
        per_value = pd.DataFrame(
            {
                "value": list(names),
                "mae": np.abs(error).mean(0),
                "rmse": np.sqrt((error**2).mean(0)),
                "bias": error.mean(0),
                "r2": explained.mean(0),
                "mean": actual.mean(0),
                "std": np.sqrt(variance),
            }
        )
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "values": list(actual),
                "predicted_values": list(predicted),
                "told": [_told(names, a, b) for a, b in zip(actual, predicted, strict=True)],
                "score": explained.mean(1),
            }
        )
        values: dict[str, Any] = {
            "r2": float(explained.mean()),
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt((error**2).mean())),
        }
        scatter = pd.DataFrame(
            {"value": np.tile(names, len(actual)), "actual": actual.ravel(), "predicted": predicted.ravel()}
        )
        return Measurement("r2", values, rows, {"per_value": per_value, "scatter": scatter})


def explained_shares(error: _FLOAT64, variance: _FLOAT64) -> _FLOAT64:
    """Return N x K parts whose mean over N is each number's R2, 1 - mean squared error / variance.

    Where all true values are equal it is 1 without any error and 0 otherwise, as in scikit-learn.
    """
    constant = variance == 0
    shares: _FLOAT64 = 1 - error**2 / np.where(constant, 1.0, variance)
    perfect = (error == 0).all(0)
    return np.where(constant, perfect.astype(float), shares)


def _told(names: Sequence[str], actual: _FLOAT64, predicted: _FLOAT64) -> str:
    parts = [f"{n} {a:.3g} → {b:.3g}" for n, a, b in zip(names, actual, predicted, strict=True)]
    return ", ".join(parts[:_TOLD]) + (", ..." if len(parts) > _TOLD else "")
