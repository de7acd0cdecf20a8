"""Small networks whose explanations are known."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sightline.data.structures import UINT8, LabelMap
from sightline.tasks.classification import Classification

NAMES = tuple("abc")
LABELS = LabelMap(NAMES, NAMES)
SIZE = 32


class Largest(nn.Module):
    """N x C x H x W -> N x C, the largest of each map."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.amax((2, 3))


def colour_finder() -> Classification:
    """A network without chance: class k is where colour k is, and nothing else counts."""
    convolution = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        convolution.weight.zero_()
        for colour in range(3):
            convolution.weight[colour, colour] = 1 / 9
        assert convolution.bias is not None
        convolution.bias.fill_(-0.2)
    body = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Linear(3, 3)
    with torch.no_grad():
        head.weight.copy_(6 * torch.eye(3))
        head.bias.zero_()
    network = nn.Sequential()
    for name, module in {"body": body, "pool": Largest(), "head": head}.items():
        network.add_module(name, module)
    task = Classification(network, "head", LABELS, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return task.eval()  # type: ignore[no-any-return]


def coloured_squares(places: list[tuple[int, int, int]], size: int = SIZE, side: int = 8) -> UINT8:
    """One image per (row, column, colour): a square on black."""
    images = np.zeros((len(places), size, size, 3), np.uint8)
    for image, (row, column, colour) in zip(images, places, strict=True):
        image[row : row + side, column : column + side, colour] = 255
    return images


def inside(heat: np.ndarray, row: int, column: int, side: int = 8) -> bool:
    """Whether the largest value of an S x S map lies in a square."""
    top, left = np.unravel_index(int(heat.argmax()), heat.shape)
    return bool(row <= top < row + side and column <= left < column + side)
