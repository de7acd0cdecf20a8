"""One class and one box per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import box_convert, box_iou, generalized_box_iou_loss

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.localization import Localization as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.models.detect.detections import into_original
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.boxes import largest_object, overlap_curve, paired_overlaps
from sightline.tasks.views import mean_of_classes

_NUMBERS = 4  # x, y of the centre, width, height
_BETA = 0.05  # share of the input's side below which a distance counts quadratically
_ENOUGH = 0.5  # overlap of a box that is found


def build_localization(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Localization:
    """Build a classifier with four outputs more, and its loss, from configuration."""
    if train is not None and not any(train.column("box_labels")):
        raise UserError(
            f"{train.path}: no sample has a box (`boxes`), which task.kind: localization needs; "
            "choose another task.kind or data set"
        )
    built = build_classifier(
        task.architecture, image.channels, image.size, len(labels) + _NUMBERS, weights=weights, **task.options()
    )
    return Localization(
        built.network,
        built.head,
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        size=image.size,
        weights=(task.class_weight, task.l1_weight, task.giou_weight),
        views=task.views,
    )


class Localization(Task):
    """K class scores and the numbers x, y, w, h of one box: its centre and sides as shares of the input's side.

    Of several objects the largest is the truth; crowds are none. An image without a box teaches nothing, and as the
    network always names a box, its overlap and its class count as wrong.
    """

    kind: ClassVar[str] = "localization"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels")
    truth_fields: ClassVar[tuple[str, ...]] = ("iscrowd",)
    explains = True
    head_takes_vectors: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        size: int,
        weights: tuple[float, float, float] = (1.0, 5.0, 2.0),
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.size = size
        self.class_weight, self.l1_weight, self.giou_weight = weights

    def of_one_view(self, images: Tensor) -> dict[str, Tensor]:
        """N x S x S x C uint8 -> `classes` N x K logits, `boxes` N x 4 in 0..1: x, y of the centre, width, height."""
        outputs = super().of_one_view(images).float()
        return {"classes": outputs[:, :-_NUMBERS], "boxes": outputs[:, -_NUMBERS:].sigmoid()}

    def mean_of_views(self, outputs: dict[str, Tensor], mirrored: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return scores of the mean of both probabilities, and the mean box."""
        x, rest = mirrored["boxes"][:, :1], mirrored["boxes"][:, 1:]
        return {
            "classes": mean_of_classes(outputs["classes"], mirrored["classes"]),
            "boxes": (outputs["boxes"] + torch.cat([1 - x, rest], 1)) / 2,
        }

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> Tensor:
        """Weighted sum of cross entropy, smooth L1 (Girshick 2015) and 1 - GIoU (Rezatofighi et al. 2019).

        The mean is over the images with a box; without any it is 0.
        """
        chosen, boxes, labels = largest_boxes(targets["boxes"], targets["box_labels"])
        if not len(chosen):
            return joint_mean(0 * (outputs["classes"].sum() + outputs["boxes"].sum()), 0)
        told = outputs["boxes"][chosen]
        wanted = box_convert(boxes / self.size, "xyxy", "cxcywh")
        distance = F.smooth_l1_loss(told, wanted, beta=_BETA)
        overlap = generalized_box_iou_loss(box_convert(told, "cxcywh", "xyxy"), boxes / self.size, reduction="mean")
        entropy = F.cross_entropy(outputs["classes"][chosen], labels)
        total: Tensor = self.class_weight * entropy + self.l1_weight * distance + self.giou_weight * overlap
        return joint_mean(total, len(chosen))

    def scores(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> dict[str, Tensor]:
        """Mean overlap in the input and share of right classes; an image without a box counts 0."""
        chosen, boxes, labels = largest_boxes(targets["boxes"], targets["box_labels"])
        count = len(targets["boxes"])
        overlaps = box_iou(self._in_pixels(outputs["boxes"][chosen]), boxes).diagonal()
        right = outputs["classes"][chosen].argmax(1) == labels
        return {"mean_iou": overlaps.sum() / count, "class_accuracy": right.sum() / count}

    def _in_pixels(self, boxes: Tensor) -> Tensor:
        """N x 4 shares x, y, w, h -> N x 4 xyxy in pixels of the input."""
        converted: Tensor = box_convert(boxes, "cxcywh", "xyxy")
        return converted * self.size

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Return the box of each image, its class, and the class's probability as score."""
        boxes = numbers(self._in_pixels(outputs["boxes"]))
        probabilities = numbers(outputs["classes"].softmax(1))
        return [
            Prediction(
                boxes=into_original(box[None], placement),
                box_labels=[int(row.argmax())],
                box_scores=row.max(keepdims=True),
            )
            for box, row, placement in zip(boxes, probabilities, placements, strict=True)
        ]

    def class_scores(self, inside: dict[str, Tensor]) -> Tensor:
        """Logits of the K classes, N x K."""
        return inside["classes"]

    def class_chances(self, outputs: dict[str, Tensor]) -> Tensor:
        """Probabilities of the K classes, N x K."""
        return outputs["classes"].softmax(1)

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Mean overlap, share of right classes, and share of right classes with an overlap of 0.5 or more.

        The last is 1 - the localisation error of ILSVRC (Russakovsky et al. 2015, section 4.2) with one guess.
        """
        said = [_only_object(prediction) for prediction in predictions]
        actual, actual_class = _largest_of_rows(truth)
        predicted, predicted_class = np.stack([box for box, _ in said]), np.array([label for _, label in said])
        overlaps = np.where(actual_class >= 0, paired_overlaps(actual, predicted), 0.0)
        right = actual_class == predicted_class
        located = right & (overlaps >= _ENOUGH)
        names = self.labels.classes
        told = [
            f"{names[a] if a >= 0 else 'no box'} → {names[b]}, overlap {overlap:.2f}"
            for a, b, overlap in zip(actual_class, predicted_class, overlaps, strict=True)
        ]
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "told": told,
                "score": overlaps,
                "right_class": right,
                "located": located,
                "box": list(predicted),
            }
        )
        values: dict[str, Any] = {
            "mean_iou": float(overlaps.mean()),
            "class_accuracy": float(right.mean()),
            "localization_accuracy": float(located.mean()),
        }
        tables = {
            "per_class": self._per_class(actual_class, overlaps, right, located),
            "overlap_curve": overlap_curve(overlaps),
        }
        return Measurement("mean_iou", values, rows, tables)

    def _per_class(
        self, actual_class: NDArray[Any], overlaps: NDArray[Any], right: NDArray[Any], located: NDArray[Any]
    ) -> pd.DataFrame:
        counts = np.array([(actual_class == label).sum() for label in range(len(self.labels))])
        table: dict[str, Any] = {"class": list(self.labels.classes), "samples": counts}
        for name, column in (("mean_iou", overlaps), ("class_accuracy", right), ("localization_accuracy", located)):
            sums = np.array([column[actual_class == label].sum() for label in range(len(self.labels))])
            table[name] = sums / np.maximum(counts, 1)
        return pd.DataFrame(table)


def largest_boxes(boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return, of the images that have boxes, their M places in the batch, M x 4 largest boxes and M class ids."""
    chosen = [place for place, own in enumerate(boxes) if len(own)]
    device = boxes[0].device
    if not chosen:
        return torch.zeros(0, dtype=torch.int64, device=device), boxes[0].new_zeros(0, 4), labels[0][:0]
    largest = [int((boxes[place][:, 2:] - boxes[place][:, :2]).prod(1).argmax()) for place in chosen]
    return (
        torch.tensor(chosen, device=device),
        torch.stack([boxes[place][at] for place, at in zip(chosen, largest, strict=True)]),
        torch.stack([labels[place][at] for place, at in zip(chosen, largest, strict=True)]),
    )


def _only_object(prediction: Prediction) -> tuple[NDArray[np.float64], int]:
    assert prediction.boxes is not None
    assert prediction.box_labels is not None
    return prediction.boxes[0].astype(np.float64), prediction.box_labels[0]


def _largest_of_rows(truth: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return N x 4 largest boxes and their N class ids, -1 and zeros where an image has none."""
    boxes, labels = np.zeros((len(truth), 4)), np.full(len(truth), -1)
    columns = (truth[name] for name in ("boxes", "box_labels", "iscrowd"))
    for place, (own, own_labels, crowds) in enumerate(zip(*columns, strict=True)):
        largest = largest_object(own, crowds)
        if largest is not None:
            boxes[place], labels[place] = own[largest], own_labels[largest]
    return boxes, labels
