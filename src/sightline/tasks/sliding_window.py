"""Any number of boxes per image, found by a classifier that looks through a window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor, nn

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.sliding_window import SlidingWindow as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.classifiers import Weights, build_classifier
from sightline.models.detect.detections import into_original, share_found
from sightline.models.detect.sliding_window import WindowGrid, choose_windows
from sightline.models.detect.window_network import WindowNetwork, add_background, hardest_loss, label_windows
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Target, Task, channel_statistics, numbers, of_classes, surest
from sightline.tasks.metrics import detection as metrics


def build_sliding_window(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> SlidingWindow:
    """Build a classifier of windows from configuration; a trained one keeps its classes and gets background as well."""
    if train is not None and not any(train.column("box_labels")):
        raise UserError(
            f"{train.path}: no sample has a box (`boxes`), which task.kind: sliding_window needs; "
            "choose another task.kind or data set"
        )
    built = build_classifier(
        task.architecture, image.channels, task.window, len(labels), weights=weights, **task.options()
    )
    add_background(built.network, built.head)
    return SlidingWindow(
        WindowNetwork(built.network, WindowGrid(**task.windows()), image.size),
        f"classifier.{built.head}",
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        threshold=task.score_threshold,
        nms_iou=task.nms_iou,
        most=task.max_objects,
        views=task.views,
    )


class SlidingWindow(Task):
    """Scores of K classes and background, the last, for each of W windows; a box is a window.

    Learned from windows drawn around objects and elsewhere; measured, in training too, on all windows of the grid.
    """

    kind: ClassVar[str] = "sliding_window"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels")
    truth_fields: ClassVar[tuple[str, ...]] = ("iscrowd", "difficult", "area")
    explains = True
    network: WindowNetwork

    def __init__(
        self,
        network: WindowNetwork,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        threshold: float = 0.05,
        nms_iou: float = 0.3,
        most: int = 100,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.threshold, self.nms_iou, self.most, self.views = threshold, nms_iou, most, views

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return the scores of the windows of both views, N x 2 W x (K + 1): mirrored windows are not in the grid."""
        return torch.cat([outputs, mirrored], 1)

    @property
    def windows(self) -> Tensor:
        """The windows that are scored, W x 4 xyxy; where there are two views, then those of the mirror image."""
        boxes = self.network.boxes
        if self.views == "one":
            return boxes
        turned = boxes[:, [2, 1, 0, 3]] * boxes.new_tensor([-1, 1, -1, 1])
        return torch.cat([boxes, turned + boxes.new_tensor([self.network.size, 0, self.network.size, 0])])

    def training_loss(self, images: Tensor, targets: dict[str, Any]) -> Tensor:
        """Mean cross entropy of drawn windows, of background the hardest; see `hardest_loss`."""
        background = len(self.labels)
        windows, labels = self.network.draw_windows(targets["boxes"], targets["box_labels"], background)
        return hardest_loss(self.network.look(self._normalised(images), windows), labels, background)

    def _normalised(self, images: Tensor) -> Tensor:
        """N x S x S x C in 0..255 -> N x C x S x S, as the network takes them."""
        return (images.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.std

    def loss(self, outputs: Tensor, targets: dict[str, Any]) -> Tensor:
        """Mean cross entropy of the grid's windows, N x W x (K + 1), of background the hardest."""
        background = len(self.labels)
        pairs = zip(targets["boxes"], targets["box_labels"], strict=True)
        windows = self.windows[: outputs.shape[1]]
        labels = [label_windows(windows, boxes, own, background) for boxes, own in pairs]
        losses = [hardest_loss(scores, own, background) for scores, own in zip(outputs, labels, strict=True)]
        return sum(losses, outputs.new_zeros(())) / len(losses)

    def scores(self, outputs: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Share of objects found, with as many guesses per image as there are objects."""
        return {"found": share_found(self._objects(outputs), targets["boxes"], targets["box_labels"])}

    def _objects(self, outputs: Tensor) -> list[dict[str, Tensor]]:
        probabilities, windows = outputs.float().softmax(2)[..., :-1], self.windows[: outputs.shape[1]]
        return [choose_windows(own, windows, self.threshold, self.nms_iou, self.most) for own in probabilities]

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x W x (K + 1) scores -> boxes in pixels of the originals, most confident first."""
        return [
            Prediction(
                boxes=into_original(numbers(found["boxes"]), placement),
                box_labels=found["labels"].tolist(),
                box_scores=numbers(found["scores"]),
            )
            for found, placement in zip(self._objects(outputs), placements, strict=True)
        ]

    @property
    def inner_network(self) -> nn.Module:
        """The classifier of windows."""
        return self.network.classifier

    @property
    def window(self) -> int:
        """Side of a window, pixels."""
        return self.network.grid.window

    def look_inside(self, images: Tensor) -> Tensor:
        """N windows x C, uint8 or float in 0..255 -> N x (K + 1) scores."""
        scores: Tensor = self.network.classifier(self._normalised(images))
        return scores

    def class_scores(self, inside: Tensor) -> Tensor:
        """N x (K + 1) scores of windows as they are."""
        return inside

    def surest_target(self, outputs: Tensor, label: int | None = None) -> Target:
        """Return the most confident window, of an object and not of background."""
        place, chosen, sure = surest(outputs[0].softmax(1)[:, :-1], label)
        return Target(chosen, self.class_names[chosen], sure, place, tuple(self.windows[place].tolist()))

    def target_values(self, images: Tensor, targets: Sequence[Target], chances: bool) -> Tensor:
        """Scores, or their softmax, of the targets' classes in their windows, which alone are looked at."""
        windows = [self.windows[target.place][None] for target in targets]
        scores = self.network.look(self._normalised(images), windows)
        return of_classes(scores.softmax(1) if chances else scores, targets)

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """COCO's metrics (mAP50, mAP, by size, by class) and precision over recall; see `metrics.detection`."""
        values, rows, tables = metrics.measure(predictions, truth, self.labels.classes, {"": "boxes"})
        return Measurement("mAP50", dict(values), rows, tables)
