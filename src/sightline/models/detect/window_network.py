"""A network that scores every window of an image, and the windows that its classifier learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import box_iou, roi_align

from sightline.models.classify.layers import set_outputs
from sightline.models.detect.sliding_window import WindowGrid, window_scores
from sightline.models.processes import joint_mean
from sightline.system.errors import UserError

_CLEAR = 0.3  # IoU with an object from which on a window is not background
_COPIES = 3  # windows that are drawn around each object
_SHIFT, _ZOOM = 0.12, 0.15  # of these: largest shift as a share of the side, largest logarithm of the side's factor
_OTHERS = 16  # windows that are drawn anywhere in an image


class WindowNetwork(nn.Module):
    """Scores every window of an image; N x C x S x S -> N x W x (K + 1), background last.

    Args:
        classifier: M x C x `window` x `window` -> M x (K + 1).
        grid: of windows.
        size: S.
    """

    def __init__(self, classifier: nn.Module, grid: WindowGrid, size: int) -> None:
        super().__init__()
        self.classifier, self.grid, self.size = classifier, grid, size
        self.register_buffer("boxes", grid.boxes(size, size), persistent=False)

    boxes: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """N x C x S x S -> N x W x (K + 1)."""
        return window_scores(self.classifier, images, self.grid)

    def look(self, images: Tensor, windows: Sequence[Tensor]) -> Tensor:
        """Score chosen windows, as `forward` would if they were in the grid.

        Args:
            images: N x C x S x S.
            windows: for each image M x 4 squares, xyxy.

        Returns:
            The windows of all images after each other, x (K + 1).
        """
        side = self.grid.window
        # One sample per pixel, in its middle: what `interpolate` takes.
        scores: Tensor = self.classifier(roi_align(images, list(windows), side, sampling_ratio=1, aligned=True))
        return scores

    def draw_windows(
        self, boxes: Sequence[Tensor], labels: Sequence[Tensor], background: int
    ) -> tuple[list[Tensor], Tensor]:
        """Draw windows to learn from, with torch's own generator: some around each object, others anywhere.

        Args:
            boxes: for each image G x 4 true boxes.
            labels: for each image G class ids.
            background: the id of what is not an object.

        Returns:
            For each image M x 4 windows, and the classes of all of them, from `label_windows`.
        """
        drawn, told = [], []
        for own, label in zip(boxes, labels, strict=True):
            near = _jittered(squares(own).repeat_interleave(_COPIES, 0), self.size)
            windows = torch.cat([near, self._anywhere(own.device)])
            known = label_windows(windows, own, label, background)
            known[: len(near)] = label.repeat_interleave(_COPIES)
            drawn.append(windows)
            told.append(known)
        return drawn, torch.cat(told)

    def _anywhere(self, device: torch.device) -> Tensor:
        """Return squares of the grid's sides at random places."""
        sides = self.boxes[:, 2] - self.boxes[:, 0]
        side = sides[torch.randint(len(sides), (_OTHERS,), device=device)]
        corner = torch.rand(_OTHERS, 2, device=device) * (self.size - side)[:, None]
        return torch.cat([corner, corner + side[:, None]], 1)


def add_background(classifier: nn.Module, head: str) -> None:
    """Give a classifier of K classes one output more; what it knows of the K classes stays.

    Args:
        classifier: changed in place.
        head: name of its last layer.

    Raises:
        UserError: the last layer is neither linear nor a 1 x 1 convolution.
    """
    old: Any = classifier.get_submodule(head)
    try:
        new = set_outputs(classifier, head, len(old.weight) + 1)
    except (AttributeError, TypeError):
        raise UserError(
            f"task.architecture: its last layer is {type(old).__name__}, which cannot be extended by a "
            "background class; use a network that ends in a linear layer, e.g. mnist_cnn"
        ) from None
    with torch.no_grad():
        new.weight[:-1] = old.weight
        if new.bias is not None:
            new.bias[:-1] = old.bias


def squares(boxes: Tensor) -> Tensor:
    """G x 4 boxes -> G x 4 squares around their centres, as wide as their larger side: the window that fits best."""
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    return torch.cat([centre - side / 2, centre + side / 2], 1)


def label_windows(windows: Tensor, boxes: Tensor, labels: Tensor, background: int) -> Tensor:
    """Return M class ids: of the object that a window overlaps by half, `background` below 0.3, and -1 between.

    Overlaps are those with the squares around objects, so that narrow objects have windows too.

    Args:
        windows: M x 4.
        boxes: G x 4 true boxes.
        labels: G class ids.
        background: the id of what is not an object.
    """
    if not len(boxes):
        return torch.full((len(windows),), background, device=windows.device)
    overlap, place = box_iou(windows, squares(boxes)).max(1)
    told = labels[place]
    told[overlap < 0.5] = -1
    told[overlap < _CLEAR] = background
    return told


def hardest_loss(scores: Tensor, labels: Tensor, background: int, ratio: int = 3) -> Tensor:
    """Mean cross entropy of windows with objects and of the background windows that are most like objects.

    There are at most `ratio` times as many of the latter (Liu et al. 2016, section 2.2: hard negative mining).

    Args:
        scores: M x (K + 1).
        labels: M class ids, -1 where a window is neither.
        background: the id of what is not an object.
        ratio: windows without an object for each one with; as many for an image without any object at all.
    """
    losses = F.cross_entropy(scores.float(), labels.clamp_min(0), reduction="none")
    objects = losses[(labels >= 0) & (labels != background)]
    others = losses[labels == background]
    hardest = others.topk(min(len(others), ratio * max(1, len(objects)))).values
    counted = torch.cat([objects, hardest])
    return joint_mean(counted.mean(), len(counted))


def _jittered(windows: Tensor, size: int) -> Tensor:
    """Shift and zoom squares at random, within the image of `size` x `size` pixels."""
    draws = 2 * torch.rand(len(windows), 3, device=windows.device) - 1
    side = (windows[:, 2:3] - windows[:, :1]) * torch.exp(_ZOOM * draws[:, 2:])
    side = side.clamp_max(size)
    centre = (windows[:, :2] + windows[:, 2:]) / 2 + _SHIFT * draws[:, :2] * side
    corner = torch.minimum((centre - side / 2).clamp_min(0), size - side)
    return torch.cat([corner, corner + side], 1)
