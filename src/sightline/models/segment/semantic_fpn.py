"""Semantic FPN: the class of every pixel from the maps of a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from sightline.models.classify.hub import Weights
from sightline.models.detect.feature_pyramid import Body, Pyramid, build_pyramid
from sightline.models.segment.dense_networks import DenseNetwork
from sightline.models.weights import load_for_classes, read_weights

_CHANNELS_PER_GROUP = 8  # of group normalisation, which does not depend on the batch
_SCORES = "head.scores."  # before the names of the last layer's weights


class SemanticFpn(DenseNetwork):
    """Maps of a pyramid, enlarged step by step to the size of the finest one and added (Kirillov et al. 2019).

    "Panoptic feature pyramid networks", section 3.2 and figure 3: each step is a 3 x 3 convolution, group
    normalisation, ReLU and bilinear enlargement by 2. The paper has 256 channels in the pyramid and 128 in the steps,
    here both have the pyramid's; and where it makes scores of each point of the sum, here each point makes those of
    its 2 x 2 parts, for thin objects (Shi et al. 2016, sub-pixel convolution).

    Args:
        body: makes maps at the strides.
        pyramid: over it.
        classes: K.
        strides: of the pyramid's maps, ascending; scores are made at half of the first.
    """

    def __init__(self, body: Body, pyramid: Pyramid, classes: int, strides: Sequence[int]) -> None:
        super().__init__(strides[-1], 2 * strides[-1])
        width = pyramid.out_channels
        steps = nn.ModuleList(_enlarging(width, halvings) for halvings in range(len(strides)))
        self.body = body
        self.head = nn.ModuleDict({"backbone": pyramid, "steps": steps, "scores": _subpixel(width, classes)})

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x 2 H / s x 2 W / s, s the finest stride."""
        assert isinstance(self.head, nn.ModuleDict)
        maps, steps = self.head["backbone"](self.body(images)), self.head["steps"]
        assert isinstance(steps, nn.ModuleList)
        enlarged = [step(one) for step, one in zip(steps, maps.values(), strict=True)]
        scores: Tensor = self.head["scores"](torch.stack(enlarged).sum(0))
        return scores


def build_semantic_fpn(
    backbone: str, channels: int, size: int, classes: int, weights: Weights, width: int, strides: Sequence[int]
) -> SemanticFpn:
    """Build a semantic FPN; arguments and errors are those of `build_pyramid`.

    `classes` is K. A file of weights may also hold a whole semantic FPN, with any classes.
    """
    whole = read_weights(weights) if isinstance(weights, Path) else {}
    if any(key.startswith(_SCORES) for key in whole):
        network = SemanticFpn(*build_pyramid(backbone, channels, size, strides, width, "random"), classes, strides)
        load_for_classes(network, whole, str(weights), f"semantic_fpn over {backbone}", _SCORES)
        return network
    return SemanticFpn(*build_pyramid(backbone, channels, size, strides, width, weights), classes, strides)


def _subpixel(inputs: int, outputs: int) -> nn.Sequential:
    """Return layers to twice the size that begin by repeating each point (Aitken et al. 2017, section 3)."""
    convolution = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
    with torch.no_grad():
        for values in (convolution.weight, convolution.bias):
            assert values is not None
            values.copy_(values[::4].repeat_interleave(4, 0))
    return nn.Sequential(convolution, nn.PixelShuffle(2))


def _enlarging(width: int, halvings: int) -> nn.Sequential:
    """Return the layers that bring a map to twice its size `halvings` times; at 0 one convolution without."""
    layers: list[nn.Module] = []
    for _ in range(max(1, halvings)):
        convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(width // _CHANNELS_PER_GROUP, width), nn.ReLU(inplace=True)]
        if halvings:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)
