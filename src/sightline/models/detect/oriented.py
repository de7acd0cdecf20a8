"""FCOS for oriented boxes: every point predicts classes, a turned rectangle, and how central it is in that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.detection.fcos import FCOS, FCOSHead, FCOSRegressionHead
from torchvision.ops import sigmoid_focal_loss

from sightline.data import rectangles as turned
from sightline.models.classify.hub import Weights
from sightline.models.detect.anchors import StrideAnchors
from sightline.models.detect.dense_detector import BOX_CODES, DenseDetector
from sightline.models.detect.feature_pyramid import Body, build_pyramid
from sightline.models.detect.gaussians import CODES, decode, encode, gaussian_loss, mirrored
from sightline.models.processes import joint_mean

_RADIUS = 1.5  # strides: points so near to a centre belong to the object (Tian et al. 2020, centre sampling)
_LEAST_REACH, _MOST_REACH = 4.0, 8.0  # strides: half the longer side of the objects of a map
_LEAST_SIDE = 2**0.5  # strides: of so large a square there is a point in it, however it is turned
_CANDIDATES = 1000  # of an image, before suppression


class _Regression(FCOSRegressionHead):  # type: ignore[misc]  # torchvision has no annotations
    """torchvision's, with the codes of a turned rectangle in place of four distances."""

    def __init__(self, width: int, convs: int) -> None:
        super().__init__(width, 1, convs)
        layer = nn.Conv2d(width, CODES, 3, 1, 1)
        assert layer.bias is not None
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
        self.bbox_reg = layer

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps N x C x H x W -> N x A x 5 codes and N x A x 1 logits of centre-ness."""
        seen = [self.conv(one) for one in maps]
        codes, central = ([layer(one).flatten(2) for one in seen] for layer in (self.bbox_reg, self.bbox_ctrness))
        return torch.cat(codes, 2).transpose(1, 2), torch.cat(central, 2).transpose(1, 2)


class OrientedFcos(DenseDetector):
    """FCOS (Tian et al. 2019, arXiv:1904.01355) for turned rectangles.

    An object belongs to the points in it within 1.5 strides of its centre, on the map whose range half its longer side
    is in: 4 to 8 strides, and below and above on the finest and the coarsest map. Of objects at one point the smallest
    is learned. Centre-ness is measured along the object's own sides.
    """

    def __init__(
        self, body: Body, top: Any, channels: int, size: int, *, threshold: float, nms_iou: float, most: int
    ) -> None:
        super().__init__(body, top, channels, size)
        self.threshold, self.nms_iou, self.most = threshold, nms_iou, most
        sides = self.anchors[:, 2] - self.anchors[:, 0]
        reach = torch.stack([_LEAST_REACH * sides, _MOST_REACH * sides], 1)
        reach[: self.per_map[0], 0] = 0
        reach[-self.per_map[-1] :, 1] = float("inf")
        self.register_buffer("points", (self.anchors[:, :2] + self.anchors[:, 2:]) / 2, persistent=False)
        self.register_buffer("sides", sides, persistent=False)
        self.register_buffer("reach", reach, persistent=False)

    points: Tensor
    sides: Tensor
    reach: Tensor

    def _turned_codes(self, codes: Tensor) -> Tensor:
        return mirrored(codes)

    def _losses(self, targets: list[Any], outputs: dict[str, Tensor], anchors: list[Tensor]) -> list[Tensor]:
        logits, codes, central = (outputs[name] for name in ("cls_logits", BOX_CODES, "bbox_ctrness"))
        wanted, labels, nearness = self._assigned(targets)
        positive = labels >= 0
        count = positive.sum()
        classes = F.one_hot(labels.clamp_min(0), logits.shape[2]) * positive[..., None]
        losses = [
            sigmoid_focal_loss(logits, classes.to(logits.dtype), reduction="sum"),
            gaussian_loss(codes[positive], wanted[positive]).sum(),
            F.binary_cross_entropy_with_logits(central[..., 0][positive], nearness[positive], reduction="sum"),
        ]
        return [joint_mean(loss / count.clamp_min(1), count) for loss in losses]

    def _assigned(self, targets: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Return N x A x 5 wanted codes, N x A class ids, -1 of background, and N x A centre-ness in 0..1."""
        codes, labels, nearness = [], [], []
        for own in targets:
            place, central = self._owners(own["boxes"])
            some = own["boxes"].new_tensor([[0.0, 0, 1, 1, 0]]) if not len(own["boxes"]) else own["boxes"]
            label = own["labels"].new_zeros(1) if not len(own["labels"]) else own["labels"]
            codes.append(encode(some[place.clamp_min(0)], self.points, self.sides))
            labels.append(torch.where(place >= 0, label[place.clamp_min(0)], -1))
            nearness.append(central)
        return torch.stack(codes), torch.stack(labels), torch.stack(nearness)

    def _owners(self, rectangles: Tensor) -> tuple[Tensor, Tensor]:
        """G x 5 rectangles -> the place of each of A points' object, -1 without one, and A times its centre-ness."""
        count = len(self.points)
        if not len(rectangles):
            return torch.full((count,), -1, device=self.points.device), self.points.new_zeros(count)
        apart = self.points[:, None] - rectangles[None, :, :2]
        cosine, sine = rectangles[:, 4].cos(), rectangles[:, 4].sin()
        along = torch.stack(
            [apart[..., 0] * cosine + apart[..., 1] * sine, apart[..., 1] * cosine - apart[..., 0] * sine], -1
        )
        half = torch.maximum(rectangles[None, :, 2:4], _LEAST_SIDE * self.sides[:, None, None]) / 2  # A x G x 2
        reach = rectangles[None, :, 2] / 2
        own = (
            (along.abs() <= half).all(-1)
            & (apart.abs().amax(-1) < _RADIUS * self.sides[:, None])
            & (reach >= self.reach[:, :1])
            & (reach < self.reach[:, 1:])
        )
        sizes = torch.where(own, rectangles[None, :, 2] * rectangles[None, :, 3], float("inf"))
        smallest, place = sizes.min(1)
        rows = torch.arange(count, device=place.device)
        ahead, behind = (half + along)[rows, place], (half - along)[rows, place]  # distances from opposite edges
        shares = torch.minimum(ahead, behind) / torch.maximum(ahead, behind)
        central = shares.clamp_min(0).prod(1).sqrt()  # Tian et al. 2019, equation 3
        return torch.where(smallest.isfinite(), place, -1), central

    def detections(self, outputs: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Decode rectangles, and suppress those that overlap a more confident one of their class.

        Returns:
            For each image `corners` n x 4 x 2 and the `boxes` around them n x 4 xyxy in pixels of the input, `labels`
            n, `scores` n in 0..1, highest score first.
        """
        logits, codes, central = (outputs[name].float() for name in ("cls_logits", BOX_CODES, "bbox_ctrness"))
        scores = (logits.sigmoid() * central.sigmoid()).sqrt().flatten(1)
        rectangles = decode(codes, self.points, self.sides)
        best, places = scores.topk(min(_CANDIDATES, scores.shape[1]))
        return [self._chosen(*own, logits.shape[2]) for own in zip(best, places, rectangles, strict=True)]

    def _chosen(self, scores: Tensor, places: Tensor, rectangles: Tensor, classes: int) -> dict[str, Tensor]:
        sure = scores > self.threshold
        scores, places = scores[sure], places[sure]
        corners = turned.corners_of(rectangles[places // classes].cpu().numpy())
        labels = places % classes
        kept = turned.kept_by_suppression(corners, scores.cpu().numpy(), labels.cpu().numpy(), self.nms_iou, self.most)
        device = scores.device
        index = torch.from_numpy(kept).to(device)
        return {
            "corners": torch.from_numpy(np.ascontiguousarray(corners[kept])).to(device),
            "boxes": torch.from_numpy(turned.hulls(corners[kept])).to(device),
            "labels": labels[index],
            "scores": scores[index],
        }


def build_oriented_fcos(
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
) -> OrientedFcos:
    """Build FCOS for oriented boxes over a classifier's body; arguments and errors are those of `build_fcos`."""
    body, pyramid = build_pyramid(backbone, channels, size, strides, width, weights)
    head = FCOSHead(width, 1, classes, head_convs)
    head.regression_head = _Regression(width, head_convs)
    top = FCOS(pyramid, classes, anchor_generator=StrideAnchors(strides, (1.0,), (1.0,)), head=head)
    return OrientedFcos(body, top, channels, size, threshold=score_threshold, nms_iou=nms_iou, most=max_objects)
