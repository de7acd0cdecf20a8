"""What the second stage of Mask R-CNN learns from: boxes of all objects, and masks of those that have one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import fastrcnn_loss, maskrcnn_loss


def masked_losses(
    heads: Any, maps: dict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]], targets: list[Any]
) -> dict[str, Tensor]:
    """Return the losses of classes, boxes and masks, as torchvision's `RoIHeads.forward` does.

    There an object whose outline is not known, and whose mask is therefore empty, would be learned as one without
    pixels. Here its box and class are learned, but no mask.

    Args:
        heads: torchvision's RoIHeads with a branch for masks, in training.
        maps: maps of the pyramid by name, N x C x H x W float32.
        proposals: N tensors p x 4, xyxy in pixels of the input.
        sizes: height and width of each image.
        targets: of each image `boxes` n x 4, `labels` n in 1..K, and `masks` n x S x S, 0/1.
    """
    proposals, matched, labels, offsets = heads.select_training_samples(proposals, targets)
    scores, regressed = heads.box_predictor(heads.box_head(heads.box_roi_pool(maps, proposals, sizes)))
    class_loss, box_loss = fastrcnn_loss(scores, regressed, labels, offsets)
    outlined = [target["masks"].flatten(1).any(1).bool() for target in targets]
    # matched is 0 for background too, also in an image without an object
    learnt = [
        torch.where((label > 0) & (own[match] if len(own) else False))[0]
        for label, match, own in zip(labels, matched, outlined, strict=True)
    ]
    looked_at = [own[place] for own, place in zip(proposals, learnt, strict=True)]
    drawn = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(maps, looked_at, sizes)))
    mask_loss = maskrcnn_loss(
        drawn,
        looked_at,
        [target["masks"] for target in targets],
        [target["labels"] for target in targets],
        [own[place] for own, place in zip(matched, learnt, strict=True)],
    )
    return {"loss_classifier": class_loss, "loss_box_reg": box_loss, "loss_mask": mask_loss}
