"""The key points of one person per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.keypoints import Keypoints as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, LabelMap, Prediction
from sightline.models.classify.classifiers import Weights
from sightline.models.detect.feature_pyramid import build_body
from sightline.models.heatmaps import HeatmapNetwork, draw_heatmaps, read_heatmaps
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.average_precision import curves
from sightline.tasks.metrics.boxes import largest_object
from sightline.tasks.metrics.keypoints import (
    distances,
    matches_of,
    near_curve,
    near_points,
    per_joint,
    reference_lengths,
    similarities,
)

_LEAST_CELLS = 4  # of a heat map's side
_FLOAT64 = NDArray[np.float64]


def build_keypoints(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Keypoints:
    """Build a network that draws a heat map per key point, from configuration."""
    if not labels.keypoints:
        raise UserError(
            f"{train.path if train else 'this data set'}: has no key points (`keypoints`), which task.kind: keypoints "
            "needs; choose another task.kind or data set"
        )
    if image.size < _LEAST_CELLS * task.stride:
        raise UserError(
            f"input.size: {image.size}: too small for task.stride: {task.stride}, which needs at least "
            f"{_LEAST_CELLS * task.stride} px"
        )
    body = build_body(task.backbone, image.channels, image.size, [task.backbone_stride], weights)
    return Keypoints(
        HeatmapNetwork(body, len(labels.keypoints), task.width, task.stride),
        "head",
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        stride=task.stride,
        sigma=task.sigma,
        views=task.views,
    )


class Keypoints(Task):
    """One heat map per key point, over the whole image.

    Of several objects the largest one with labelled points is the truth; crowds are none. Absent points are not
    learned and not measured, hidden ones are.
    """

    kind: ClassVar[str] = "keypoints"
    targets: ClassVar[tuple[str, ...]] = ("boxes", "keypoints")
    truth_fields: ClassVar[tuple[str, ...]] = ("iscrowd", "area")

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 4,
        sigma: float = 2.0,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.stride, self.sigma = stride, sigma

    def of_one_view(self, images: Tensor) -> Tensor:
        """N x S x S x C uint8 -> N x K x H x H heat maps, near 1 at a key point; H = S / stride rounded up."""
        maps: Tensor = super().of_one_view(images)
        return maps.float()

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return the mean of both heat maps, that of a left hand from the mirror image's right one."""
        turned = mirrored.flip(3)
        return (outputs + (turned[:, list(self.labels.mirrored)] if self.labels.mirrored else turned)) / 2

    def loss(self, outputs: Tensor, targets: dict[str, Any]) -> Tensor:
        """Mean squared error of the heat maps of labelled points (Xiao et al. 2018, section 2); 0 without any."""
        points = self._in_cells(targets)
        wanted = draw_heatmaps(points[..., :2], outputs.shape[2], outputs.shape[3], self.sigma)
        labelled = points[..., 2] > 0
        errors = ((outputs - wanted) ** 2).mean((2, 3)) * labelled
        count = labelled.sum()
        return joint_mean(errors.sum() / count.clamp_min(1), count)

    def scores(self, outputs: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Mean distance of labelled points in pixels of the input; 0 without any."""
        points = self._in_cells(targets)
        labelled = points[..., 2] > 0
        apart = (read_heatmaps(outputs)[..., :2] - points[..., :2]).norm(dim=-1) * self.stride
        return {"mean_error": (apart * labelled).sum() / labelled.sum().clamp_min(1)}

    def _in_cells(self, targets: dict[str, Any]) -> Tensor:
        """Return N x K x 3 true points with x, y in cells of the heat maps; visibility 0 in images without any."""
        points = largest_poses(targets["boxes"], targets["keypoints"], len(self.labels.keypoints))
        return torch.cat([points[..., :2] / self.stride - 0.5, points[..., 2:]], -1)

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """Return one object per image: each key point at the peak of its map, with the peak's height as score."""
        read = numbers(read_heatmaps(outputs.float()))
        places, sure = (read[..., :2] + 0.5) * self.stride, read[..., 2:].clip(0, 1)
        said = []
        for own, score, placement in zip(places, sure, placements, strict=True):
            edges = np.array([placement.width, placement.height], np.float32)
            within = placement.into_original(own).clip(0, edges)
            said.append(Prediction(keypoints=np.concatenate([within, score], -1)[None]))
        return said

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """PCK at 0.2, average precision of COCO's key point similarity, mean distance in original pixels."""
        actual = _poses(truth, len(self.labels.keypoints))
        said = np.stack([_pose(prediction) for prediction in predictions]).astype(np.float64)
        apart = distances(actual.points, said)
        lengths = reference_lengths(actual.points, actual.boxes, self.labels.keypoints)
        near = near_points(apart, lengths)
        labelled, right, error = (~np.isnan(apart)).sum(1), near.sum(1), np.nansum(apart, 1)
        total = max(1, int(labelled.sum()))
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "told": [_told(*own) for own in zip(labelled, right, error, strict=True)],
                "score": np.where(labelled > 0, right / np.maximum(labelled, 1), 1.0),
                "points": labelled,
                "near": right,
                "error": error,
                "similarity": similarities(apart, actual.boxes, actual.areas),
                "confidence": said[..., 2].mean(1),
                "keypoints": list(said.reshape(len(said), -1)),
            }
        )
        of = curves(matches_of(rows))
        averages = np.zeros(1) if of is None else of.average_precision
        values: dict[str, Any] = {
            "pck": float(right.sum() / total),
            "mean_error": float(error.sum() / total),
            "oks_ap": float(averages.mean()),
            "oks_ap50": float(averages[0]),
        }
        tables = {
            "per_joint": per_joint(self.labels.keypoints, apart, near),
            "near_curve": near_curve(apart, lengths),
        }
        return Measurement("pck", values, rows, tables)


