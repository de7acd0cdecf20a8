"""Random first weights, by the two rules that keep signals alive through many layers."""

from __future__ import annotations

from typing import Literal, assert_never

from torch import nn

from sightline.models.classify.layers import Activation

Initialisation = Literal["xavier", "he"]


def initialise(network: nn.Module, method: Initialisation, activation: Activation) -> None:
    """Draw the weights of every Linear and Conv2d again, and set their biases to 0; other layers stay as they are.

    xavier: uniform with variance 2 / (inputs + outputs), for activations of slope 1 around 0 such as tanh and softsign
    (Glorot and Bengio 2010, equation 16). he: normal with variance 2 / inputs, for rectified units, whatever they
    are named; with leaky_relu 2 / (1 + slope^2) / inputs (He et al. 2015, equations 10 and 15).

    Args:
        network: changed in place.
        method: the rule.
        activation: what follows the layers; only he with leaky_relu takes notice.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        match method:
            case "xavier":
                nn.init.xavier_uniform_(layer.weight)
            case "he":
                rectifier: Literal["leaky_relu", "relu"] = "leaky_relu" if activation == "leaky_relu" else "relu"
                nn.init.kaiming_normal_(layer.weight, a=0.01, mode="fan_in", nonlinearity=rectifier)
            case _:
                assert_never(method)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
