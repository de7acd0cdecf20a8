"""A classifier that looks at an image through a window, at every place and in several sizes of the image.

How objects were found before networks predicted boxes: Rowley, Baluja and Kanade 1998, "Neural network-based
face detection". Images are enlarged or shrunk, windows keep their size, and a window is the box of what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import batched_nms

from sightline.system.errors import UserError


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
                f"task.window: {self.window}: larger than the image, {height} x {width} px, at all of task.scales; "
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
    height, width = (int(side) for side in images.shape[-2:])  # numbers also where the network is traced
    for size in grid.sizes(height, width):
        scaled = F.interpolate(images, size, mode="bilinear", align_corners=False)
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            windows = _gathered(scaled, grid.window, grid.stride)
            said = classifier(windows.flatten(0, 1))
            scores.append(said.reshape(-1, int(windows.shape[1]), int(said.shape[1])))
        else:  # one image after the other, as the windows of many would fill the memory
            windows = scaled.unfold(2, grid.window, grid.stride).unfold(3, grid.window, grid.stride)
            windows = windows.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
            scores.append(torch.stack([classifier(own) for own in windows]))
    return torch.cat(scores, 1)


def _gathered(images: Tensor, window: int, stride: int) -> Tensor:
    """N x C x H x W -> N x W x C x window x window, as `unfold` twice, which exporters do not know."""
    channels, height, width = (int(side) for side in images.shape[1:])
    at = images.device
    rows, columns = (
        torch.arange(0, side - window + 1, stride, device=at)[:, None] + torch.arange(window, device=at)
        for side in (height, width)
    )
    picked = images.index_select(2, rows.flatten()).index_select(3, columns.flatten())
    windows = picked.reshape(-1, channels, len(rows), window, len(columns), window).permute(0, 2, 4, 1, 3, 5)
    return windows.reshape(-1, len(rows) * len(columns), channels, window, window)


def choose_windows(
    probabilities: Tensor, boxes: Tensor, threshold: float, nms_iou: float, most: int
) -> dict[str, Tensor]:
    """Return the objects of one image as `boxes` D x 4, `labels` D and `scores` D, most confident first.

    Args:
        probabilities: W x K, of each class in each window.
        boxes: W x 4.
        threshold: least probability of an object.
        nms_iou: of two objects of a class with a larger IoU, the less confident one is dropped.
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
        threshold: least probability of an object. Classifiers without background are confident about much of it.
        nms_iou: of two objects of a class with a larger IoU, the less confident one is dropped.
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
