"""Networks that predict the class of every pixel, from random weights: full resolution, FCN, SegNet, U-Net."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Upsampling = Literal["nearest", "transposed"]


class DenseNetwork(nn.Module, ABC):
    """Takes images of any size, N x C x H x W float32 -> N x K x H x W scores.

    Images are padded at the right and at the bottom with zeros, the mean colour, to sides that the network can halve
    as often as it does; what it says of the padding is cut off.

    Args:
        multiple: of which both sides must be.
        least: both sides; smaller ones would leave one pixel, too few for batch normalisation of a single image.
        stride: side of the squares of pixels that the network takes as one, stacked as channels, and whose scores it
            gives together (Shi et al. 2016, sub-pixel convolution).
    """

    head: nn.Module  # the layers whose shape depends on the classes

    def __init__(self, multiple: int, least: int, stride: int = 1) -> None:
        super().__init__()
        self.multiple, self.least, self.stride = multiple * stride, least * stride, stride

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W of sides that fit -> N x K x H' x W' with the same aspect."""

    def forward(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H x W."""
        height, width = map(int, images.shape[-2:])  # a graph has one size, and divides negative numbers otherwise
        padded = F.pad(images, (0, self._fitting(width) - width, 0, self._fitting(height) - height))
        scores = self.scores(F.pixel_unshuffle(padded, self.stride))
        scores = F.pixel_shuffle(scores, self.stride)
        if scores.shape[-2:] != padded.shape[-2:]:
            scores = F.interpolate(scores, padded.shape[-2:], mode="bilinear", align_corners=False)
        return scores[..., :height, :width]

    def _fitting(self, side: int) -> int:
        return -(-max(side, self.least) // self.multiple) * self.multiple


def convolutions(inputs: int, outputs: int, count: int, kernel: int = 3) -> nn.Sequential:
    """Return convolutions that keep the size, each with batch normalisation (Ioffe and Szegedy 2015) and ReLU."""
    layers: list[nn.Module] = []
    for place in range(count):
        first = inputs if place == 0 else outputs
        layers += [
            nn.Conv2d(first, outputs, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class FullResolution(DenseNetwork):
    """Convolutions without any pooling: the simplest way to a class per pixel, with a field of 2 `depth` + 1 pixels.

    Args:
        channels: of the images.
        classes: K.
        width: maps of each layer.
        depth: layers before the last.
        stride: side of the squares of pixels taken as one.
    """

    def __init__(self, channels: int, classes: int, width: int = 16, depth: int = 6, stride: int = 1) -> None:
        super().__init__(1, 2, stride)
        self.body = convolutions(channels * stride**2, width, depth)
        self.head = nn.Conv2d(width, classes * stride**2, 1)

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H x W."""
        scores: Tensor = self.head(self.body(images))
        return scores


class Fcn8(DenseNetwork):
    """FCN-8s, Long, Shelhamer and Darrell 2015: scores at strides 8, 16 and 32, each enlarged and added to the finer.

    The body is VGG's plan of 2 convolutions per stage (Simonyan and Zisserman 2015, column B) with batch normalisation
    and `width` instead of 64 maps; the two convolutions that were dense layers have 16 `width` maps. Scores are
    enlarged bilinearly; the paper starts from that and learns on, but for the last step.

    Args:
        channels: of the images.
        classes: K.
        width: maps of the first stage; the others have 2, 4, 8 and 8 times as many.
        stride: side of the squares of pixels taken as one.
    """

    def __init__(self, channels: int, classes: int, width: int = 16, stride: int = 1) -> None:
        super().__init__(32, 64, stride)
        maps = [channels * stride**2, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.stages = nn.ModuleList(convolutions(a, b, 2) for a, b in pairwise(maps))
        self.dense = nn.Sequential(convolutions(maps[-1], 16 * width, 1), convolutions(16 * width, 16 * width, 1, 1))
        self.head = nn.ModuleList(nn.Conv2d(m, classes * stride**2, 1) for m in (maps[3], maps[4], 16 * width))

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H / 8 x W / 8."""
        maps, pooled = images, []
        for stage in self.stages:
            maps = F.max_pool2d(stage(maps), 2)
            pooled.append(maps)
        assert isinstance(self.head, nn.ModuleList)
        eighth, sixteenth, coarsest = self.head
        scores: Tensor = coarsest(self.dense(maps))
        for score, finer in ((sixteenth, pooled[3]), (eighth, pooled[2])):
            enlarged = F.interpolate(scores, scale_factor=2.0, mode="bilinear", align_corners=False)
            scores = score(finer) + enlarged
        return scores


class SegNet(DenseNetwork):
    """SegNet, Badrinarayanan, Kendall and Cipolla 2017: the decoder puts values back where the maximum was.

    Two convolutions per stage, where the paper has VGG-16's two or three. The places of the maxima are kept as masks,
    not as indices: the same result, in operations that every graph format knows.

    Args:
        channels: of the images.
        classes: K.
        width: maps of the first stage; each further one has twice as many, up to 8 times.
        depth: stages, each of which halves the sides.
        stride: side of the squares of pixels taken as one.
    """

    def __init__(self, channels: int, classes: int, width: int = 16, depth: int = 5, stride: int = 1) -> None:
        super().__init__(2**depth, 2 ** (depth + 1), stride)
        maps = [channels * stride**2, *(min(2**stage, 8) * width for stage in range(depth))]
        self.encoder = nn.ModuleList(convolutions(a, b, 2) for a, b in pairwise(maps))
        back = [width, *maps[1:]]  # the finest stage keeps its maps for the last layer
        self.decoder = nn.ModuleList(
            nn.Sequential(convolutions(b, b, 1), convolutions(b, a, 1)) for a, b in zip(back, maps[1:], strict=False)
        )
        self.head = nn.Conv2d(width, classes * stride**2, 1)

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H x W."""
        maps, places = images, []
        for stage in self.encoder:
            maps, place = pool_with_places(stage(maps))
            places.append(place)
        for stage, place in zip(reversed(self.decoder), reversed(places), strict=True):
            maps = stage(unpool(maps, place))
        scores: Tensor = self.head(maps)
        return scores


def pool_with_places(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Take the maximum of each 2 x 2 window.

    Returns:
        N x C x H / 2 x W / 2 maxima, and N x C x H / 2 x W / 2 x 4: 1 at the first maximum of a window, else 0.
    """
    count, channels, height, width = maps.shape
    windows = maps.reshape(count, channels, height // 2, 2, width // 2, 2).transpose(3, 4).flatten(-2)
    place = windows.argmax(-1, keepdim=True)
    here = place == torch.arange(4, device=maps.device)
    return windows.gather(-1, place).squeeze(-1), here.to(maps.dtype)


def unpool(maps: Tensor, places: Tensor) -> Tensor:
    """N x C x h x w values and their places N x C x h x w x 4 -> N x C x 2h x 2w, zero elsewhere."""
    count, channels, height, width = maps.shape
    windows = (maps[..., None] * places).view(count, channels, height, width, 2, 2)
    return windows.transpose(3, 4).reshape(count, channels, 2 * height, 2 * width)


class UNet(DenseNetwork):
    """U-Net, Ronneberger, Fischer and Brox 2015, padded and with batch normalisation.

    Args:
        channels: of the images.
        classes: K.
        width: maps of the finest stage (the paper's are 64); each coarser one has twice as many.
        depth: how often the sides are halved.
        upsampling: transposed, the paper's 2 x 2 up-convolution; nearest, a 1 x 1 convolution and repeated pixels.
        stride: side of the squares of pixels taken as one.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int = 16,
        depth: int = 4,
        upsampling: Upsampling = "nearest",
        stride: int = 1,
    ) -> None:
        super().__init__(2**depth, 2 ** (depth + 1), stride)
        maps = [width * 2**stage for stage in range(depth + 1)]
        first = [channels * stride**2, *maps]
        self.encoder = nn.ModuleList(convolutions(a, b, 2) for a, b in zip(first, maps, strict=False))
        coarse_to_fine = maps[::-1]
        pairs = list(pairwise(coarse_to_fine))
        self.enlarge = nn.ModuleList(_enlarging(coarse, fine, upsampling) for coarse, fine in pairs)
        self.decoder = nn.ModuleList(convolutions(2 * fine, fine, 2) for _, fine in pairs)
        self.head = nn.Conv2d(width, classes * stride**2, 1)

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H x W."""
        maps, skipped = images, []
        for number, stage in enumerate(self.encoder):
            maps = stage(F.max_pool2d(maps, 2) if number else maps)
            skipped.append(maps)
        skipped.pop()
        for enlarge, stage in zip(self.enlarge, self.decoder, strict=True):
            maps = stage(torch.cat([skipped.pop(), enlarge(maps)], 1))
        scores: Tensor = self.head(maps)
        return scores


def _enlarging(coarse: int, fine: int, upsampling: Upsampling) -> nn.Module:
    match upsampling:
        case "nearest":
            return nn.Sequential(nn.Conv2d(coarse, fine, 1), nn.Upsample(scale_factor=2, mode="nearest"))
        case "transposed":
            return nn.ConvTranspose2d(coarse, fine, 2, stride=2)
        case _:
            assert_never(upsampling)
