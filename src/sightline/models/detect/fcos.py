"""FCOS: a detector in one stage, without anchors of several shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOS, FCOSHead

from sightline.models.classify.hub import Weights
from sightline.models.detect.anchors import USUAL, StrideAnchors
from sightline.models.detect.dense_detector import DenseDetector
from sightline.models.detect.feature_pyramid import build_pyramid
from sightline.models.processes import joint_mean


class _Head(FCOSHead):  # type: ignore[misc]  # torchvision has no annotations
    """torchvision's, whose losses are means over the points with an object, here over those of all processes.

    Boxes begin with the usual size. torchvision lets them begin with none, where the rectifier behind the distances
    passes no gradient to every second one; with few steps, many classes and small objects they may never grow.
    """

    def __init__(self, width: int, anchors: int, classes: int, convs: int) -> None:
        super().__init__(width, anchors, classes, convs)
        torch.nn.init.constant_(self.regression_head.bbox_reg.bias, USUAL)

    def compute_loss(
        self, targets: list[Any], head_outputs: dict[str, Tensor], anchors: list[Tensor], matched_idxs: list[Tensor]
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = super().compute_loss(targets, head_outputs, anchors, matched_idxs)
        points = torch.stack([(own >= 0).sum() for own in matched_idxs]).sum()
        return {name: joint_mean(loss, points) for name, loss in losses.items()}


class Fcos(DenseDetector):
    """FCOS (Tian et al. 2019; with centre-ness next to the box, 2020) as in torchvision.

    Each point predicts classes, its distances from the four edges of the box in strides, and how central it is. A
    box belongs to the points within 1.5 strides of its centre, on the map whose range its sides are in: 4 to 8 strides,
    and below and above on the finest and the coarsest map.
    """

    def _turned_codes(self, codes: Tensor) -> Tensor:
        left, top, right, bottom = codes.unbind(2)
        return torch.stack([right, top, left, bottom], 2)

    def _losses(self, targets: list[Any], outputs: dict[str, Tensor], anchors: list[Tensor]) -> list[Tensor]:
        return list(self.head.compute_loss(targets, outputs, anchors, self.per_map).values())


def build_fcos(
    backbone: str,
    channels: int,
    size: int,
    classes: int,
    weights: Weights,
    *,
    width: int,
    strides: Sequence[int],
    head_convs: int,
    score_threshold: float,
    nms_iou: float,
    max_objects: int,
) -> Fcos:
    """Build FCOS over a classifier's body; all but the body is random.

    Args:
        backbone: `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        classes: K.
        weights: of the backbone: `random`, `pretrained` (from the hub), or a file.
        width: channels of pyramid and heads, a multiple of 32, the groups of their normalisation.
        strides: of the pyramid's maps, ascending, each twice the one before.
        head_convs: convolutions of each head before its last.
        score_threshold: objects with a lower score are dropped.
        nms_iou: of two objects of a class with a larger IoU, only the more confident one is kept.
        max_objects: per image.

    Raises:
        UserError: a backbone without such maps, or weights that do not fit.
    """
    body, pyramid = build_pyramid(backbone, channels, size, strides, width, weights)
    top = FCOS(
        pyramid,
        classes,
        anchor_generator=StrideAnchors(strides, (1.0,), (1.0,)),
        head=_Head(width, 1, classes, head_convs),
        score_thresh=score_threshold,
        nms_thresh=nms_iou,
        detections_per_img=max_objects,
    )
    return Fcos(body, top, channels, size)
