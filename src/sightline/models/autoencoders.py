"""Autoencoders: an encoder to a short code, a decoder back to pixels in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from sightline.config.tasks.autoencoder import DENSE_HIDDEN
from sightline.models.classify.hub import Weights
from sightline.models.segment.dense_networks import convolutions
from sightline.models.weights import load_strictly, read_weights
from sightline.system.errors import UserError

Architecture = Literal["conv_autoencoder", "dense_autoencoder"]


class Autoencoder(nn.Module):
    """N x C x S x S float32 -> N x C x S x S in 0..1, through N x `code` numbers.

    Args:
        encoder: images to codes; features are taken from here.
        decoder: codes to images before the logistic function.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, images: Tensor) -> Tensor:
        """N x C x S x S -> the same shape, float32 in 0..1."""
        reconstructed: Tensor = self.decoder(self.encoder(images))
        return torch.sigmoid(reconstructed.float())


def layer_pairs(network: Autoencoder) -> list[tuple[nn.Module, nn.Module]]:
    """Return each layer of a dense autoencoder's encoder, from the input on, with the one that undoes it.

    Each is N x inputs -> N x outputs, with the ReLU that follows it in the network; the first pair gives back pixels
    before the logistic function.
    """
    into = [layer for layer in network.encoder.children() if isinstance(layer, nn.Linear)]
    back = [layer for layer in network.decoder.children() if isinstance(layer, nn.Linear)][::-1]
    last = len(into) - 1
    return [
        (down if place == last else nn.Sequential(down, nn.ReLU()), nn.Sequential(up, nn.ReLU()) if place else up)
        for place, (down, up) in enumerate(zip(into, back, strict=True))
    ]


def autoencoder_network(
    architecture: Architecture,
    channels: int,
    size: int,
    *,
    weights: Weights = "random",
    code: int = 32,
    width: int | None = None,
    depth: int | None = None,
    hidden: Sequence[int] | None = None,
) -> Autoencoder:
    """Build an autoencoder.

    Args:
        architecture: its name.
        channels: of the images, 1 or 3.
        size: height and width of the images, pixels.
        weights: `random`, or a file of the whole network.
        code: length of the code of an image.
        width: maps of conv_autoencoder's first layer; None is 16.
        depth: how often conv_autoencoder halves the sides; None is 3.
        hidden: units of dense_autoencoder's layers before the code; None is `DENSE_HIDDEN`.

    Raises:
        UserError: weights that do not fit, or an image too small to be halved so often.
    """
    match architecture:
        case "conv_autoencoder":
            network = conv_autoencoder(channels, size, code, width or 16, depth or 3)
        case "dense_autoencoder":
            network = dense_autoencoder(channels, size, code, hidden or DENSE_HIDDEN)
        case _:
            assert_never(architecture)
    if weights == "pretrained":
        raise UserError(f"{architecture}: weights: pretrained: not available; use random or a file")
    if isinstance(weights, Path):
        load_strictly(network, read_weights(weights), str(weights), architecture)
    return network


def dense_autoencoder(channels: int, size: int, code: int, hidden: Sequence[int]) -> Autoencoder:
    """Layers of fewer and fewer units to the code, and the same number back (Hinton and Salakhutdinov 2006).

    Units are ReLU, those of the paper logistic. `layer_pairs` has the layers one by one.
    """
    pixels = channels * size**2
    into, back = [pixels, *hidden, code], [code, *reversed(hidden), pixels]
    encoder = nn.Sequential(nn.Flatten(), *_dense(into))
    decoder = nn.Sequential(*_dense(back), nn.Unflatten(1, (channels, size, size)))
    return Autoencoder(encoder, decoder)


def conv_autoencoder(channels: int, size: int, code: int, width: int, depth: int) -> Autoencoder:
    """Strided convolutions to a small map, a dense layer to the code; back with enlarged maps and convolutions.

    Maps are repeated and then convolved, which leaves no chequers as transposed convolutions do (Odena, Dumoulin and
    Olah 2016).

    Raises:
        UserError: the smallest map would have one pixel.
    """
    sides = [size]
    for _ in range(depth):
        sides.append(-(-sides[-1] // 2))
    if sides[-1] < 2:
        raise UserError(f"input.size: {size}: conv_autoencoder cannot halve it {depth} times; lower task.depth")
    maps = [width * 2**stage for stage in range(depth)]
    smallest = (maps[-1], sides[-1], sides[-1])
    numbers = maps[-1] * sides[-1] ** 2
    into: list[nn.Module] = []
    for first, then in zip([channels, *maps], maps, strict=False):
        into += [nn.Conv2d(first, then, 3, 2, 1, bias=False), nn.BatchNorm2d(then), nn.ReLU(inplace=True)]
    encoder = nn.Sequential(*into, nn.Flatten(), nn.Linear(numbers, code))
    back: list[nn.Module] = [nn.Linear(code, numbers), nn.Unflatten(1, smallest), nn.ReLU(inplace=True)]
    for first, then, side in zip(maps[::-1], [*maps[-2::-1], width], sides[-2::-1], strict=True):
        back += [nn.Upsample((side, side)), *convolutions(first, then, 1)]
    return Autoencoder(encoder, nn.Sequential(*back, nn.Conv2d(width, channels, 3, padding=1)))


def _dense(units: Sequence[int]) -> list[nn.Module]:
    """Return layers with these numbers of units, with ReLU between them."""
    layers: list[nn.Module] = []
    for first, then in pairwise(units):
        layers += [nn.Linear(first, then), nn.ReLU(inplace=True)]
    return layers[:-1]
