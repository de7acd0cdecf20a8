"""Losses and colours against their definitions, written as slow loops."""

import itertools

import pytest
import torch

from sightline.labs.stylize.colour import (
    luminance,
    match_luminance,
    to_rgb,
    to_yiq,
    transfer_colours,
    with_luminance,
)
from sightline.models.style.losses import as_maps, gram, mixed_grams, relative_distance, total_variation


def test_gram_is_the_mean_product_over_places() -> None:
    maps = torch.rand(1, 3, 4, 5)
    expected = torch.zeros(3, 3)
    for i, j in itertools.product(range(3), range(3)):
        for row, column in itertools.product(range(4), range(5)):
            expected[i, j] += maps[0, i, row, column] * maps[0, j, row, column] / 20
    assert torch.allclose(gram(as_maps(maps)), expected)


def test_of_tokens_the_features_come_last() -> None:
    tokens = torch.rand(1, 7, 3)
    assert torch.equal(as_maps(tokens), tokens[0].T)


def test_distance_to_a_mixed_gram_differs_from_mixed_distances_by_a_constant() -> None:
    first, second = {"x": torch.rand(3, 3)}, {"x": torch.rand(3, 3)}
    mean = mixed_grams([first, second], [0.3, 0.7])["x"]
    differences = []
    for _ in range(3):
        found = torch.rand(3, 3)
        apart = 0.3 * (found - first["x"]).square().sum() + 0.7 * (found - second["x"]).square().sum()
        differences.append(float(apart - (found - mean).square().sum()))
    assert differences == pytest.approx([differences[0]] * 3, rel=1e-4)
    assert relative_distance(mean, mean) == 0
    assert relative_distance(2 * mean, mean) == pytest.approx(1)


def test_total_variation_of_a_checkerboard_is_greatest() -> None:
    board = torch.tensor([[0.0, 1.0] * 3, [1.0, 0.0] * 3] * 3).expand(1, 3, 6, 6)
    assert total_variation(board) == 2
    assert total_variation(torch.full((1, 3, 6, 6), 0.4)) == 0


def test_yiq_goes_there_and_back() -> None:
    pixels = torch.rand(1, 3, 5, 6)
    assert torch.allclose(to_rgb(to_yiq(pixels)), pixels, atol=1e-5)
    assert torch.allclose(luminance(torch.full((1, 3, 2, 2), 0.6)), torch.tensor(0.6))


def test_new_luminance_keeps_chrominance() -> None:
    pixels, light = 0.4 + 0.2 * torch.rand(1, 3, 5, 6), 0.4 + 0.2 * torch.rand(1, 1, 5, 6)
    found = to_yiq(with_luminance(pixels, light))
    assert torch.allclose(found[:, 1:], to_yiq(pixels)[:, 1:], atol=1e-5)
    assert torch.allclose(found[:, :1], light, atol=1e-5)


def test_luminance_is_matched_in_mean_and_deviation() -> None:
    style, content = torch.rand(1, 1, 9, 9), 0.3 + 0.1 * torch.rand(1, 1, 7, 5)
    found = match_luminance(style, content)
    assert found.mean() == pytest.approx(float(content.mean()), rel=1e-4)
    assert found.std() == pytest.approx(float(content.std()), rel=1e-4)


def test_colours_get_mean_and_covariance_of_the_content() -> None:
    style = 0.5 + 0.05 * torch.randn(1, 3, 40, 40)
    content = (0.5 + torch.einsum("kc,nchw->nkhw", 0.05 * torch.randn(3, 3), torch.randn(1, 3, 30, 50))).clamp(0, 1)
    found = transfer_colours(style, content)[0].reshape(3, -1)
    goal = content[0].reshape(3, -1)
    assert torch.allclose(found.mean(1), goal.mean(1), atol=0.005)
    assert torch.allclose(torch.cov(found), torch.cov(goal), atol=0.002)
