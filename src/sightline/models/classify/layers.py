"""The layers that networks are made of, by name: activations, pooling, contrast normalisation, single units."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "softsign"]
Pooling = Literal["max", "average", "sum"]


def activation_layer(activation: Activation) -> nn.Module:
    """Return a nonlinearity that works on each number separately; any shape -> the same shape.

    Sources: relu, Nair and Hinton 2010; leaky_relu (slope 0.01 below zero), Maas, Hannun and Ng 2013; elu, Clevert,
    Unterthiner and Hochreiter 2016; softplus, Dugas et al. 2001; softsign, Bergstra et al. 2009.
    """
    match activation:
        case "sigmoid":
            return nn.Sigmoid()
        case "tanh":
            return nn.Tanh()
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(0.01)
        case "elu":
            return nn.ELU()
        case "softplus":
            return nn.Softplus()
        case "softsign":
            return nn.Softsign()
        case _:
            assert_never(activation)


def set_outputs(network: nn.Module, name: str, outputs: int) -> nn.Linear | nn.Conv2d:
    """Put a new, random layer of another number of outputs in the place of one of a network's layers; return it.

    Args:
        network: changed in place.
        name: of the layer.
        outputs: units or maps.

    Raises:
        TypeError: the layer is neither linear nor a 1 x 1 convolution.
    """
    old = network.get_submodule(name)
    new: nn.Linear | nn.Conv2d
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, outputs, old.bias is not None)
    elif isinstance(old, nn.Conv2d) and old.kernel_size == (1, 1):
        new = nn.Conv2d(old.in_channels, outputs, 1, bias=old.bias is not None)
    else:
        raise TypeError(type(old).__name__)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
    return new


def pooling_layer(pooling: Pooling, window: int, stride: int) -> nn.Module:
    """Return a layer that sums up square windows; N x C x H x W -> N x C x ((H - window) // stride + 1) x (W likewise).

    Args:
        pooling: what becomes of the numbers in a window.
        window: side of a window, pixels.
        stride: from a window to the next, pixels; less than `window` makes them overlap.
    """
    match pooling:
        case "max":
            return nn.MaxPool2d(window, stride)
        case "average":
            return nn.AvgPool2d(window, stride)
        case "sum":
            return SumPool2d(window, stride)
        case _:
            assert_never(pooling)


class SumPool2d(nn.AvgPool2d):
    """Sums over square windows, as the subsampling of LeNet-5 does before its weight (LeCun et al. 1998).

    Args:
        kernel_size: side of a window, pixels.
        stride: from a window to the next, pixels; None means windows that touch.
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__(kernel_size, stride)
        self.numbers = kernel_size**2

    def forward(self, maps: Tensor) -> Tensor:
        """N x C x H x W -> N x C x H' x W'."""
        return super().forward(maps) * self.numbers


class Rectification(nn.Module):
    """Absolute value: the sign of an edge does not matter (Jarrett et al. 2009, R_abs)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Any shape -> the same shape, no number below 0."""
        return maps.abs()


class LocalContrastNorm(nn.Module):
    """Takes away the local mean over all maps, then divides by the local deviation where that is large.

    Jarrett, Kavukcuoglu, Ranzato and LeCun 2009, "What is the best multi-stage architecture for object recognition?",
    section 2.1, for a map i and a place j, k, with a Gaussian window w that sums to 1 over all maps and offsets p, q:

        v[i, j, k] = x[i, j, k] - sum over i, p, q of w[p, q] x[i, j + p, k + q]
        s[j, k] = square root of the sum over i, p, q of w[p, q] v[i, j + p, k + q]^2
        y[i, j, k] = v[i, j, k] / max(c, s[j, k]), where c is the mean of s over the image

    At the border the window is cut off and sums to 1 over what is left, so an even image has no dark rim. The paper
    does not state the Gaussian's width: here its deviation is a quarter of the window, as in Torch7.

    Args:
        size: side of the window, pixels, odd; the paper's is 9.
        least: smallest divisor, for images without any contrast.
    """

    def __init__(self, size: int = 9, least: float = 1e-4) -> None:
        super().__init__()
        self.least = least
        offsets = torch.arange(size) - (size - 1) / 2
        profile = torch.exp(-0.5 * (offsets / (size / 4)) ** 2)
        window = torch.outer(profile, profile)
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    window: Tensor

    def forward(self, maps: Tensor) -> Tensor:
        """N x C x H x W -> N x C x H x W."""
        contrast = maps - self._local_mean(maps)
        # The floor comes before the root: its slope at 0 is infinite.
        deviation = self._local_mean(contrast**2).clamp_min(self.least**2).sqrt()
        return contrast / torch.maximum(deviation, deviation.mean((1, 2, 3), keepdim=True))

    def _local_mean(self, maps: Tensor) -> Tensor:
        """N x C x H x W -> N x 1 x H x W, weighted means over the window and all maps."""
        mean = maps.mean(1, keepdim=True)
        inside = F.conv2d(torch.ones_like(mean[:1]), self.window, padding="same")
        return F.conv2d(mean, self.window, padding="same") / inside


class TwoClassUnit(nn.Linear):
    """One linear unit for two classes: its output z becomes the logits (0, z), whose softmax is the logistic of z.

    Args:
        inputs: number of features.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """N x `inputs` -> N x 2."""
        return F.pad(super().forward(features), (1, 0))
