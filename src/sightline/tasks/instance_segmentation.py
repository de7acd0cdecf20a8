"""Any number of objects per image, each with class, box and mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import pandas as pd
from torch import Tensor

from sightline.config.models import Input
from sightline.config.tasks.instance_segmentation import InstanceSegmentation as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.hub import Weights
from sightline.models.detect.detections import into_original, masks_into_original, share_found
from sightline.models.detect.two_stage import TwoStageDetector, build_faster_rcnn
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics import detection as metrics

_SHAPES: dict[str, metrics.Shape] = {
    "mask_": "instances",
    "box_": "boxes",
}  # prefix of metrics: field


def build_instance_segmentation(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> InstanceSegmentation:
    """Build Mask R-CNN from configuration."""
    if train is not None and not any(train.column("instances")):
        raise UserError(
            f"{train.path}: no sample has a mask (`instances`), which task.kind: instance_segmentation needs; "
            "choose task.kind: detection or another data set"
        )
    network = build_faster_rcnn(
        task.backbone,
        image.channels,
        image.size,
        len(labels),
        weights,
        **task.options(),
        anchor_scale=task.anchor_scale,
        proposals=task.proposals,
        masks=True,
    )
    return InstanceSegmentation(network, labels, *channel_statistics(image.channels, image.mean, image.std))


class InstanceSegmentation(Task):
    """Objects with classes, scores, boxes and masks; crowds are not learned, and objects marked as difficult are."""

    kind: ClassVar[str] = "instance_segmentation"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels", "instances")
    truth_fields: ClassVar[tuple[str, ...]] = ("iscrowd", "difficult", "area")
    exports = False  # which boxes are looked at depends on what was proposed
    network: TwoStageDetector

    def __init__(
        self, network: TwoStageDetector, labels: LabelMap, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__(network, "head", labels, mean, std)

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> Tensor:
        """Sum of the losses of proposals, classes, boxes and masks."""
        return self.network.loss(outputs, targets["boxes"], targets["box_labels"], targets["instances"])

    def scores(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> dict[str, Tensor]:
        """Share of objects whose box is found, with as many guesses per image as there are objects."""
        found = self.network.detections(outputs)
        return {"found": share_found(found, targets["boxes"], targets["box_labels"])}

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Raw outputs -> boxes and masks in pixels of the originals, most confident first."""
        return [
            Prediction(
                boxes=into_original(numbers(found["boxes"]), placement),
                box_labels=found["labels"].tolist(),
                box_scores=numbers(found["scores"]),
                instances=masks_into_original(numbers(found["masks"]), numbers(found["boxes"]), placement),
            )
            for found, placement in zip(self.network.detections(outputs), placements, strict=True)
        ]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """COCO's metrics of masks and of boxes, and precision over recall of masks; see `metrics.detection`."""
        values, rows, tables = metrics.measure(predictions, truth, self.labels.classes, _SHAPES)
        return Measurement("mask_mAP50", dict(values), rows, tables)
