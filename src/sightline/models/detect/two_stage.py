"""Detectors in two stages: they propose boxes, then look at each again (Faster R-CNN, Mask R-CNN)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from sightline.models.classify.hub import Weights
from sightline.models.detect.anchors import StrideAnchors
from sightline.models.detect.box_fusion import fused
from sightline.models.detect.feature_pyramid import Body, build_pyramid
from sightline.models.detect.second_stage import masked_losses
from sightline.models.processes import joint_mean

_RATIOS = (0.5, 1.0, 2.0)
_MAP = "map"  # before the number of a pyramid's map among the outputs
_BOX_SIDE, _MASK_SIDE = 7, 14  # points of a side at which a proposal is looked at
_UNITS = 4  # of the dense layers that look at a proposal, in channels of the pyramid; the paper has 1024 for 256
_PROPOSED_SAMPLES = 128  # anchors per image from which the first stage learns
_LOOKED_AT_SHARE = 1 / 3  # of the proposals, from which the second stage learns
_NONE = -1  # class of what only fills a batch's tensors


class _Sampler(BalancedPositiveNegativeSampler):  # type: ignore[misc]  # torchvision has no annotations
    """torchvision's random choice of what a stage learns from, which here remembers how much it chose.

    Attributes:
        chosen: of the last batch, boxes in all.
        objects: of these, those with an object.
    """

    chosen: Tensor
    objects: Tensor

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positive, negative = super().__call__(matched_idxs)
        self.objects = torch.stack([own.sum() for own in positive]).sum()
        self.chosen = self.objects + torch.stack([own.sum() for own in negative]).sum()
        return positive, negative


class TwoStageDetector(nn.Module):
    """A body with torchvision's Faster or Mask R-CNN on top, used without its resizing of images.

    torchvision's classes are 1..K, with 0 for the background; here they are 0..K-1 as everywhere.

    Args:
        body: its maps go into the detector's `backbone`, the pyramid.
        top: torchvision's detector.
        size: height and width of the input, pixels.
    """

    def __init__(self, body: Body, top: Any, size: int) -> None:
        super().__init__()
        for stage in (top.rpn, top.roi_heads):
            own = stage.fg_bg_sampler
            stage.fg_bg_sampler = _Sampler(own.batch_size_per_image, own.positive_fraction)
        self.body = body
        self.head = top  # with the pyramid, all that is new when the body comes pretrained
        self.size = size

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """N x C x S x S float32 -> the maps of the pyramid, and out of training what was detected.

        That is `boxes` N x D x 4, `labels` and `scores` N x D, and for Mask R-CNN `masks` N x D x M x M, the chance
        that a part of the box belongs to the object. Images with less than D objects are filled up with the label -1.
        """
        maps = self.head.backbone(self.body(images))
        outputs = {f"{_MAP}{name}": values for name, values in maps.items()}
        return outputs if self.training else outputs | self._detected(outputs)

    def _detected(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        images, maps = self._inputs(outputs)
        with torch.autocast(images.tensors.device.type, enabled=False):
            proposals, _ = self.head.rpn(images, maps)
            found, _ = self.head.roi_heads(maps, proposals, images.image_sizes)
        for one in found:
            one["labels"] = one["labels"] - 1
            if "masks" in one:
                one["masks"] = one["masks"][:, 0]
        return _filled(found)

    def fused(self, outputs: dict[str, Tensor], mirrored: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs for images with the objects of both views, the second of which is of mirrored images."""
        heads = self.head.roi_heads
        pairs = zip(self.detections(outputs), self.detections(mirrored), strict=True)
        found = [fused(one, self._turned(other), heads.score_thresh, heads.detections_per_img) for one, other in pairs]
        return outputs | _filled(found)

    def _turned(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        x1, y1, x2, y2 = found["boxes"].unbind(1)
        return found | {"boxes": torch.stack([self.size - x2, y1, self.size - x1, y2], 1)}

    def _inputs(self, outputs: dict[str, Tensor]) -> tuple[ImageList, dict[str, Tensor]]:
        """Return images, of which only their size is asked, and the maps in float32, by number."""
        maps = {name.removeprefix(_MAP): values.float() for name, values in outputs.items() if name.startswith(_MAP)}
        finest = next(iter(maps.values()))
        return ImageList(finest, [(self.size, self.size)] * len(finest)), maps

    def loss(
        self,
        outputs: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        masks: list[Tensor] | None = None,
    ) -> Tensor:
        """Sum of the losses of both stages, in float32, from a random choice of proposals.

        Args:
            outputs: of `forward`, of which only the maps matter.
            boxes: N tensors n x 4 float32 xyxy, in pixels of the input.
            labels: N tensors n int64, 0..K-1.
            masks: N tensors n x S x S, 0/1, for Mask R-CNN; an empty one is not learned.
        """
        images, maps = self._inputs(outputs)
        targets = [{"boxes": own, "labels": label + 1} for own, label in zip(boxes, labels, strict=True)]
        for place, own in enumerate(masks or []):
            targets[place]["masks"] = own
        stages = (self.head.rpn, self.head.roi_heads)
        before = [stage.training for stage in stages]
        for stage in stages:
            stage.train()  # torchvision computes losses only then; no layer in there differs
        with torch.autocast(images.tensors.device.type, enabled=False):
            proposals, losses = self.head.rpn(images, maps, targets)
            if masks is None:
                _, more = self.head.roi_heads(maps, proposals, images.image_sizes, targets)
            else:
                more = masked_losses(self.head.roi_heads, maps, proposals, images.image_sizes, targets)
        for stage, training in zip(stages, before, strict=True):
            stage.train(training)
        boxes_looked_at = stages[1].fg_bg_sampler
        joint = [joint_mean(loss, stages[0].fg_bg_sampler.chosen) for loss in losses.values()]
        for name, loss in more.items():  # masks are those of objects, all else is learned from all boxes
            joint.append(joint_mean(loss, boxes_looked_at.objects if name == "loss_mask" else boxes_looked_at.chosen))
        return torch.stack(joint).sum()

    def detections(self, outputs: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return each image's objects, `boxes`, `labels`, `scores` and maybe `masks`, most confident first."""
        known = {name: values for name, values in outputs.items() if not name.startswith(_MAP)}
        return [
            {name: values[place][labels != _NONE] for name, values in known.items()}
            for place, labels in enumerate(outputs["labels"])
        ]


def _filled(found: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the objects of N images as tensors N x D x ..., filled up with the label -1."""
    return {
        name: pad_sequence([own[name] for own in found], batch_first=True, padding_value=_NONE * (name == "labels"))
        for name in found[0]
    }


def build_faster_rcnn(
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
    proposals: int,
    score_threshold: float,
    nms_iou: float,
    max_objects: int,
    masks: bool = False,
) -> TwoStageDetector:
    """Build Faster R-CNN (Ren et al. 2015), or Mask R-CNN (He et al. 2017), over a classifier's body.

    Arguments and errors are those of `build_fcos`, and

    Args:
        backbone: `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        classes: K.
        weights: of the backbone.
        width: channels of pyramid and heads; the dense layers have four times as many units.
        strides: of the pyramid's maps.
        head_convs: convolutions of the part that draws masks.
        anchor_scale: side of each map's anchors, in strides.
        proposals: boxes per image that are looked at again.
        score_threshold: objects with a lower score are dropped.
        nms_iou: of two objects of a class with a larger IoU, only the more confident one is kept.
        max_objects: per image.
        masks: whether to draw a mask in each box.
    """
    body, pyramid = build_pyramid(backbone, channels, size, strides, width, weights)
    anchors = StrideAnchors(strides, (anchor_scale,), _RATIOS)
    names = [str(place) for place in range(len(strides))]
    options: dict[str, Any] = {
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(width, len(_RATIOS)),
        "rpn_batch_size_per_image": _PROPOSED_SAMPLES,
        "rpn_pre_nms_top_n_train": 2 * proposals,
        "rpn_pre_nms_top_n_test": 2 * proposals,
        "rpn_post_nms_top_n_train": proposals,
        "rpn_post_nms_top_n_test": proposals,
        "box_roi_pool": MultiScaleRoIAlign(names, _BOX_SIDE, 2),
        "box_head": TwoMLPHead(width * _BOX_SIDE**2, _UNITS * width),
        "box_predictor": FastRCNNPredictor(_UNITS * width, classes + 1),
        "box_batch_size_per_image": max(1, round(_LOOKED_AT_SHARE * proposals)),
        "box_score_thresh": score_threshold,
        "box_nms_thresh": nms_iou,
        "box_detections_per_img": max_objects,
    }
    if masks:
        options |= {
            "mask_roi_pool": MultiScaleRoIAlign(names, _MASK_SIDE, 2),
            "mask_head": MaskRCNNHeads(width, (width,) * head_convs, 1),
            "mask_predictor": MaskRCNNPredictor(width, width, classes + 1),
        }
    detector = MaskRCNN if masks else FasterRCNN
    return TwoStageDetector(body, detector(pyramid, **options), size)
