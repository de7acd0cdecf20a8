"""RetinaNet: a detector in one stage, with nine anchors at each point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead

from sightline.models.classify.hub import Weights
from sightline.models.detect.anchors import StrideAnchors
from sightline.models.detect.dense_detector import DenseDetector
from sightline.models.detect.feature_pyramid import build_pyramid
from sightline.models.processes import joint_mean

_OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # Lin et al. 2017, section 4.1
_RATIOS = (0.5, 1.0, 2.0)


class DenseRetinaNet(DenseDetector):
    """RetinaNet (Lin et al. 2017, Focal Loss for Dense Object Detection) of torchvision, with group normalisation."""

    def _turned_codes(self, codes: Tensor) -> Tensor:
        x, y, width, height = codes.unbind(2)
        return torch.stack([-x, y, width, height], 2)

    def _losses(self, targets: list[Any], outputs: dict[str, Tensor], anchors: list[Tensor]) -> list[Tensor]:
        losses = self.head.compute_loss(targets, outputs, anchors)  # means over images
        return [joint_mean(loss, len(targets)) for loss in losses.values()]


def build_retinanet(
    backbone: str,
    channels: int,
    size: int,
    classes: int,
    weights: Weights,
    *,
    width: int,
    strides: Sequence[int],
    head_convs: int,
    anchor_scale: float,
    score_threshold: float,
    nms_iou: float,
    max_objects: int,
) -> DenseRetinaNet:
    """Build RetinaNet over a classifier's body; all but the body is random.

    Arguments and errors are those of `build_fcos`; `head_convs` is 4 at most, and `anchor_scale` the side of a map's
    smallest anchor, in strides.
    """
    body, pyramid = build_pyramid(backbone, channels, size, strides, width, weights)
    anchors = StrideAnchors(strides, [anchor_scale * part for part in _OCTAVE], _RATIOS)
    [per_point] = set(anchors.num_anchors_per_location())
    head = RetinaNetHead(width, per_point, classes, norm_layer=partial(nn.GroupNorm, 32))
    for part in (head.classification_head, head.regression_head):
        part.conv = part.conv[:head_convs]
    top = RetinaNet(
        pyramid,
        classes,
        anchor_generator=anchors,
        head=head,
        score_thresh=score_threshold,
        nms_thresh=nms_iou,
        detections_per_img=max_objects,
    )
    return DenseRetinaNet(body, top, channels, size)
