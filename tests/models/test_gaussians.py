"""Turned rectangles as five numbers and as Gaussians, against matrices and against integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import logm, sqrtm
from torch import Tensor

from sightline.data.rectangles import corners_of, overlaps
from sightline.models.detect.gaussians import decode, divergence, encode, gaussian_loss, mirrored

Matrix = np.ndarray


def some(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return rectangles, points near their centres, and strides."""
    draw = np.random.default_rng(seed)
    centres = draw.uniform(20, 80, (count, 2))
    long = draw.uniform(12, 60, count)
    numbers = np.column_stack([centres, long, long * draw.uniform(0.1, 0.99, count), draw.uniform(-1.57, 1.57, count)])
    points = centres + draw.uniform(-6, 6, (count, 2))
    return torch.from_numpy(numbers), torch.from_numpy(points), torch.from_numpy(draw.choice([4.0, 8, 16], count))


def gaussian(rectangle: Tensor) -> tuple[Matrix, Matrix]:
    """Return mean and covariance, as the paper defines them."""
    x, y, width, height, angle = rectangle.tolist()
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.array([x, y]), turn @ np.diag([width**2 / 4, height**2 / 4]) @ turn.T


def test_codes_and_back() -> None:
    rectangles, points, strides = some(200)
    torch.testing.assert_close(decode(encode(rectangles, points, strides), points, strides), rectangles)


def test_codes_are_the_logarithm_of_the_standard_deviations() -> None:
    rectangles, points, strides = some(20)
    for own, point, stride in zip(rectangles, points, strides, strict=True):
        [code] = encode(own[None], point[None], stride[None]).numpy()
        matrix = logm(sqrtm(gaussian(own)[1]) / (3 * float(stride)))
        np.testing.assert_allclose([[code[2] + code[3], code[4]], [code[4], code[2] - code[3]]], matrix, atol=1e-9)


@pytest.mark.parametrize("angle", [math.pi / 2, -math.pi / 2, 0.0, math.pi / 4])
def test_codes_have_no_jump_where_the_angle_has_one(angle: float) -> None:
    rectangles = torch.tensor([[50.0, 50, 30, 10, angle + step] for step in (-1e-4, 0, 1e-4, math.pi)])
    codes = encode(rectangles, torch.full((4, 2), 48.0), torch.full((4,), 8.0))
    assert (codes - codes[1]).abs().max() < 5e-4
    swapped = torch.tensor([[50.0, 50, 10, 30, angle + math.pi / 2]])
    torch.testing.assert_close(encode(swapped, torch.full((1, 2), 48.0), torch.full((1,), 8.0)), codes[1:2])


def test_any_numbers_are_a_rectangle() -> None:
    codes = torch.randn(3, 500, 5) * 8
    codes[0, 0, 3:] = 0
    found = decode(codes, torch.zeros(500, 2), torch.full((500,), 4.0))
    assert torch.isfinite(found).all()
    assert (found[..., 2] >= found[..., 3]).all()
    assert (found[..., 3] > 0).all()
    assert ((found[..., 4] >= -math.pi / 2) & (found[..., 4] < math.pi / 2)).all()


def test_the_mean_of_two_codes_lies_between() -> None:
    """As needed for the mean of two views: half way between two angles across the end of their range."""
    pair = torch.tensor([[50.0, 50, 30, 10, math.pi / 2 - 0.1], [50, 50, 30, 10, -math.pi / 2 + 0.1]])
    point, stride = torch.full((2, 2), 50.0), torch.full((2,), 8.0)
    mean = encode(pair, point, stride).mean(0, keepdim=True)
    [found] = decode(mean, point[:1], stride[:1])
    upright = corners_of(np.array([[50, 50, 10, 30, 0.0]]))
    assert overlaps(corners_of(found[None].numpy()), upright)[0, 0] > 0.9


def test_mirrored_codes_are_those_of_the_mirrored_rectangle() -> None:
    rectangles, points, strides = some(50)
    turned = rectangles * torch.tensor([-1, 1, 1, 1, -1])
    torch.testing.assert_close(
        mirrored(encode(rectangles, points, strides)), encode(turned, points * torch.tensor([-1, 1]), strides)
    )


def test_the_divergence_is_that_of_matrices() -> None:
    wanted, points, strides = some(100)
    said = wanted + torch.from_numpy(np.random.default_rng(1).normal(0, [3, 3, 2, 0.3, 0.4], (100, 5)))
    said[:, 3].clamp_(1)
    found = divergence(encode(said, points, strides), encode(wanted, points, strides))
    for value, own, true in zip(found, said, wanted, strict=True):
        (a, first), (b, second) = gaussian(own), gaussian(true)
        inverse = np.linalg.inv(second)
        logs = np.log(np.linalg.det(second) / np.linalg.det(first))
        told = ((a - b) @ inverse @ (a - b) + np.trace(inverse @ first) + logs) / 2 - 1
        assert float(value) == pytest.approx(told, rel=1e-6)


def test_the_divergence_is_the_mean_logarithm_of_the_densities() -> None:
    """By drawing from the predicted Gaussian: independent of any formula for it."""
    said, wanted = torch.tensor([[2.0, 1, 30, 14, 0.6]]).double(), torch.tensor([[0.0, 0, 24, 16, 0.3]]).double()
    point, stride = torch.zeros(1, 2).double(), torch.ones(1).double() * 4
    (a, first), (b, second) = gaussian(said[0]), gaussian(wanted[0])
    drawn = np.random.default_rng(0).multivariate_normal(a, first, 400_000)

    def density(mean: Matrix, covariance: Matrix) -> Matrix:
        apart = drawn - mean
        squares = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance), apart)
        return -(squares + np.log(np.linalg.det(2 * np.pi * covariance))) / 2

    told = float((density(a, first) - density(b, second)).mean())
    found = float(divergence(encode(said, point, stride), encode(wanted, point, stride)))
    assert found == pytest.approx(told, abs=0.01)


def test_the_loss_is_least_at_the_wanted_rectangle_and_the_same_at_every_size() -> None:
    wanted, points, strides = some(30)
    target = encode(wanted, points, strides)
    torch.testing.assert_close(gaussian_loss(target, target), torch.zeros(30).double(), atol=1e-6, rtol=0)
    near = encode(wanted + 0.3, points, strides)
    far = encode(wanted + 0.6, points, strides)
    losses = gaussian_loss(near, target), gaussian_loss(far, target)
    assert (losses[0] > 0).all()
    assert (losses[1] > losses[0]).all()
    assert (losses[1] < 1).all()
    larger = torch.tensor([2.0, 2, 2, 2, 1])
    again = encode((wanted + 0.3) * larger - torch.tensor([0, 0, 0, 0, 0.0]), points * 2, strides * 2)
    torch.testing.assert_close(gaussian_loss(again, encode(wanted * larger, points * 2, strides * 2)), losses[0])


def test_gradients_lead_to_the_wanted_rectangle_also_from_a_square() -> None:
    wanted = torch.tensor([[10.0, 14, 40, 12, -1.5]])
    point, stride = torch.tensor([[8.0, 8]]), torch.tensor([4.0])
    target = encode(wanted, point, stride)
    codes = torch.zeros(1, 5, requires_grad=True)
    optimizer = torch.optim.Adam([codes], 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        gaussian_loss(codes, target).sum().backward()
        assert torch.isfinite(codes.grad).all()  # type: ignore[union-attr]
        optimizer.step()
    found = decode(codes.detach(), point, stride)
    assert overlaps(corners_of(found.numpy()), corners_of(wanted.numpy()))[0, 0] > 0.97
