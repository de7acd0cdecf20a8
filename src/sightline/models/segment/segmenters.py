"""Segmenters by name: the built-in networks and `smp:NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.models.classify.hub import Weights
from sightline.models.segment.dense_networks import DenseNetwork, Fcn8, FullResolution, SegNet, UNet, Upsampling
from sightline.models.segment.semantic_fpn import build_semantic_fpn
from sightline.models.segment.smp_networks import smp_network
from sightline.models.weights import load_for_classes, read_weights
from sightline.system.errors import UserError, nearest

OWN = ("full_resolution", "fcn", "segnet", "unet")


def build_segmenter(
    architecture: str,
    channels: int,
    size: int,
    classes: int,
    *,
    weights: Weights = "random",
    backbone: str | None = None,
    strides: Sequence[int] | None = None,
    width: int | None = None,
    depth: int | None = None,
    upsampling: Upsampling | None = None,
    stride: int | None = None,
) -> DenseNetwork:
    """Build a network N x C x H x W float32 -> N x K x H x W scores, for any H and W; its part `head` makes the scores.

    Args:
        architecture: a word of `OWN`, `semantic_fpn`, or `smp:NAME` of segmentation-models-pytorch, e.g. smp:Unet.
        channels: of the images, 1 or 3.
        size: height and width of the images, pixels.
        classes: K.
        weights: `random`, `pretrained` (the encoder, from the hub), or a file: of the whole network, with any classes,
            of the encoder, or of a detector: its body, and for semantic_fpn its pyramid too.
        backbone: the encoder of `smp:NAME`: `timm:NAME`, or `smp:NAME` of the library's; below semantic_fpn
            `torchvision:NAME` or `timm:NAME`.
        strides: of semantic_fpn's maps; None is 4, 8, 16, 32.
        width: maps of the finest stage; None is the network's default.
        depth: how often the sides are halved, or the layers of full_resolution; None is the network's default.
        upsampling: of unet; None is the network's default.
        stride: side of the squares of pixels that the built-in networks take as one; None is 1.

    Raises:
        UserError: unknown name, weights that do not fit, or an encoder and a decoder that do not go together.
        TypeError, ValueError: an option that the network does not take, which the configuration forbids.
    """
    options: dict[str, Any] = {"width": width, "depth": depth, "upsampling": upsampling, "stride": stride}
    chosen = {name: value for name, value in options.items() if value is not None}
    library, _, name = architecture.rpartition(":")
    if library == "smp":
        if backbone is None:
            raise ValueError(f"{architecture} needs a backbone, timm:NAME or smp:NAME")
        return smp_network(name, backbone, channels, size, classes, weights, width, depth)
    if architecture == "semantic_fpn":
        if backbone is None:
            raise ValueError("semantic_fpn needs a backbone, torchvision:NAME or timm:NAME")
        return build_semantic_fpn(backbone, channels, size, classes, weights, width or 64, strides or (4, 8, 16, 32))
    network = _own(architecture, channels, classes, chosen)
    if weights == "pretrained":
        raise UserError(f"{architecture}: weights: pretrained: not available; use random or a file")
    if isinstance(weights, Path):
        load_for_classes(network, read_weights(weights), str(weights), architecture)
    return network


def _own(name: str, channels: int, classes: int, options: dict[str, Any]) -> DenseNetwork:
    match name:
        case "full_resolution":
            return FullResolution(channels, classes, **options)
        case "fcn":
            return Fcn8(channels, classes, **options)
        case "segnet":
            return SegNet(channels, classes, **options)
        case "unet":
            return UNet(channels, classes, **options)
        case _:
            known = f"{', '.join(OWN)}, semantic_fpn or smp:NAME"
            raise UserError(f"task.architecture: {name}: no such network{nearest(name, OWN, most=3)}; use {known}")
