"""Mean and deviation of pixels belong to the weights: ImageNet's under EfficientNet-Lite cost 8 points of accuracy."""

from __future__ import annotations

from pathlib import Path

from sightline.config.models import Input
from sightline.config.weights import OwnModel, Weights, file_of
from sightline.system.files import read_json
from sightline.tasks.base import IMAGENET_MEAN, IMAGENET_STD


def with_normalisation(image: Input, weights: Weights, network: str, weights_folder: Path) -> Input:
    """Return the section `input` with mean and deviation as the weights were trained with, unless it has its own.

    Args:
        image: the section.
        weights: what the network begins with.
        network: as in `timm:resnet18`.
        weights_folder: where `weights: FILE` is looked up.
    """
    if image.mean is not None or image.std is not None or weights == "random":
        return image
    if isinstance(weights, OwnModel):
        file = file_of(weights, network, weights_folder)
        card = file.with_name("model.json") if file else None
        own = Input.model_validate(read_json(card)["input"]) if card and card.is_file() else image
        same = own.channels == image.channels
        return image.model_copy(update={"mean": own.mean, "std": own.std}) if same else image
    library, _, name = network.rpartition(":")
    if library != "timm" or image.channels != 3:  # torchvision's are ImageNet's, which is the default
        return image
    import timm

    if not timm.is_model(name):  # reported where the network is built
        return image
    published = timm.get_pretrained_cfg(name)
    if (published.mean, published.std) == (IMAGENET_MEAN, IMAGENET_STD):
        return image
    return image.model_copy(update={"mean": list(published.mean), "std": list(published.std)})
