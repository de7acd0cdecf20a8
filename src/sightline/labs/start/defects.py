"""The model to begin with where only good images can be learned from: a memory of what their places look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sightline.labs.start.entries import Chosen, Entry
from sightline.labs.start.facts import Facts
from sightline.labs.start.plan import Published

# Middle layers, in which places are still small and features no longer edges alone, by families of networks.
_LAYERS = (
    (re.compile(r"timm:(tf_)?(efficientnet|mobilenetv3)\w*"), ["blocks.1", "blocks.2"]),
    (re.compile(r"(timm|torchvision):resnet\d+"), ["layer2", "layer3"]),
)
_PLACES = 28  # along each side
_CELLS = 32  # the same without a network


def finder(dataset: str, facts: Facts, networks: Sequence[Published]) -> tuple[Entry, Entry]:
    """Return entries of `features` and `heads`.

    Args:
        dataset: its name.
        facts: of the data set.
        networks: that can be had, the best one first.
    """
    head: dict[str, Any] = {
        "dataset": dataset,
        "features": "",
        "kind": Chosen("patch_core", "good images may be turned and moved"),
    }
    for network in networks:
        layers = next((layers for names, layers in _LAYERS if names.fullmatch(network.name)), None)
        if layers is not None:
            features: Entry = {
                "dataset": dataset,
                "weights": Chosen("pretrained", "frozen: nothing is learned from defects"),
                "input": {"size": Chosen(network.size, "what the weights were made for"), "channels": 3},
                "extractor": {
                    "kind": "network",
                    "architecture": network.name,
                    "layers": Chosen(layers, "middle layers: small places, more than edges"),
                    "pyramid": [_PLACES],
                },
            }
            return features, head
    side = 128 if facts.side <= 192 else 256
    features = {
        "dataset": dataset,
        "input": {"size": Chosen(side, f"images have {facts.side} px"), "channels": 1 if facts.grey else 3},
        "extractor": {
            "kind": Chosen("gabor", "filters that need no weights"),
            "grid": _CELLS,
            "statistics": Chosen(True, "brightness and colour count too"),
        },
    }
    return features, head
