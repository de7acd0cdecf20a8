"""Any number of boxes per image, upright or oriented, each with a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, assert_never

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.detection import Detection as Config
from sightline.data.images import Placement
from sightline.data.rectangles import hulls, rectangles_of
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Prediction
from sightline.models.classify.hub import Weights
from sightline.models.detect.dense_detector import BOX_CODES, DenseDetector
from sightline.models.detect.detections import corners_into_original, into_original, share_found, turned_iou
from sightline.models.detect.fcos import build_fcos
from sightline.models.detect.oriented import build_oriented_fcos
from sightline.models.detect.retinanet import build_retinanet
from sightline.models.detect.two_stage import TwoStageDetector, build_faster_rcnn
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Target, Task, channel_statistics, numbers, of_classes, surest
from sightline.tasks.metrics import detection as metrics
from sightline.tasks.views import mean_of_presences

Detector = DenseDetector | TwoStageDetector
_RETINANET_SCALE, _FASTER_RCNN_SCALE = 4.0, 8.0
_PROPOSALS = 200


def build_detection(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Detection:
    """Build a detector of boxes from configuration."""
    if train is not None and not any(train.column("box_labels")):
        raise UserError(
            f"{train.path}: no sample has a box (`boxes`), which task.kind: detection needs; "
            "choose another task.kind or data set"
        )
    statistics = channel_statistics(image.channels, image.mean, image.std)
    if task.boxes == "oriented":
        if train is not None and not any(train.column("corners")):
            raise UserError(
                f"{train.path}: no sample has an oriented box (`corners`), which task.boxes: oriented needs; "
                "choose boxes: upright or another data set"
            )
        return OrientedDetection(_network(task, image, len(labels), weights), labels, *statistics, views=task.views)
    return Detection(_network(task, image, len(labels), weights), labels, *statistics, views=task.views)


def _network(task: Config, image: Input, classes: int, weights: Weights) -> Detector:
    given = (task.backbone, image.channels, image.size, classes, weights)
    match task.architecture:
        case "fcos":
            if task.boxes == "oriented":
                return build_oriented_fcos(*given, **task.options())
            return build_fcos(*given, **task.options())
        case "retinanet":
            scale = task.anchor_scale or _RETINANET_SCALE
            return build_retinanet(*given, **task.options(), anchor_scale=scale)
        case "faster_rcnn":
            scale, proposals = task.anchor_scale or _FASTER_RCNN_SCALE, task.proposals or _PROPOSALS
            return build_faster_rcnn(*given, **task.options(), anchor_scale=scale, proposals=proposals)
        case _:
            assert_never(task.architecture)


class Detection(Task):
    """Boxes with classes and scores; crowds are not learned, and objects marked as difficult are."""

    kind: ClassVar[str] = "detection"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels")
    truth_fields: ClassVar[tuple[str, ...]] = ("iscrowd", "difficult", "area")
    network: Detector

    def __init__(
        self,
        network: Detector,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        views: Views = "one",
    ) -> None:
        super().__init__(network, "head", labels, mean, std)
        self.views = views
        self.exports = isinstance(network, DenseDetector)
        self.explains = self.exports  # a detector in two stages has no scores before its boxes

    def mean_of_views(self, outputs: dict[str, Tensor], mirrored: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return logits of the mean of both chances at each anchor, and the mean box; of two stages the fused boxes."""
        if isinstance(self.network, TwoStageDetector):
            return self.network.fused(outputs, mirrored)
        turned = self.network.turned(mirrored)
        return {
            name: (values.float() + turned[name].float()) / 2
            if name == BOX_CODES
            else mean_of_presences(values.float(), turned[name].float())
            for name, values in outputs.items()
        }

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> Tensor:
        """Sum of the detector's losses of classes and boxes, each a mean over objects or samples of them."""
        return self.network.loss(outputs, targets["boxes"], targets["box_labels"])

    def scores(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> dict[str, Tensor]:
        """Share of objects found, with as many guesses per image as there are objects."""
        found = self.network.detections(outputs)
        return {"found": share_found(found, targets["boxes"], targets["box_labels"])}

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Raw outputs -> boxes in pixels of the originals, most confident first."""
        return [
            Prediction(
                boxes=into_original(numbers(found["boxes"]), placement),
                box_labels=found["labels"].tolist(),
                box_scores=numbers(found["scores"]),
            )
            for found, placement in zip(self.network.detections(outputs), placements, strict=True)
        ]

    def class_scores(self, inside: dict[str, Tensor]) -> Tensor:
        """Largest logit of each of K classes among all anchors, N x K."""
        return inside["cls_logits"].amax(1)

    def surest_target(self, outputs: dict[str, Tensor], label: int | None = None) -> Target:
        """Return the most confident anchor, with the most confident box of its class."""
        chances = outputs["cls_logits"][0].sigmoid()
        if "bbox_ctrness" in outputs:  # FCOS multiplies by how central the point is in its box
            chances = (chances * outputs["bbox_ctrness"][0].sigmoid()).sqrt()
        place, chosen, sure = surest(chances, label)
        boxes = self.network.detections(outputs)[0]
        own = boxes["boxes"][boxes["labels"] == chosen][:1].tolist()
        return Target(chosen, self.class_names[chosen], sure, place, tuple(own[0]) if own else None)

    def target_values(self, images: Tensor, targets: Sequence[Target], chances: bool) -> Tensor:
        """Logits, or their sigmoids, of the targets' classes at their anchors."""
        rows = torch.arange(len(targets), device=images.device)
        places = torch.tensor([target.place for target in targets], device=images.device)
        logits: Tensor = self.of_one_view(images)["cls_logits"][rows, places]
        return of_classes(logits.sigmoid() if chances else logits, targets)

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """COCO's metrics (mAP50, mAP, by size, by class) and precision over recall; see `metrics.detection`."""
        values, rows, tables = metrics.measure(predictions, truth, self.labels.classes, {"": "boxes"})
        return Measurement("mAP50", dict(values), rows, tables)


class OrientedDetection(Detection):
    """Turned rectangles with classes and scores; `boxes` are the upright ones around them, within the image."""

    targets: ClassVar[tuple[str, ...]] = ("boxes", "box_labels", "corners")

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> Tensor:
        """Sum of the losses of classes, rectangles and centre-ness, each a mean over the points in objects."""
        shapes = [
            torch.from_numpy(rectangles_of(numbers(own))).to(own.device, torch.float32) for own in targets["corners"]
        ]
        return self.network.loss(outputs, shapes, targets["box_labels"])

    def scores(self, outputs: dict[str, Tensor], targets: dict[str, Any]) -> dict[str, Tensor]:
        """Share of objects found, with as many guesses per image as there are objects."""
        found = self.network.detections(outputs)
        return {"found": share_found(found, targets["corners"], targets["box_labels"], "corners", turned_iou)}

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Raw outputs -> oriented boxes in pixels of the originals, most confident first."""
        said = []
        for found, placement in zip(self.network.detections(outputs), placements, strict=True):
            corners = corners_into_original(numbers(found["corners"]), placement)
            edges = np.array([placement.width, placement.height] * 2, np.float32)
            said.append(
                Prediction(
                    boxes=hulls(corners).clip(0, edges),
                    corners=corners,
                    box_labels=found["labels"].tolist(),
                    box_scores=numbers(found["scores"]),
                )
            )
        return said

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """COCO's metrics with the overlap of turned rectangles, and precision over recall; see `metrics.detection`."""
        values, rows, tables = metrics.measure(predictions, truth, self.labels.classes, {"": "corners"})
        return Measurement("mAP50", dict(values), rows, tables)
