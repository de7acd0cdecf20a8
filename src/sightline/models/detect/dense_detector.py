"""Detectors in one stage: at every point of a pyramid they predict classes and a box."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from sightline.models.detect.feature_pyramid import Body

BOX_CODES = "bbox_regression"  # the one of torchvision's outputs that is no logit


class DenseDetector(nn.Module, ABC):
    """A body with one of torchvision's detectors on top, used without its resizing of images.

    Args:
        body: its maps go into the detector's `backbone`, the pyramid.
        top: torchvision's FCOS or RetinaNet.
        channels: of the input.
        size: height and width of the input, pixels; the anchors belong to it.
    """

    def __init__(self, body: Body, top: Any, channels: int, size: int) -> None:
        super().__init__()
        self.body = body
        self.head = top  # with the pyramid, all that is new when the body comes pretrained
        self.size = size
        body.eval()  # one image must not change the statistics of batch normalisation
        with torch.no_grad():
            images = torch.zeros(1, channels, size, size)
            maps = list(top.backbone(body(images)).values())
            [anchors] = top.anchor_generator(ImageList(images, [(size, size)]), maps)
        body.train()
        [self.per_point] = set(top.anchor_generator.num_anchors_per_location())
        self.per_map = [one.shape[2] * one.shape[3] * self.per_point for one in maps]
        self.register_buffer("anchors", anchors, persistent=False)

    anchors: Tensor

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """N x C x S x S float32 -> what the heads say of A anchors: N x A x K logits, N x A x 4 box codes, and more."""
        maps = self.head.backbone(self.body(images))
        outputs: dict[str, Tensor] = self.head.head(list(maps.values()))
        return outputs

    def loss(self, outputs: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        """Sum of the losses of classes and boxes, in float32.

        Args:
            outputs: of `forward`.
            boxes: N tensors n x 4 float32 xyxy, in pixels of the input.
            labels: N tensors n int64, 0..K-1.
        """
        targets = [{"boxes": own, "labels": label} for own, label in zip(boxes, labels, strict=True)]
        with torch.autocast(self.anchors.device.type, enabled=False):
            return torch.stack(self._losses(targets, _wide(outputs), [self.anchors] * len(targets))).sum()

    @abstractmethod
    def _losses(self, targets: list[Any], outputs: dict[str, Tensor], anchors: list[Tensor]) -> list[Tensor]:
        """Return the single losses."""

    def turned(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the heads said of mirrored images as if they had said it of the images.

        The sides of the maps must divide that of the input, so that mirrored points are points again.
        """
        found: dict[str, Tensor] = {}
        for name, values in outputs.items():
            maps = []
            for own in torch.split(values, self.per_map, 1):
                side = math.isqrt(own.shape[1] // self.per_point)
                grid = own.reshape(
                    -1, side, side, self.per_point, own.shape[2]
                )  # any number of images, also as a graph
                maps.append(grid.flip(2).flatten(1, 3))
            found[name] = torch.cat(maps, 1)
        return found | {BOX_CODES: self._turned_codes(found[BOX_CODES])}

    @abstractmethod
    def _turned_codes(self, codes: Tensor) -> Tensor:
        """N x A x 4 codes of boxes -> those of the mirrored boxes."""

    def detections(self, outputs: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Decode boxes, and suppress those that overlap a more confident one of their class.

        Returns:
            For each image `boxes` n x 4 xyxy in pixels of the input, `labels` n, `scores` n in 0..1, highest score
            first.
        """
        split = {name: torch.split(values, self.per_map, 1) for name, values in _wide(outputs).items()}
        count = len(next(iter(outputs.values())))
        anchors = [torch.split(self.anchors, self.per_map)] * count
        found: list[dict[str, Tensor]] = self.head.postprocess_detections(
            split, anchors, [(self.size, self.size)] * count
        )
        return found


def _wide(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.float() for name, values in outputs.items()}
