"""Initialisations keep signals alive through many layers where the theory says so, and lose them where it says not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sightline.models.classify.classics import alexnet_small, mlp
from sightline.models.classify.initialisation import Initialisation, initialise
from sightline.models.classify.layers import Activation

WIDTH, DEPTH, DRAWS = 400, 20, 4


def tiny(network: nn.Module) -> None:
    """Weights whose variance, 1e-4, is a 25th part of the 1 / WIDTH that would keep signals."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def growth(activation: Activation, draw: Callable[[nn.Module], None], spread: float) -> Tensor:
    """Mean square of each layer's outputs before the activation over that of the inputs, averaged over draws."""
    ratios = []
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        network = mlp(1, 20, WIDTH, hidden=[WIDTH] * (DEPTH - 1), activation=activation)  # 20 x 20 pixels are WIDTH
        draw(network)
        signal = inputs = spread * torch.randn(100, 1, 20, 20)
        for layer in network:
            signal = layer(signal)
            if isinstance(layer, nn.Linear):
                ratios.append(signal.square().mean() / inputs.square().mean())
    return torch.stack(ratios).view(DRAWS, DEPTH).mean(0)


@pytest.mark.parametrize(
    ("method", "activation", "spread", "first"),
    [
        ("he", "relu", 1.0, 2.0),  # the first layer's inputs are not rectified: twice their mean square
        ("he", "leaky_relu", 1.0, 2.0),
        ("xavier", "tanh", 1e-3, 1.0),  # where tanh and softsign are nearly linear
        ("xavier", "softsign", 1e-4, 1.0),
    ],
)
def test_signals_stay(method: Initialisation, activation: Activation, spread: float, first: float) -> None:
    ratios = growth(activation, lambda network: initialise(network, method, activation), spread)
    assert ratios[0].item() == pytest.approx(first, rel=0.05)
    assert (ratios / first).min() > 0.5
    assert (ratios / first).max() < 2


def test_xavier_halves_rectified_signals_at_each_layer() -> None:
    ratios = growth("relu", lambda network: initialise(network, "xavier", "relu"), 1.0)
    assert 2.0**-20 < ratios[-1] < 2.0**-18


def test_tiny_weights_lose_the_signal() -> None:
    assert growth("tanh", tiny, 1e-3)[-1] < 1e-25


@pytest.mark.parametrize(
    ("method", "activation", "variance"),
    [
        ("xavier", "relu", lambda inputs, outputs: 2 / (inputs + outputs)),
        ("he", "relu", lambda inputs, outputs: 2 / inputs),
        ("he", "leaky_relu", lambda inputs, outputs: 2 / (1 + 0.01**2) / inputs),
    ],
)
def test_convolutions_count_their_windows(
    method: Initialisation, activation: Activation, variance: Callable[[int, int], float]
) -> None:
    torch.manual_seed(0)
    network = alexnet_small(1, 28, 10)
    initialise(network, method, activation)
    conv3, dense2 = network.conv3.weight, network.dense2.weight
    assert conv3.var().item() == pytest.approx(variance(9 * 96, 9 * 128), rel=0.02)
    assert dense2.var().item() == pytest.approx(variance(256, 256), rel=0.02)
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))
    uniform = conv3.abs().max().item() < 2 * conv3.std().item()  # a uniform's edge is at sqrt(3) deviations
    assert uniform == (method == "xavier")


def test_he_knows_the_slope_of_leaky_units() -> None:
    weights = []
    for activation in ("relu", "leaky_relu"):
        torch.manual_seed(0)
        layer = nn.Linear(5, 5)
        initialise(layer, "he", activation)
        weights.append(layer.weight)
    torch.testing.assert_close(weights[1], weights[0] / (1 + 0.01**2) ** 0.5, atol=0, rtol=1e-6)
