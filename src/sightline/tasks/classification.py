"""One class per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, assert_never

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.classification import Classification as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.classification import LEAST_PROBABILITY, TOP, per_class, reliability
from sightline.tasks.metrics.counts import confusion
from sightline.tasks.views import mean_of_classes

Loss = Literal["cross_entropy", "hinge", "perceptron", "hebb"]
_LEAST = 1e-6  # sum of weights that are not 0


def build_classification(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Classification:
    """Build a classifier and its loss from configuration."""
    built = build_classifier(
        task.architecture, image.channels, image.size, len(labels), weights=weights, **task.options()
    )
    return Classification(
        built.network,
        built.head,
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        loss=task.loss,
        label_smoothing=task.label_smoothing,
        class_weights=None if train is None else _class_weights(train, len(labels), task.class_weights == "balanced"),
        views=task.views,
    )


def _class_weights(train: SplitStore, classes: int, balanced: bool) -> list[float] | None:
    counts = np.bincount(train.labels[train.labels >= 0], minlength=classes)
    if counts.sum() < len(train):
        raise UserError(
            f"{train.path}: {len(train) - counts.sum()} of {len(train)} samples have no class (`label`), "
            "which task.kind: classification needs; choose another task.kind or data set"
        )
    return balanced_weights(counts.tolist()) if balanced else None


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Return a weight per class, N / (K n_k), so that each class counts the same (King and Zeng 2001)."""
    return [sum(counts) / (len(counts) * count) if count else 0.0 for count in counts]


class Classification(Task):
    """One score per class; probabilities are their softmax, regardless of the loss."""

    kind: ClassVar[str] = "classification"
    targets: ClassVar[tuple[str, ...]] = ("label",)
    explains = True
    head_takes_vectors: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        loss: Loss = "cross_entropy",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.criterion: Loss = loss
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    class_weights: Tensor | None

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return scores of the mean of both probabilities."""
        return mean_of_classes(outputs, mirrored)

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Mean loss of N x K scores against N class ids, or N x K shares of classes where images are mixed.

        Cross entropy, with labels smoothed as in Szegedy et al. 2016, section 7; or one of the losses on t = -1/+1,
        which take class ids only.
        """
        labels = targets["label"]
        if labels.ndim == 2:
            return soft_cross_entropy(outputs, labels, self.class_weights, self.label_smoothing)
        if self.criterion == "cross_entropy":
            loss = F.cross_entropy(outputs, labels, self.class_weights, label_smoothing=self.label_smoothing)
            weights = self.class_weights
            return joint_mean(loss, len(labels) if weights is None else weights[labels].sum(), _LEAST)
        if self.criterion == "hinge" and outputs.shape[1] > 2:
            return joint_mean(F.multi_margin_loss(outputs, labels), len(labels))  # Weston and Watkins 1999
        return joint_mean(signed_loss(self.criterion, outputs, labels), len(labels))

    def scores(self, outputs: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Share of images whose largest logit is the true class."""
        return {"accuracy": (outputs.argmax(1) == targets["label"]).float().mean()}

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x K scores -> class and probabilities of each image."""
        return [Prediction(label=int(row.argmax()), probabilities=row) for row in numbers(outputs.float().softmax(1))]

    def class_scores(self, inside: Tensor) -> Tensor:
        """N x K scores as they are."""
        return inside

    def class_chances(self, outputs: Tensor) -> Tensor:
        """N x K scores -> N x K probabilities."""
        return outputs.softmax(1)

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Top-1, top-5, precision, recall and F1 per class, calibration error (Guo et al. 2017)."""
        probabilities = np.stack([p.probabilities for p in predictions if p.probabilities is not None])
        labels = truth["label"].to_numpy(np.int64)
        predicted = probabilities.argmax(1)
        names, sure = self.labels.classes, probabilities.max(1)
        told = [f"{names[a]} → {names[b]}, {c:.0%}" for a, b, c in zip(labels, predicted, sure, strict=True)]
        of_truth = probabilities[np.arange(len(labels)), labels]
        rank = (probabilities > of_truth[:, None]).sum(1)
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "label": labels,
                "predicted": predicted,
                "confidence": sure,
                "told": told,
                "score": (predicted == labels).astype(np.float32),
                "rank": rank.astype(np.int32),
                "probabilities": list(probabilities),
            }
        )
        table = per_class(confusion(labels, predicted, len(self.labels)), self.labels.classes)
        calibration = reliability(sure, rows["score"].to_numpy(), bins)
        gaps = (calibration["accuracy"] - calibration["confidence"]).abs()
        present = table["samples"] > 0
        values: dict[str, Any] = {
            "accuracy": float(rows["score"].mean()),
            "top5": float((rank < TOP).mean()),
            "balanced_accuracy": float(table.loc[present, "recall"].mean()),
            "macro_f1": float(table.loc[present, "f1"].mean()),
            "calibration_error": float(np.average(gaps, weights=calibration["samples"])),
            "log_loss": float(
                -np.log(np.clip(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY, 1)).mean()
            ),
        }
        tables = {
            "per_class": table,
            "confusion": _confusion_rows(rows, self.labels.classes),
            "reliability": calibration,
        }
        return Measurement("accuracy", values, rows, tables)


def signed_loss(criterion: Literal["hinge", "perceptron", "hebb"], outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over samples of a loss on the outputs z and wanted t = -1/+1 of single units, whose gradient is a rule.

    Two classes share one unit, z = outputs[:, 1] - outputs[:, 0]; more have a unit each, whose losses are added.
    hinge max(0, 1 - t z), Vapnik 1995; perceptron max(0, -t z), Rosenblatt 1958: w += t x where the sign is wrong;
    hebb -t z, Hebb 1949: w += t x always.
    """
    classes = outputs.shape[1]
    if classes == 2:
        units, wanted = outputs[:, 1:] - outputs[:, :1], labels[:, None]
    else:
        units, wanted = outputs, F.one_hot(labels, classes)
    margins = (2 * wanted - 1) * units
    match criterion:
        case "hinge":
            losses = F.relu(1 - margins)
        case "perceptron":
            losses = F.relu(-margins)
        case "hebb":
            losses = -margins
        case _:
            assert_never(criterion)
    return losses.sum(1).mean()


def soft_cross_entropy(scores: Tensor, shares: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Cross entropy with shares of classes; for shares of 0 and 1 it is that of torch with class ids.

    Unlike torch's own for probabilities it is a weighted mean, so that balanced classes count the same when mixed.

    Args:
        scores: N x K logits.
        shares: N x K, adding up to 1.
        weights: K, None for equal ones.
        smoothing: share of the loss that is equal for all classes.
    """
    costs = -F.log_softmax(scores, 1)
    weighted = costs if weights is None else costs * weights
    importance = shares.sum() if weights is None else (shares * weights).sum()
    uniform = weighted.sum(1).sum() / scores.shape[1]
    return joint_mean(
        ((1 - smoothing) * (shares * weighted).sum() + smoothing * uniform) / importance, importance, _LEAST
    )


def _confusion_rows(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row per sample, the form that `dvc plots` counts into a confusion matrix."""
    name = np.asarray(names, dtype=object)
    return pd.DataFrame({"actual": name[rows["label"]], "predicted": name[rows["predicted"]]})
