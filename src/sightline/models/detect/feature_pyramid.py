"""Feature pyramids: a classifier's body cut at some strides, and maps of one width made of what it sees there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import FeaturePyramidNetwork

from sightline.models.classify.hub import HUB_CLASSES, Weights
from sightline.models.classify.timm_networks import timm_network
from sightline.models.classify.torchvision_networks import torchvision_network
from sightline.models.weights import load_strictly, read_weights
from sightline.system.errors import UserError, first_line

_KNOWN = "timm:resnet18 or torchvision:mobilenet_v2"
_BODY, _PYRAMID = "body.", "head.backbone."  # before the names of their weights in every network that has both
_PROBE = 256  # pixels of a side at which strides are distinguished


class Body(nn.Module):
    """A classifier without its head: N x C x S x S float32 -> its maps at some strides, the finest first.

    Args:
        maps: returns the maps, as a list or by name.
        strides: input pixels per pixel of each map.
        widths: channels of each map.
    """

    def __init__(self, maps: nn.Module, strides: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.maps = maps
        self.strides, self.widths = tuple(strides), tuple(widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """N x C x S x S -> maps N x width x S / stride x S / stride, rounded up or down as the network does."""
        maps = self.maps(images)
        return list(maps.values()) if isinstance(maps, dict) else list(maps)


class Pyramid(nn.Module):
    """Maps of one width, each with what the coarser ones know (Lin et al. 2017, Feature Pyramid Networks).

    Strides that the body does not reach are made from its coarsest map, by convolutions of stride 2.

    Args:
        widths: channels of the body's maps.
        width: channels of all maps that are made.
        levels: number of maps that are made, at least as many as there are `widths`.
    """

    def __init__(self, widths: Sequence[int], width: int, levels: int) -> None:
        super().__init__()
        self.out_channels = width  # the name that torchvision's detectors ask for
        self.merge = FeaturePyramidNetwork(list(widths), width)
        self.coarser = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(levels - len(widths)))

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps of the body -> maps of the pyramid by their number, the finest first."""
        merged = list(self.merge(OrderedDict((str(place), one) for place, one in enumerate(maps))).values())
        for layer in self.coarser:
            merged.append(layer(F.relu(merged[-1])))
        return OrderedDict((str(place), one) for place, one in enumerate(merged))


def build_pyramid(
    backbone: str, channels: int, size: int, strides: Sequence[int], width: int, weights: Weights
) -> tuple[Body, Pyramid]:
    """Build a body and a pyramid over it.

    Args:
        backbone: `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        strides: of the pyramid's maps, ascending, each twice the one before.
        width: channels of the pyramid's maps.
        weights: as for `build_body`, then the pyramid is random; or the file of another network with a pyramid, e.g. a
            detector's, of which both are taken.

    Raises:
        UserError: as `build_body`, or a file with another body or pyramid.
    """
    state = read_weights(weights) if isinstance(weights, Path) else {}
    if not any(key.startswith(_BODY) for key in state):
        body = build_body(backbone, channels, size, strides, weights)
        return body, Pyramid(body.widths, width, len(strides))
    body = build_body(backbone, channels, size, strides, "random")
    pyramid = Pyramid(body.widths, width, len(strides))
    for part, prefix in ((body, _BODY), (pyramid, _PYRAMID)):
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        load_strictly(part, own, str(weights), f"a pyramid of strides {list(strides)}, width {width} over {backbone}")
    return body, pyramid


def build_body(backbone: str, channels: int, size: int, strides: Sequence[int], weights: Weights) -> Body:
    """Cut a classifier of timm or torchvision at those of the strides that it reaches.

    Args:
        backbone: `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        strides: ascending, each twice the one before.
        weights: of the whole classifier: `random`, `pretrained` (from the hub), or a file.

    Raises:
        UserError: unknown network, one without such maps, or weights that do not fit.
    """
    library, _, name = backbone.partition(":")
    if library == "timm":
        network, head = timm_network(name, channels, size, HUB_CLASSES, weights, None, 0.0)
        return _timm_body(network, backbone, strides)
    network, head = torchvision_network(name, channels, size, HUB_CLASSES, weights, None, 0.0)
    return _torchvision_body(network, head, backbone, channels, strides)


class _TimmMaps(nn.Module):
    """Some stages of a network of timm; what comes after them is left out."""

    def __init__(self, network: Any, stages: Sequence[int]) -> None:
        super().__init__()
        self.stages = network.prune_intermediate_layers(list(stages), prune_norm=True)
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network.forward_intermediates(
            images, indices=self.stages, output_fmt="NCHW", intermediates_only=True
        )
        return maps


def _timm_body(network: Any, backbone: str, strides: Sequence[int]) -> Body:
    if not hasattr(network, "forward_intermediates"):
        raise UserError(f"task.backbone: {backbone}: timm has no feature maps for it; use e.g. {_KNOWN}")
    told = [(int(stage["reduction"]), int(stage["num_chs"])) for stage in network.feature_info]
    places = {stride: place for place, (stride, _) in enumerate(told)}  # the last of each stride
    reached = _reached(strides, list(places), backbone)
    chosen = [places[stride] for stride in reached]
    return Body(_TimmMaps(network, chosen), reached, [told[place][1] for place in chosen])


def _torchvision_body(network: nn.Module, head: str, backbone: str, channels: int, strides: Sequence[int]) -> Body:
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    network.eval()
    top = head.partition(".")[0]
    try:
        nodes = [node for node in get_graph_node_names(network)[1] if node.partition(".")[0] != top]
        with torch.no_grad():
            maps = create_feature_extractor(network, nodes)(torch.zeros(1, channels, _PROBE, _PROBE))
    except Exception as error:  # transformers of a fixed size, and what cannot be traced
        first = first_line(error)
        raise UserError(
            f"task.backbone: {backbone}: no feature maps found in it ({first}); use e.g. {_KNOWN}"
        ) from None
    network.train()
    found: dict[int, tuple[str, int]] = {}
    for node, value in maps.items():  # in the order of the graph, so that the last of each stride stays
        if isinstance(value, Tensor) and value.ndim == 4 and value.shape[2] == value.shape[3] > 1:
            stride = 2 ** round(float(torch.tensor(_PROBE / value.shape[2]).log2()))
            found[stride] = (node, value.shape[1])
    reached = _reached(strides, list(found), backbone)
    chosen = {found[stride][0]: str(stride) for stride in reached}
    return Body(create_feature_extractor(network, chosen), reached, [found[stride][1] for stride in reached])


def _reached(strides: Sequence[int], known: Sequence[int], backbone: str) -> list[int]:
    """Return those of the strides at which a network has maps; only coarser ones may be missing."""
    reached = [stride for stride in strides if stride in known]
    if not reached or reached != list(strides[: len(reached)]):
        has = ", ".join(str(stride) for stride in sorted(set(known))) or "none"
        raise UserError(
            f"task.strides: {', '.join(map(str, strides))}: {backbone} has feature maps of strides "
            f"{has}; start with one of them"
        )
    return reached
