"""A classifier that looks at an image through a window, at every place and in several sizes of the image.

The way to find objects before networks told boxes themselves: Rowley, Baluja and Kanade 1998, "Neural network-based
face detection". Images are enlarged or shrunk, windows keep their size, and a window is the box of what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import batched_nms, box_iou, roi_align

from sightline.errors import UserError

_CLEAR = 0.3  # overlap with an object from which on a window is no background
_COPIES = 3  # windows that are drawn around each object
_SHIFT, _ZOOM = 0.12, 0.15  # of these: largest shift as a share of the side, largest logarithm of the side's factor
_OTHERS = 16  # windows that are drawn anywhere in an image


@dataclass(frozen=True)
class WindowGrid:
    """Where windows are: `stride` pixels apart in each size of the image in which a window has room.

    Attributes:
        window: side of a window, pixels.
        stride: from a window to the next, pixels of the scaled image.
        scales: sizes of the image as factors; None means 1, `scale_step`, its square and so on.
        scale_step: factor from each size to the next, below 1.
    """

    window: int
    stride: int
    scales: Sequence[float] | None = None
    scale_step: float = 0.75

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return heights and widths of the scaled images.

        Raises:
            UserError: a window has no room in any of them.
        """
        scales = self.scales
        if scales is None:
            scales, at = [], 1.0
            while min(height, width) * at >= self.window:
                scales.append(at)
                at *= self.scale_step
        sizes = [(round(height * scale), round(width * scale)) for scale in scales]
        kept = [size for size in sizes if min(size) >= self.window]
        if not kept:
            raise UserError(
                f"task.window: {self.window}: larger than the image, {height} x {width} px, at each of task.scales; "
                "lower task.window or raise task.scales"
            )
        return kept

    def boxes(self, height: int, width: int) -> Tensor:
        """Return the W windows as W x 4 xyxy boxes in pixels of the image, in the order of `window_scores`."""
        boxes = []
        for scaled_height, scaled_width in self.sizes(height, width):
            tops = torch.arange(0, scaled_height - self.window + 1, self.stride)
            lefts = torch.arange(0, scaled_width - self.window + 1, self.stride)
            top, left = (places.flatten() for places in torch.meshgrid(tops, lefts, indexing="ij"))
            corners = torch.stack([left, top, left + self.window, top + self.window], 1)
            factor = torch.tensor([width / scaled_width, height / scaled_height] * 2)
            boxes.append(corners * factor)
        return torch.cat(boxes)


def window_scores(classifier: nn.Module, images: Tensor, grid: WindowGrid) -> Tensor:
    """N x C x H x W images -> N x W x K: what a classifier says of each window.

    Args:
        classifier: M x C x `window` x `window` -> M x K.
        images: as the classifier takes them.
        grid: of windows.
    """
    scores = []
    for size in grid.sizes(*images.shape[-2:]):
        scaled = F.interpolate(images, size, mode="bilinear", align_corners=False)
        windows = scaled.unfold(2, grid.window, grid.stride).unfold(3, grid.window, grid.stride)
        windows = windows.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        if torch.compiler.is_exporting():
            scores.append(classifier(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]))
        else:  # one image after the other, as the windows of many would fill the memory
            scores.append(torch.stack([classifier(own) for own in windows]))
    return torch.cat(scores, 1)


def choose_windows(
    probabilities: Tensor, boxes: Tensor, threshold: float, nms_iou: float, most: int
) -> dict[str, Tensor]:
    """Return the objects of one image as `boxes` D x 4, `labels` D and `scores` D, the surest first.

    Args:
        probabilities: W x K, of each class in each window.
        boxes: W x 4.
        threshold: least probability of an object.
        nms_iou: of two objects of a class that overlap more, the less sure one is left out.
        most: number of objects.
    """
    windows, labels = (probabilities >= threshold).nonzero(as_tuple=True)
    scores, chosen = probabilities[windows, labels], boxes[windows]
    kept = batched_nms(chosen, scores, labels, nms_iou)[:most]
    return {"boxes": chosen[kept], "labels": labels[kept], "scores": scores[kept]}


def detect(
    classifier: nn.Module,
    image: Tensor,
    grid: WindowGrid,
    *,
    threshold: float = 0.9,
    nms_iou: float = 0.3,
    most: int = 100,
) -> dict[str, Tensor]:
    """Find objects in one image with any classifier, also one that knows no background.

    Args:
        classifier: in evaluation mode; M x C x `window` x `window` -> M x K scores, of which the softmax is taken.
        image: C x H x W float32, as the classifier takes it.
        grid: of windows.
        threshold: least probability of an object. A classifier without background is sure of much that is nothing.
        nms_iou: of two objects of a class that overlap more, the less sure one is left out.
        most: number of objects.

    Returns:
        What `choose_windows` returns.

    Raises:
        UserError: a window has no room in the image.
    """
    with torch.inference_mode():
        probabilities = window_scores(classifier, image[None], grid)[0].float().softmax(1)
    boxes = grid.boxes(*image.shape[-2:]).to(image.device)
    return choose_windows(probabilities, boxes, threshold, nms_iou, most)


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
            background: the id of what is no object.

        Returns:
            For each image M x 4 windows, and the classes of all of them, as `label_windows` tells them.
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
        background: the id of what is no object.
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
        background: the id of what is no object.
        ratio: windows without an object for each one with; as many for an image without any object at all.
    """
    losses = F.cross_entropy(scores.float(), labels.clamp_min(0), reduction="none")
    objects = losses[(labels >= 0) & (labels != background)]
    others = losses[labels == background]
    hardest = others.topk(min(len(others), ratio * max(1, len(objects)))).values
    return torch.cat([objects, hardest]).mean()


def _jittered(windows: Tensor, size: int) -> Tensor:
    """Shift and zoom squares at random, within the image of `size` x `size` pixels."""
    draws = 2 * torch.rand(len(windows), 3, device=windows.device) - 1
    side = (windows[:, 2:3] - windows[:, :1]) * torch.exp(_ZOOM * draws[:, 2:])
    side = side.clamp_max(size)
    centre = (windows[:, :2] + windows[:, 2:]) / 2 + _SHIFT * draws[:, :2] * side
    corner = torch.minimum((centre - side / 2).clamp_min(0), size - side)
    return torch.cat([corner, corner + side], 1)
