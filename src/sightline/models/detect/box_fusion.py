"""Objects found in two views of an image as one list: weighted boxes fusion (Solovyev, Wang and Gabruseva 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

LEAST_IOU = 0.55  # the paper's, of boxes that are of one object
_VIEWS = 2

Objects = dict[str, Tensor]  # `boxes` D x 4, `labels` D, `scores` D


def fused(first: Objects, second: Objects, least_score: float, most: int) -> Objects:
    """Return the objects of two views, most confident first (section 3 of the paper, both views with weight 1).

    Each box, the most confident one first, joins the cluster of its class whose fused box it overlaps most, or begins
    one. A fused box is the mean of its cluster's, weighted by confidence; its confidence is their mean, times the share
    of views that have seen it.

    Args:
        first: of one view, xyxy boxes.
        second: of the other one, in the same image.
        least_score: of what is returned.
        most: number of objects.
    """
    boxes, labels, scores = (torch.cat([first[name], second[name]]) for name in ("boxes", "labels", "scores"))
    order = scores.argsort(descending=True, stable=True)
    boxes, labels, scores = boxes[order].cpu().double(), labels[order].cpu(), scores[order].cpu().double()
    sums, members = torch.zeros(len(boxes), 4).double(), torch.zeros(len(boxes), dtype=torch.long)
    weights, classes, clusters = torch.zeros(len(boxes)).double(), torch.full((len(boxes),), -1), 0
    for box, label, score in zip(boxes, labels, scores, strict=True):
        overlaps = box_iou(box[None], sums[:clusters] / weights[:clusters, None])[0]
        overlaps[classes[:clusters] != label] = 0
        best = int(overlaps.argmax()) if clusters else 0
        if not clusters or overlaps[best] <= LEAST_IOU:
            best, clusters = clusters, clusters + 1
            classes[best] = label
        sums[best] += score * box
        weights[best] += score
        members[best] += 1
    sums, weights, members, classes = sums[:clusters], weights[:clusters], members[:clusters], classes[:clusters]
    confidence = weights / members * members.clamp(max=_VIEWS) / _VIEWS
    kept = confidence.argsort(descending=True, stable=True)
    kept = kept[confidence[kept] >= least_score][:most]
    found = {"boxes": sums[kept] / weights[kept, None], "labels": classes[kept], "scores": confidence[kept]}
    return {name: values.to(first[name]) for name, values in found.items()}
