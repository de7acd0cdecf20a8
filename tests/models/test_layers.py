"""Layers against their formulas, written as slow loops."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from sightline.models.classify.layers import (
    Activation,
    LocalContrastNorm,
    SumPool2d,
    TwoClassUnit,
    activation_layer,
    pooling_layer,
)

FORMULAS = {
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(0.0, z),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "elu": lambda z: z if z > 0 else math.exp(z) - 1,
    "softplus": lambda z: math.log(1 + math.exp(z)),
    "softsign": lambda z: z / (1 + abs(z)),
}


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activations_are_their_formulas(activation: Activation) -> None:
    inputs = [-3.0, -0.5, 0.0, 0.5, 3.0]
    outputs = activation_layer(activation)(torch.tensor(inputs)).tolist()
    assert outputs == pytest.approx([FORMULAS[activation](z) for z in inputs], abs=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2)])
def test_pooling_sums_up_each_window(window: int, stride: int) -> None:
    maps = torch.randn(2, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    pooled = {name: pooling_layer(name, window, stride)(maps) for name in ("max", "average", "sum")}
    for name, reduce in (("max", torch.amax), ("average", torch.mean), ("sum", torch.sum)):
        rows, columns = (7 - window) // stride + 1, (9 - window) // stride + 1
        assert pooled[name].shape == (2, 3, rows, columns)
        for row in range(rows):
            for column in range(columns):
                y, x = row * stride, column * stride
                piece = maps[:, :, y : y + window, x : x + window]
                torch.testing.assert_close(pooled[name][:, :, row, column], reduce(piece, dim=(2, 3)))


def test_sum_pooling_keeps_signs() -> None:
    assert SumPool2d(2)(torch.tensor([[[[-1.0, -2.0], [-3.0, 4.0]]]])).item() == pytest.approx(-2)


def contrast_normalised(x: np.ndarray, size: int) -> np.ndarray:
    """One image, C x H x W, by the paper's equations place by place; the window is cut off at the border."""
    channels, height, width = x.shape
    half = size // 2
    reach = range(-half, half + 1)
    window = {(p, q): math.exp(-0.5 * (p * p + q * q) / (size / 4) ** 2) for p in reach for q in reach}

    def local_sum(maps: np.ndarray) -> np.ndarray:
        result = np.zeros((height, width))
        for j in range(height):
            for k in range(width):
                inside = [(p, q) for p, q in window if 0 <= j + p < height and 0 <= k + q < width]
                total = channels * sum(window[place] for place in inside)
                result[j, k] = sum(window[p, q] * maps[:, j + p, k + q].sum() for p, q in inside) / total
        return result

    v = x - local_sum(x)
    deviation = np.sqrt(local_sum(v**2))
    return v / np.maximum(deviation.mean(), deviation)


@pytest.mark.parametrize("size", [3, 9])
def test_contrast_normalisation_is_the_papers(size: int) -> None:
    images = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0)) + 5
    images[:, :, :3] *= 10  # parts of much and of little contrast: both arms of the maximum are taken
    expected = [contrast_normalised(image.numpy().astype(np.float64), size) for image in images]
    torch.testing.assert_close(
        LocalContrastNorm(size)(images), torch.tensor(np.stack(expected), dtype=torch.float32), atol=1e-4, rtol=1e-4
    )


def test_an_even_image_has_no_contrast_and_no_dark_rim() -> None:
    images = torch.full((1, 2, 12, 12), 7.0, requires_grad=True)
    normalised = LocalContrastNorm()(images)
    # Rounding of about 1e-6 in the means is divided by the least divisor, 1e-4.
    assert normalised.abs().max() < 0.05
    normalised.sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_contrast_normalisation_forgets_brightness_and_contrast() -> None:
    images = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    norm = LocalContrastNorm()
    torch.testing.assert_close(norm(images), norm(5 * images + 3), atol=1e-4, rtol=1e-3)


def test_softmax_of_a_two_class_unit_is_the_logistic_function() -> None:
    unit = TwoClassUnit(3)
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    z = features @ unit.weight[0] + unit.bias
    logits = unit(features)
    torch.testing.assert_close(logits, torch.stack([torch.zeros(4), z], 1))
    torch.testing.assert_close(logits.softmax(1)[:, 1], torch.sigmoid(z))
