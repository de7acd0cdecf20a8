"""Classifiers of timm, for any number of channels and classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from sightline.models.classify.hub import HUB_CLASSES, Weights, from_hub, require_size, wrong_size
from sightline.models.weights import load_strictly, read_weights
from sightline.system.errors import UserError, nearest


def timm_network(
    name: str, channels: int, size: int, classes: int, weights: Weights, dropout: float | None, stochastic_depth: float
) -> tuple[nn.Module, str]:
    """Build a classifier of timm; return it with the name of its last layer.

    Arguments and errors are those of `build_classifier`.
    """
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm:{name}: no such network in timm{nearest(name, timm.list_models(), most=3)}")
    made_for: int = timm.get_pretrained_cfg(name).input_size[-1]
    options: dict[str, Any] = {"in_chans": channels}
    if dropout is not None:
        options["drop_rate"] = dropout
    if stochastic_depth:
        options["drop_path_rate"] = stochastic_depth
    if timm.get_pretrained_cfg(name).fixed_input_size and size != made_for:
        options["img_size"] = size
    told = f"was published for {made_for} px"

    if isinstance(weights, Path):
        state = read_weights(weights)
        head = _head(_create(name, HUB_CLASSES, options, told))
        in_file = state[f"{head}.weight"].shape[0] if f"{head}.weight" in state else HUB_CLASSES
        network: Any = _create(name, in_file, options, told)
        load_strictly(network, state, str(weights), f"timm:{name}")
        if in_file != classes:
            network.reset_classifier(classes)
    elif weights == "pretrained":
        network = from_hub(f"timm:{name}", lambda: _create(name, classes, options | {"pretrained": True}, told))
    else:
        network = _create(name, classes, options, told)
    require_size(network, channels, size, f"timm:{name}", told)
    return network, _head(network)


def _create(name: str, classes: int, options: dict[str, Any], told: str) -> nn.Module:
    import timm

    try:
        network: nn.Module = timm.create_model(name, num_classes=classes, **options)
    except Exception as error:
        for field, option in (("task.dropout", "drop_rate"), ("task.stochastic_depth", "drop_path_rate")):
            if isinstance(error, TypeError) and f"'{option}'" in str(error):
                raise UserError(f"{field}: {options[option]}: timm:{name} has none; leave it out") from None
        if "img_size" in options and "pretrained" not in options:
            raise wrong_size(f"timm:{name}", options["img_size"], told, error) from None
        raise
    return network


def _head(network: nn.Module) -> str:
    config: Any = network.pretrained_cfg
    head = config["classifier"]
    return str(head) if isinstance(head, str) else str(head[0])
