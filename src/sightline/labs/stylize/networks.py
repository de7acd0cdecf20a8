"""Networks that pictures are made with: a model of this pipeline, or one of a library with weights from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sightline.config.published import published_input
from sightline.labs.stylize.colour import luminance
from sightline.models.classify.classifiers import Weights, build_classifier, outputs_of
from sightline.tasks.base import channel_statistics
from sightline.training.artifact.folder import read_model

_PUBLISHED = 224  # pixels for which libraries build most networks


@dataclass(frozen=True)
class Backbone:
    """A frozen network and the way from pixels to its input.

    Attributes:
        network: N x C x H x W float32 in; in evaluation mode, without layers that work in place.
        title: what it is called.
        channels: of its images, 1 or 3.
        mean: C x 1 x 1, of pixels in 0..1.
        std: C x 1 x 1.
        classes: names of its outputs; empty where nothing names them.
    """

    network: nn.Module
    title: str
    channels: int
    mean: Tensor
    std: Tensor
    classes: tuple[str, ...] = ()

    def normalise(self, pixels: Tensor) -> Tensor:
        """N x 3 or 1 x H x W in 0..1 -> N x C x H x W that the network takes; one for grey images gets luminance."""
        if pixels.shape[1] > self.channels:
            pixels = luminance(pixels)
        pixels = pixels.expand(-1, self.channels, -1, -1)
        return (pixels - self.mean) / self.std

    def on(self, device: str) -> Backbone:
        """Return the same on a device; the network itself is moved."""
        return replace(self, network=self.network.to(device), mean=self.mean.to(device), std=self.std.to(device))


def model_backbone(folder: Path) -> Backbone:
    """Load the network of a model directory.

    Raises:
        UserError: no model there, or a damaged one.
    """
    task, card = read_model(folder)
    task.use_layout(False)
    mean, std = channel_statistics(card.input.channels, card.input.mean, card.input.std)
    return _frozen(task.network, folder.name, card.input.channels, mean, std, card.labels.classes)


def library_backbone(architecture: str, weights: Weights, seed: int = 0) -> Backbone:
    """Build a network for RGB images.

    Args:
        architecture: `torchvision:NAME`, `timm:NAME`, or a network of this project.
        weights: `random`, `pretrained` (from the hub), or a file that is read without unpickling.
        seed: of random weights.

    Raises:
        UserError: unknown name, or weights that are missing or do not fit.
    """
    torch.manual_seed(seed)
    outputs = outputs_of(architecture, 3, _PUBLISHED, weights)
    network = build_classifier(architecture, 3, _PUBLISHED, outputs, weights=weights).network
    return _frozen(network, architecture, 3, *channel_statistics(3, *_own_statistics(architecture)), ())


def _own_statistics(architecture: str) -> tuple[list[float] | None, list[float] | None]:
    """Return mean and deviation for which a library's weights were published; None for ImageNet's."""
    published = published_input(architecture)
    return (published.mean, published.std) if published else (None, None)


def _frozen(
    network: nn.Module,
    title: str,
    channels: int,
    mean: Sequence[float],
    std: Sequence[float],
    classes: tuple[str, ...],
) -> Backbone:
    for module in network.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 - else a layer's output would change after it was taken
    network.eval().requires_grad_(False)
    return Backbone(network, title, channels, _as_column(mean), _as_column(std), classes)


def _as_column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
