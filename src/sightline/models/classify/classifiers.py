"""Classifiers by name: the networks of the lecture, `torchvision:NAME`, `timm:NAME`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline.models.classify import classics
from sightline.models.classify.hub import HUB_CLASSES, Weights
from sightline.models.classify.initialisation import Initialisation, initialise
from sightline.models.classify.layers import Activation, Pooling
from sightline.models.classify.timm_networks import timm_network
from sightline.models.classify.torchvision_networks import torchvision_network
from sightline.models.weights import layers_of_encoder, load_for_classes, read_weights
from sightline.system.errors import UserError, nearest

__all__ = ["LECTURE", "Classifier", "Weights", "build_classifier", "outputs_of"]

LECTURE = ("neuron", "perceptron", "mlp", "lenet5", "alexnet", "alexnet_small", "mnist_cnn", "lcn_cnn")


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
    architecture: str,
    channels: int,
    size: int,
    classes: int,
    *,
    weights: Weights = "random",
    dropout: float | None = None,
    activation: Activation | None = None,
    initialisation: Initialisation | None = None,
    pooling: Pooling | None = None,
    hidden: Sequence[int] | None = None,
    stochastic_depth: float = 0.0,
) -> Classifier:
    """Build a classifier; its last layer is random unless the weights have been made for these classes.

    Args:
        architecture: a word of `LECTURE`, `torchvision:NAME` or `timm:NAME`.
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels.
        classes: number of logits.
        weights: `random`, `pretrained` (from the hub), or a file of weights.
        dropout: share of units that are silent in a step of training; None is what the network has.
        activation: of the lecture's networks with hidden layers; None is the network's default.
        initialisation: of random weights; None is the network's default.
        pooling: of the lecture's convolutional networks; None is the network's default.
        hidden: units of each hidden layer of `mlp`; None is the network's default.
        stochastic_depth: share of samples that skip the last block, growing from block to block (Huang et al. 2016);
            0 keeps what the network has.

    Raises:
        UserError: unknown name, an option that the network does not take, an input too small for it, weights that do
            not fit, or a hub that cannot be reached.
    """
    if initialisation is not None and weights != "random":
        raise UserError(
            f"task.initialisation: {initialisation}: only for random weights, but weights is {weights}; leave "
            f"one of them out"
        )
    options: dict[str, object] = {"activation": activation, "pooling": pooling, "hidden": hidden}
    chosen = {field: value for field, value in options.items() if value is not None}
    library, _, name = architecture.rpartition(":")
    match library:
        case "torchvision" | "timm":
            for field, value in chosen.items():
                raise UserError(f"task.{field}: {value}: {architecture} defines it; leave it out")
            build = torchvision_network if library == "torchvision" else timm_network
            network, head = build(name, channels, size, classes, weights, dropout, stochastic_depth)
        case _:
            if stochastic_depth:
                raise UserError(f"task.stochastic_depth: {stochastic_depth}: {architecture} has none; leave it out")
            if dropout is not None:
                chosen["dropout"] = dropout
            network, head = _lecture(architecture, channels, size, classes, weights, chosen), "head"
    if initialisation is not None:
        initialise(network, initialisation, activation or "relu")
    return Classifier(network, head)


def outputs_of(architecture: str, channels: int, size: int, weights: Weights) -> int:
    """Return the number of outputs of the last layer in a file of weights; that of the hub where there is no file.

    Raises:
        UserError: the file is missing or is not for this architecture.
    """
    if not isinstance(weights, Path):
        return HUB_CLASSES
    state = read_weights(weights)
    with torch.device("meta"):
        head = build_classifier(architecture, channels, size, HUB_CLASSES).head
    key = f"{head}.weight"
    if key not in state:
        raise UserError(f"weights: {weights}: does not fit {architecture}: {key} is missing")
    return int(state[key].shape[0])


def _lecture(
    name: str, channels: int, size: int, classes: int, weights: Weights, options: dict[str, Any]
) -> nn.Sequential:
    build = _builder(name, classes)
    taken = signature(build).parameters
    for field, value in options.items():
        if field not in taken:
            raise UserError(f"task.{field}: {value}: {name} has none; leave it out")
    network = build(channels, size, **options)
    if weights == "pretrained":
        raise UserError(f"{name}: weights: pretrained: not available; use random or a file")
    if isinstance(weights, Path):
        load_for_classes(network, layers_of_encoder(read_weights(weights), network), str(weights), name)
    return network


def _builder(name: str, classes: int) -> Callable[..., nn.Sequential]:
    """Return the function that makes a network of this name out of channels, size and its options."""
    match name:
        case "neuron":
            if classes != 2:
                raise UserError(f"task.architecture: neuron: is for two classes, not {classes}; use perceptron")
            return classics.neuron
        case "perceptron":
            return partial(classics.perceptron, classes=classes)
        case "mlp":
            return partial(classics.mlp, classes=classes)
        case "lenet5":
            return partial(classics.lenet5, classes=classes)
        case "alexnet":
            return partial(classics.alexnet, classes=classes)
        case "alexnet_small":
            return partial(classics.alexnet_small, classes=classes)
        case "mnist_cnn":
            return partial(classics.mnist_cnn, classes=classes)
        case "lcn_cnn":
            return partial(classics.lcn_cnn, classes=classes)
        case _:
            known = f"{', '.join(LECTURE)}, torchvision:NAME or timm:NAME"
            raise UserError(f"task.architecture: {name}: no such network{nearest(name, LECTURE, most=3)}; use {known}")
