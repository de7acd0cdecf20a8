"""What published weights were trained on: size, mean, deviation and interpolation of images, by network.

The table is generated from timm and torchvision by `bench/published_inputs.py`, so that settings can be completed, and
explained, without either library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sightline.system.errors import nearest
from sightline.system.files import read_json

Interpolation = Literal["bilinear", "bicubic"]
TABLE = Path(__file__).with_name("published_inputs.json")
USUAL: dict[str, Any] = {  # left out of the table
    "size": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bilinear",
}


class Published(NamedTuple):
    """What weights were trained on.

    Attributes:
        size: height and width of the input, pixels.
        mean, std: per channel, of values in [0, 1].
        interpolation: by which images were brought to that size.
    """

    size: int
    mean: list[float]
    std: list[float]
    interpolation: Interpolation


def published_input(network: str) -> Published | None:
    """Return what the weights of a network, as in `timm:resnet18`, were trained on; None if nobody publishes any.

    A variant (`timm:resnet18.a1_in1k`) that is not in the table is like the network without it.
    """
    known = published_inputs()
    return known.get(network) or known.get(network.partition(".")[0])


def unpublished(networks: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each network whose name is not in the table, which is misspelt or newer than it.

    Args:
        networks: with published weights, as in `timm:resnet18`, by their keys in params.yaml. Those of a library that
            the table leaves out are not looked up.
    """
    for path, network in networks.items():
        library = network.partition(":")[0]
        known = [name for name in published_inputs() if name.startswith(f"{library}:")]
        if known and published_input(network) is None:
            near = nearest(network, known)
            yield f"{path}: {network}: not among the networks of {library} with published weights{near}"


@cache
def published_inputs() -> dict[str, Published]:
    """Return the whole table, by network."""
    return {
        f"{group['library']}:{name}": Published(**{key: group.get(key, usual) for key, usual in USUAL.items()})
        for group in read_json(TABLE)
        for name in group["networks"]
    }


def input_of_weights(weights: Any, network: str) -> dict[str, Any]:
    """Return size, mean and std of a section `input` that belong to weights, as far as they are known.

    The size is that of published weights only: `pretrained`, or a file that is named after the network. Mean and
    deviation are also those of other files, which were most likely begun with published weights.

    Args:
        weights: a section's value.
        network: as in `timm:resnet18`.
    """
    published = published_input(network) if isinstance(weights, str) and weights != "random" else None
    if published is None:
        return {}
    exact = weights == "pretrained" or Path(weights).stem == network.partition(":")[2]
    colours = {"mean": published.mean, "std": published.std}
    return {"size": published.size, **colours} if exact else colours
