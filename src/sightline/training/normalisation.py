"""Mean and deviation of pixels belong to the weights: ImageNet's under EfficientNet-Lite cost 8 points of accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.config.models import Input
from sightline.config.published import input_of_weights
from sightline.config.weights import OwnModel, Weights, file_of
from sightline.system.files import read_json


def with_normalisation(image: Input, weights: Weights, network: str, weights_folder: Path) -> Input:
    """Return the section `input` with mean and deviation as the weights were trained with, unless it has its own.

    A model that goes on from another one also brings images to size as that one did.

    Args:
        image: the section.
        weights: what the network begins with.
        network: as in `timm:resnet18`.
        weights_folder: where `weights: FILE` is looked up.
    """
    if isinstance(weights, OwnModel):
        file = file_of(weights, network, weights_folder)
        card = file.with_name("model.json") if file else None
        found = read_json(card)["input"] if card and card.is_file() else {}
    else:
        found = {"channels": 3, **(input_of_weights(weights, network) or _unlisted(weights, network))}
    keys = ["interpolation"] if image.interpolation is None else []
    if image.mean is None and image.std is None and image.channels == found.get("channels"):
        keys += ["mean", "std"]
    return image.model_copy(update={key: found[key] for key in keys if key in found})


def _unlisted(weights: Weights, network: str) -> dict[str, Any]:
    """Return what a timm newer than the table of published inputs says."""
    library, _, name = network.rpartition(":")
    if library != "timm" or weights == "random":
        return {}
    import timm

    if not timm.is_model(name):  # reported where the network is built
        return {}
    published = timm.get_pretrained_cfg(name)
    return {"mean": list(published.mean), "std": list(published.std)}
