"""Classifiers by name: `mlp`, `mnist_cnn`, `torchvision:NAME`, `timm:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import nn

from sightline.errors import UserError
from sightline.models.classics import mlp, mnist_cnn
from sightline.models.weights import load_strictly, read_weights

Weights = Literal["random", "pretrained"] | Path
HUB_CLASSES = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Classifier:
    """A network with N x C x H x W float32 in, N x K logits out.

    Attributes:
        network: the whole network.
        head: name of its last layer, the only one that is new when the others come from elsewhere.
    """

    network: nn.Module
    head: str


def build_classifier(
    architecture: str, channels: int, size: int, classes: int, dropout: float = 0.0, weights: Weights = "random"
) -> Classifier:
    """Build a classifier; its last layer is random unless the weights have been made for these classes.

    Args:
        architecture: `mlp`, `mnist_cnn`, `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        classes: number of logits.
        dropout: before the last layer; 0 keeps what the network has.
        weights: `random`, `pretrained` (from the hub), or a file of weights.

    Raises:
        UserError: unknown name, weights that do not fit, or a hub that cannot be reached.
    """
    library, _, name = architecture.rpartition(":")
    match library:
        case "torchvision":
            return _torchvision(name, channels, size, classes, dropout, weights)
        case "timm":
            return _timm(name, channels, classes, dropout, weights)
        case _:
            build = {"mlp": mlp, "mnist_cnn": mnist_cnn}[name]
            network = build(channels, size, classes, dropout)
            if isinstance(weights, Path):
                load_strictly(network, read_weights(weights), str(weights), architecture)
            return Classifier(network, "head")


def _torchvision(name: str, channels: int, size: int, classes: int, dropout: float, weights: Weights) -> Classifier:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"torchvision:{name}: no such classifier in torchvision{_nearest(name, known)}")
    state = read_weights(weights) if isinstance(weights, Path) else None
    options: dict[str, object] = {"image_size": size} if name.startswith("vit_") else {}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
        if state is not None:  # published files carry the auxiliary heads, which serve training from scratch only
            state = {key: value for key, value in state.items() if not key.lower().startswith("aux")}
    network = models.get_model(name, weights=None, **options)
    if weights == "pretrained":
        url = models.get_model_weights(name).DEFAULT
        state = _from_hub(f"torchvision:{name}", lambda: url.get_state_dict(progress=True))
    head = _last_layer(network, HUB_CLASSES)
    if state is not None:
        in_file = state[f"{head}.weight"].shape[0] if f"{head}.weight" in state else HUB_CLASSES
        if in_file != HUB_CLASSES:
            _replace(network, head, in_file)
        load_strictly(network, state, str(weights), f"torchvision:{name}")
    if state is None or network.get_submodule(head).weight.shape[0] != classes or weights == "pretrained":
        _replace(network, head, classes)
    if channels == 1:
        _take_grey(network)
    if dropout:
        _set_dropout(network, dropout)
    return Classifier(network, head)


def _timm(name: str, channels: int, classes: int, dropout: float, weights: Weights) -> Classifier:
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm:{name}: no such network in timm{_nearest(name, timm.list_models())}")
    common = {"in_chans": channels, "drop_rate": dropout}
    if isinstance(weights, Path):
        state = read_weights(weights)
        head = _timm_head(timm.create_model(name, num_classes=HUB_CLASSES, **common))
        in_file = state[f"{head}.weight"].shape[0] if f"{head}.weight" in state else HUB_CLASSES
        network = timm.create_model(name, num_classes=in_file, **common)
        load_strictly(network, state, str(weights), f"timm:{name}")
        if in_file != classes:
            network.reset_classifier(classes)
        return Classifier(network, head)

    def create() -> nn.Module:
        network: nn.Module = timm.create_model(name, pretrained=weights == "pretrained", num_classes=classes, **common)
        return network

    network = _from_hub(f"timm:{name}", create) if weights == "pretrained" else create()
    return Classifier(network, _timm_head(network))


def _timm_head(network: nn.Module) -> str:
    config: Any = network.pretrained_cfg
    head = config["classifier"]
    return str(head) if isinstance(head, str) else str(head[0])


def _last_layer(network: nn.Module, outputs: int) -> str:
    """Name of the last layer with `outputs` units: a Linear, or SqueezeNet's 1 x 1 convolution."""
    names: list[str] = [
        name
        for name, layer in network.named_modules()
        if (isinstance(layer, nn.Linear) and layer.out_features == outputs)
        or (isinstance(layer, nn.Conv2d) and layer.out_channels == outputs and layer.kernel_size == (1, 1))
    ]
    return names[-1]


def _replace(network: nn.Module, name: str, outputs: int) -> None:
    old = network.get_submodule(name)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, outputs)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(old.in_channels, outputs, 1)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)


def _take_grey(network: nn.Module) -> None:
    """Let the first convolution take one channel: summed kernels see grey as they saw R = G = B."""
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.in_channels = 1
    first.weight = nn.Parameter(first.weight.data.sum(1, keepdim=True))


def _set_dropout(network: nn.Module, dropout: float) -> None:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    if not layers:
        raise UserError(f"task.dropout: {dropout}: {type(network).__name__} has no dropout layer; leave it at 0")
    for layer in layers:
        layer.p = dropout


def _from_hub(what: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{what}: weights: pretrained: cannot be fetched from the hub ({first}); "
            "go online, or put the file into data/weights and name it"
        ) from None


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