def largest_poses(boxes: Sequence[Tensor], keypoints: Sequence[Tensor], count: int) -> Tensor:
    """Return N x `count` x 3: the points of each image's largest object with labelled points; zeros without one."""
    poses = torch.zeros(len(boxes), count, 3, device=boxes[0].device)
    for place, (own, points) in enumerate(zip(boxes, keypoints, strict=True)):
        if points.numel():  # 0 also where no image of the split has key points
            areas = (own[:, 2:] - own[:, :2]).prod(1) + 1
            poses[place] = points[(areas * (points[..., 2] > 0).any(1)).argmax()]
    return poses


@dataclass(frozen=True)
class _Poses:
    """One person per image: points N x K x 3, boxes N x 4, areas of N, None if unknown; zeros without a person."""

    points: _FLOAT64
    boxes: _FLOAT64
    areas: list[float | None]


def _poses(truth: pd.DataFrame, count: int) -> _Poses:
    poses = _Poses(np.zeros((len(truth), count, 3)), np.zeros((len(truth), 4)), [None] * len(truth))
    columns = (truth[name] for name in ("boxes", "keypoints", "iscrowd", "area"))
    for place, (boxes, keypoints, crowds, areas) in enumerate(zip(*columns, strict=True)):
        if keypoints is None or not len(keypoints):
            continue
        points = np.asarray([[list(point) for point in own] for own in keypoints], np.float64)
        known = list(crowds) if crowds is not None and len(crowds) else [False] * len(points)
        unlabelled = (points[..., 2] == 0).all(1).tolist()
        largest = largest_object(boxes, [crowd or nothing for crowd, nothing in zip(known, unlabelled, strict=True)])
        if largest is not None:
            poses.points[place], poses.boxes[place] = points[largest], boxes[largest]
            poses.areas[place] = float(areas[largest]) if areas is not None and len(areas) else None
    return poses


def _pose(prediction: Prediction) -> FLOAT32:
    assert prediction.keypoints is not None
    pose: FLOAT32 = prediction.keypoints[0]
    return pose


def _told(labelled: int, near: int, error: float) -> str:
    if not labelled:
        return "no points"
    return f"{labelled} points → {near} near, {error / labelled:.1f} px apart"
