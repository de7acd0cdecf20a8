"""Key points as heat maps: a network that draws them, the maps that it learns from, and points read from maps.

Coordinates are in cells of a map; the middle of the first cell is (0, 0).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.models.detect.feature_pyramid import Body

_LEAST = 1e-10  # below it a map's logarithm would have no end


class HeatmapNetwork(nn.Module):
    """A body and transposed convolutions that double its one map until a cell is `stride` pixels wide.

    Xiao, Wu and Wei 2018, "Simple baselines for human pose estimation and tracking", section 2: 4 x 4 kernels, each
    with batch normalisation and ReLU, then a 1 x 1 convolution to K maps. There `width` is 256.

    Args:
        body: makes one map.
        points: K.
        width: channels between.
        stride: pixels per cell of the heat maps.
    """

    def __init__(self, body: Body, points: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        layers: list[nn.Module] = []
        (inputs,), (at,) = body.widths, body.strides
        while at > stride:
            enlarge = nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False)
            nn.init.normal_(enlarge.weight, std=0.001)
            layers += [enlarge, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs, at = width, at // 2
        last = nn.Conv2d(inputs, points, 1)
        nn.init.normal_(last.weight, std=0.001)
        self.body = body
        self.head = nn.Sequential(*layers, last)

    def forward(self, images: Tensor) -> Tensor:
        """N x C x S x S -> N x K x H x H, H = S / `stride` rounded up."""
        maps: Tensor = self.head(self.body(images)[0])
        height, width = (-(-int(side) // self.stride) for side in images.shape[-2:])
        # Odd sides make more cells than the image has: those beyond its edge are cut off.
        return F.pad(maps, (0, width - maps.shape[-1], 0, height - maps.shape[-2]))


def draw_heatmaps(points: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """... x 2 points x, y -> ... x `height` x `width` maps exp(-d^2 / 2 sigma^2), d the distance to the point in cells.

    The point itself is the centre, not the nearest cell (Zhang et al. 2020, section 3.2).
    """
    rows = torch.arange(height, dtype=points.dtype, device=points.device)
    columns = torch.arange(width, dtype=points.dtype, device=points.device)
    across = torch.exp(-((columns - points[..., :1]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((rows - points[..., 1:]) ** 2) / (2 * sigma**2))
    return down[..., :, None] * across[..., None, :]


def read_heatmaps(maps: Tensor) -> Tensor:
    """N x K x H x W maps -> N x K x 3: x, y of each one's peak, finer than a cell, and its height.

    One Newton step on the map's logarithm, a parabola where the map is a Gaussian, goes from the highest cell to the
    peak (DARK; Zhang et al. 2020, "Distribution-aware coordinate representation for human pose estimation", equations 5
    to 8). Before it the map is smoothed, here by 3 x 3 cells only: the paper's kernel, as wide as the Gaussian, would
    move peaks near the border. Where the logarithm is not curved like a peak, the cell stays.

    Args:
        maps: H and W at least 3.
    """
    height, width = maps.shape[-2:]
    highest = maps.flatten(2).amax(-1)
    logs = _smoothed(maps).clamp_min(_LEAST).log()
    place = logs.flatten(2).argmax(-1)
    x = (place % width).clamp(1, width - 2)  # a step needs both neighbours
    y = (place // width).clamp(1, height - 2)

    def at(right: int, below: int) -> Tensor:
        return logs.flatten(2).gather(2, ((y + below) * width + x + right)[..., None])[..., 0]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy**2
    peaked = (dxx < 0) & (determinant > _LEAST)
    divisor = torch.where(peaked, determinant, 1.0)
    step_x = torch.where(peaked, (dxy * dy - dyy * dx) / divisor, 0.0).clamp(-1.5, 1.5)
    step_y = torch.where(peaked, (dxy * dx - dxx * dy) / divisor, 0.0).clamp(-1.5, 1.5)
    return torch.stack([x + step_x, y + step_y, highest], -1)


def _smoothed(maps: Tensor) -> Tensor:
    """N x K x H x W -> the same, each map convolved with 1 2 1 in both directions; its edge goes on outside."""
    profile = torch.tensor([0.25, 0.5, 0.25], dtype=maps.dtype, device=maps.device)
    single = F.pad(maps.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(single, torch.outer(profile, profile)[None, None]).view_as(maps)
