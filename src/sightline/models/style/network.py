"""A network that draws a picture in one pass, in one of several styles or a mix of them.

Sources: Johnson, Alahi and Fei-Fei 2016, "Perceptual losses for real-time style transfer and super-resolution"
(arXiv:1603.08155); Dumoulin, Shlens and Kudlur 2017, "A learned representation for artistic style" (arXiv:1610.07629).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.models.classify.hub import Weights
from sightline.models.weights import load_strictly, read_weights
from sightline.system.errors import UserError

_ENDS = 9  # pixels of the first and the last kernel, as in both papers


class ConditionalNorm(nn.Module):
    """Instance normalisation whose scale and shift belong to a style (Dumoulin et al. 2017, equation 5).

    A mix of styles has the mix of their scales and shifts (their section 3.3).
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(styles, channels))
        self.shift = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, maps: Tensor, mixes: Tensor) -> Tensor:
        """N x C x H x W, N x K weights that sum to 1 -> N x C x H x W."""
        scale, shift = ((mixes @ own)[:, :, None, None] for own in (self.scale, self.shift))
        return F.instance_norm(maps) * scale + shift


class _Convolution(nn.Module):
    """Mirrored borders, a convolution, conditional normalisation; nearest-neighbour growth before it where asked for.

    Growth before a convolution leaves no chequers as transposed convolutions do (Odena, Dumoulin and Olah 2016).
    """

    def __init__(self, first: int, then: int, kernel: int, styles: int, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2
        self.convolution = nn.Conv2d(first, then, kernel, stride, padding, bias=False, padding_mode="reflect")
        self.norm = ConditionalNorm(then, styles)

    def forward(self, maps: Tensor, mixes: Tensor, size: torch.Size | None = None) -> Tensor:
        if size is not None:
            maps = F.interpolate(maps, size, mode="nearest")
        normed: Tensor = self.norm(self.convolution(maps), mixes)
        return normed


class _Residual(nn.Module):
    """Two convolutions that change what enters (Johnson et al.: without a nonlinearity after the sum)."""

    def __init__(self, maps: int, styles: int) -> None:
        super().__init__()
        self.first, self.then = _Convolution(maps, maps, 3, styles), _Convolution(maps, maps, 3, styles)

    def forward(self, maps: Tensor, mixes: Tensor) -> Tensor:
        changed: Tensor = maps + self.then(F.relu(self.first(maps, mixes)), mixes)
        return changed


class StyleResnet(nn.Module):
    """Down to a quarter of the size, residual blocks, and up again.

    Args:
        channels: of the images, 1 or 3.
        styles: number of styles.
        width: maps at full size; inside 4 times as many.
        blocks: number of residual blocks.
    """

    def __init__(self, channels: int, styles: int, width: int, blocks: int) -> None:
        super().__init__()
        self.styles = styles
        self.enter = _Convolution(channels, width, _ENDS, styles)
        self.shrink = _Convolution(width, 2 * width, 3, styles, 2)
        self.shrink_again = _Convolution(2 * width, 4 * width, 3, styles, 2)
        self.blocks = nn.ModuleList(_Residual(4 * width, styles) for _ in range(blocks))
        self.grow = _Convolution(4 * width, 2 * width, 3, styles)
        self.grow_again = _Convolution(2 * width, width, 3, styles)
        self.leave = nn.Conv2d(width, 3, _ENDS, 1, _ENDS // 2, padding_mode="reflect")

    def forward(self, images: Tensor, mixes: Tensor | None = None) -> Tensor:
        """N x C x S x S normalised, N x K weights that sum to 1 (None: all equal) -> N x 3 x S x S RGB in 0..1."""
        if mixes is None:
            mixes = images.new_full((len(images), self.styles), 1 / self.styles)
        enter = F.relu(self.enter(images, mixes))
        half = F.relu(self.shrink(enter, mixes))
        maps = F.relu(self.shrink_again(half, mixes))
        for block in self.blocks:
            maps = block(maps, mixes)
        maps = F.relu(self.grow(maps, mixes, half.shape[2:]))
        maps = F.relu(self.grow_again(maps, mixes, enter.shape[2:]))
        return torch.sigmoid(self.leave(maps).float())


def style_resnet(channels: int, styles: int, *, weights: Weights = "random", width: int, blocks: int) -> StyleResnet:
    """Build a style network.

    Args:
        channels: as in `StyleResnet`.
        styles: the same.
        weights: `random`, or a file of the whole network.
        width: as in `StyleResnet`.
        blocks: the same.

    Raises:
        UserError: weights that do not fit.
    """
    network = StyleResnet(channels, styles, width, blocks)
    if weights == "pretrained":
        raise UserError("style_resnet: weights: pretrained: not available; use random or a file")
    if isinstance(weights, Path):
        load_strictly(network, read_weights(weights), str(weights), "style_resnet")
    return network
