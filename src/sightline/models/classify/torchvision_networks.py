"""Classifiers of torchvision, for any number of channels and classes."""

from __future__ import annotations

from torch import Tensor, nn

from sightline.models.classify.hub import HUB_CLASSES, Weights, from_hub, require_size, wrong_size
from sightline.models.classify.layers import set_outputs
from sightline.models.weights import load_strictly, read_weights
from sightline.system.errors import UserError, nearest


def torchvision_network(
    name: str, channels: int, size: int, classes: int, weights: Weights, dropout: float | None, stochastic_depth: float
) -> tuple[nn.Module, str]:
    """Build a classifier of torchvision; return it with the name of its last layer.

    Arguments and errors are those of `build_classifier`.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"torchvision:{name}: no such classifier in torchvision{nearest(name, known, most=3)}")
    published = models.get_model_weights(name).DEFAULT
    least = published.meta["min_size"][0]
    flexible = size >= least or name.startswith("vit_")
    told = f"was published for {least} px" if flexible else f"needs at least {least} px"
    network = _create(name, size, told)
    head = _last_layer(network, HUB_CLASSES)
    classes_of_file = 0
    if weights == "pretrained":
        _load(network, head, from_hub(f"torchvision:{name}", published.get_state_dict), weights, name)
    elif weights != "random":
        classes_of_file = _load(network, head, read_weights(weights), str(weights), name)
    if classes_of_file != classes:
        set_outputs(network, head, classes)
    if channels == 1:
        _take_grey(network)
    if dropout is not None:
        _set_dropout(network, dropout)
    if stochastic_depth:
        _set_stochastic_depth(network, stochastic_depth)
    require_size(network, channels, size, f"torchvision:{name}", told)
    return network, head


def _create(name: str, size: int, told: str) -> nn.Module:
    from torchvision import models

    options: dict[str, object] = {}
    if name.startswith("vit_"):
        options = {"image_size": size}
    elif name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    try:
        network: nn.Module = models.get_model(name, weights=None, **options)
    except AssertionError as error:  # the size is no multiple of a vision transformer's patches
        raise wrong_size(f"torchvision:{name}", size, told, error) from None
    return network


def _load(network: nn.Module, head: str, state: dict[str, Tensor], source: str, name: str) -> int:
    """Load weights for any number of classes; return it."""
    if name in ("googlenet", "inception_v3"):  # auxiliary heads serve training from scratch only
        state = {key: value for key, value in state.items() if not key.lower().startswith("aux")}
    in_file = state[f"{head}.weight"].shape[0] if f"{head}.weight" in state else HUB_CLASSES
    if in_file != HUB_CLASSES:
        set_outputs(network, head, in_file)
    load_strictly(network, state, source, f"torchvision:{name}")
    return in_file


def _last_layer(network: nn.Module, outputs: int) -> str:
    """Name of the last layer with `outputs` units: a Linear, or SqueezeNet's 1 x 1 convolution."""
    names: list[str] = [
        name
        for name, layer in network.named_modules()
        if (isinstance(layer, nn.Linear) and layer.out_features == outputs)
        or (isinstance(layer, nn.Conv2d) and layer.out_channels == outputs and layer.kernel_size == (1, 1))
    ]
    return names[-1]


def _take_grey(network: nn.Module) -> None:
    """Let the first convolution take one channel: summed kernels see grey as they saw R = G = B."""
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.in_channels = 1
    first.weight = nn.Parameter(first.weight.data.sum(1, keepdim=True))


def _set_dropout(network: nn.Module, dropout: float) -> None:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    if not layers and dropout:
        raise UserError(f"task.dropout: {dropout}: {type(network).__name__} has no dropout layer; leave it out")
    for layer in layers:
        layer.p = dropout


def _set_stochastic_depth(network: nn.Module, rate: float) -> None:
    """Let block l of L be skipped by a share l / L of `rate` (Huang et al. 2016, equation 4)."""
    from torchvision.ops import StochasticDepth

    layers = [layer for layer in network.modules() if isinstance(layer, StochasticDepth)]
    if not layers:
        raise UserError(f"task.stochastic_depth: {rate}: {type(network).__name__} has none; leave it out")
    for number, layer in enumerate(layers, start=1):
        layer.p = rate * number / len(layers)
