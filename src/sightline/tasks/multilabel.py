"""Any number of classes per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn import metrics as oracle
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.multilabel import Multilabel as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.multilabel import f1_of_images, presences
from sightline.tasks.views import mean_of_presences


def build_multilabel(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Multilabel:
    """Build a classifier with independent classes, and its loss, from configuration."""
    built = build_classifier(
        task.architecture, image.channels, image.size, len(labels), weights=weights, **task.options()
    )
    positive_weights = None
    if train is not None:
        present = _present(train, len(labels))
        if task.class_weights == "balanced":
            positive_weights = ((len(train) - present) / np.maximum(present, 1)).tolist()
    return Multilabel(
        built.network,
        built.head,
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        positive_weights=positive_weights,
        views=task.views,
    )


def _present(train: SplitStore, classes: int) -> NDArray[np.int64]:
    """Return the number of training samples that have each class."""
    drawn = [label for own in train.column("labels") for label in own or ()]
    if not drawn:
        raise UserError(
            f"{train.path}: no sample has classes in `labels`, which task.kind: multilabel needs; "
            "give the table a column labels, or choose another task.kind or data set"
        )
    return np.bincount(drawn, minlength=classes)


class Multilabel(Task):
    """One logistic unit per class; each has the threshold that gave the best F1 on validation data."""

    kind: ClassVar[str] = "multilabel"
    targets: ClassVar[tuple[str, ...]] = ("labels",)
    calibrates: ClassVar[bool] = True
    explains = True
    head_takes_vectors: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        positive_weights: Sequence[float] | None = None,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        weights = None if positive_weights is None else torch.tensor(positive_weights)
        self.register_buffer("positive_weights", weights, persistent=False)
        self.register_buffer("thresholds", torch.full((len(labels),), 0.5))

    positive_weights: Tensor | None
    thresholds: Tensor

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return logits of the mean of both probabilities."""
        return mean_of_presences(outputs, mirrored)

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Binary cross entropy of N x K logits with N x K presences 0/1, mean over both."""
        loss = F.binary_cross_entropy_with_logits(outputs, targets["labels"], pos_weight=self.positive_weights)
        return joint_mean(loss, len(outputs))

    def scores(self, outputs: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Share of presences predicted correctly at a threshold of 0.5."""
        return {"accuracy": ((outputs > 0) == (targets["labels"] > 0.5)).float().mean()}

    def calibrate(self, outputs: Tensor, targets: dict[str, Tensor]) -> None:
        """Set each class's threshold to the probability above which its F1 is best; 0.5 where it has no samples."""
        probabilities, truth = numbers(outputs.float().sigmoid()), numbers(targets["labels"]) > 0.5
        best = [best_threshold(probabilities[:, k], truth[:, k]) for k in range(len(self.labels))]
        self.thresholds.copy_(torch.tensor(best))

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x K logits -> the classes whose probability reaches their threshold, and all probabilities."""
        thresholds = numbers(self.thresholds)
        return [
            Prediction(labels=np.flatnonzero(row >= thresholds).tolist(), probabilities=row)
            for row in numbers(outputs.float().sigmoid())
        ]

    def class_scores(self, inside: Tensor) -> Tensor:
        """N x K logits as they are."""
        return inside

    def class_chances(self, outputs: Tensor) -> Tensor:
        """N x K logits -> N x K independent probabilities."""
        return outputs.sigmoid()

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Mean average precision over classes, precision, recall and F1 at the thresholds, exact matches."""
        said = list(predictions)
        probabilities = np.stack([p.probabilities for p in said if p.probabilities is not None])
        predicted = presences([p.labels or [] for p in said], len(self.labels))
        actual = presences([list(own) for own in truth["labels"]], len(self.labels))
        shares = precision_at_positives(probabilities, actual)
        positives = actual.sum(0)
        present = positives > 0
        average = shares.sum(0) / np.maximum(positives, 1)
        per_class = self._per_class(actual, predicted, average)
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "labels": [np.flatnonzero(row).tolist() for row in actual],
                "predicted_labels": [np.flatnonzero(row).tolist() for row in predicted],
                "told": [f"{self._named(a)} → {self._named(b)}" for a, b in zip(actual, predicted, strict=True)],
                "score": f1_of_images(actual, predicted),
                "probabilities": list(probabilities),
            }
        )
        values: dict[str, Any] = {
            "mean_average_precision": float(average[present].mean()) if present.any() else 0.0,
            "macro_f1": float(per_class.loc[present, "f1"].mean()) if present.any() else 0.0,
            "micro_f1": float(oracle.f1_score(actual, predicted, average="micro", zero_division=0)),
            "exact_match": float((actual == predicted).all(1).mean()),
        }
        return Measurement("mean_average_precision", values, rows, {"per_class": per_class})

    def _per_class(self, actual: NDArray[Any], predicted: NDArray[Any], average: NDArray[Any]) -> pd.DataFrame:
        precision, recall, f1, samples = oracle.precision_recall_fscore_support(actual, predicted, zero_division=0)
        return pd.DataFrame(
            {
                "class": list(self.labels.classes),
                "samples": samples,
                "average_precision": average,
                "threshold": numbers(self.thresholds),
                "precision": precision,
                "recall": recall,
                "f1": f1,
            }
        )

    def _named(self, presence: NDArray[Any]) -> str:
        return " ".join(self.labels.classes[k] for k in np.flatnonzero(presence)) or "none"


def best_threshold(probabilities: FLOAT32, truth: NDArray[np.bool_]) -> float:
    """Return the threshold of the best F1, midway between the probabilities around it; 0.5 without both answers."""
    if not truth.any() or truth.all():
        return 0.5
    precision, recall, at = oracle.precision_recall_curve(truth, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f1[:-1].argmax())
    return float((at[best] + (at[best - 1] if best else at[best])) / 2)


def precision_at_positives(probabilities: FLOAT32, actual: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each present class of each sample, the precision among all at least as probable; 0 elsewhere.

    Average precision is the mean of a class's positive entries (as in scikit-learn, without interpolation).
    """
    shares = np.zeros(actual.shape)
    for k in range(actual.shape[1]):
        order = np.argsort(-probabilities[:, k], kind="stable")
        found = actual[order, k]
        last = _last_of_ties(probabilities[order, k])
        shares[order, k] = found * np.cumsum(found)[last] / (last + 1)
    return shares


def _last_of_ties(ordered: FLOAT32) -> NDArray[np.int64]:
    """Return for each place of a descending list the last place with an equal value."""
    return len(ordered) - 1 - np.searchsorted(ordered[::-1], ordered, side="left").astype(np.int64)
