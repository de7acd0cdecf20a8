"""The matting Laplacian against a slow loop, what costs nothing, and what the weight does to a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from sightline.labs.stylize.matting import matting_laplacian, photorealism, smoothed
from sightline.labs.stylize.networks import Backbone
from sightline.labs.stylize.pictures import read_picture
from sightline.labs.stylize.transfer import StyleTransfer, minimise

STYLE = {"body.1": 1.0, "body.4": 1.0}


def slow_laplacian(pixels: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin et al. 2008, equation 12, entry by entry."""
    height, width, channels = pixels.shape
    found = np.zeros((height * width, height * width))
    for top in range(height - 2):
        for left in range(width - 2):
            inside = [(top + down, left + right) for down in range(3) for right in range(3)]
            colours = np.array([pixels[place] for place in inside])
            mean = colours.mean(0)
            spread = sum(np.outer(one - mean, one - mean) for one in colours) / 9
            inverse = np.linalg.inv(spread + epsilon / 9 * np.eye(channels))
            for i, first in enumerate(inside):
                for j, second in enumerate(inside):
                    value = float(i == j) - (1 + (colours[i] - mean) @ inverse @ (colours[j] - mean)) / 9
                    found[first[0] * width + first[1], second[0] * width + second[1]] += value
    return found


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(4).random((7, 6, 3))


@pytest.mark.parametrize("epsilon", [1e-7, 0.1])
def test_the_laplacian_is_that_of_a_slow_loop(pixels: np.ndarray, epsilon: float) -> None:
    found = matting_laplacian(pixels, epsilon)
    assert isinstance(found, sparse.csr_array)
    np.testing.assert_allclose(found.toarray(), slow_laplacian(pixels, epsilon), atol=1e-9)
    assert np.linalg.eigvalsh(found.toarray()).min() > -1e-9


def test_affine_colours_cost_nothing_and_others_do(pixels: np.ndarray) -> None:
    """A change of white balance, contrast and brightness is affine; noise of the same size is not."""
    laplacian = matting_laplacian(pixels)
    random = np.random.default_rng(0)
    turned = pixels @ random.normal(0, 0.5, (3, 3)) + 0.2
    noise = turned.std() * random.normal(size=pixels.shape)

    def cost(values: np.ndarray) -> float:
        return float(photorealism(torch.from_numpy(values).permute(2, 0, 1)[None], laplacian))

    assert 0 <= cost(turned) < 1e-6
    assert cost(noise) > 1e4 * cost(turned)


def test_its_gradient_is_that_of_differences(pixels: np.ndarray) -> None:
    laplacian = matting_laplacian(pixels)
    values = torch.rand(1, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda one: photorealism(one, laplacian), values)
    dense = torch.from_numpy(laplacian.toarray())
    flat = values.detach()[0].flatten(1)
    expected = torch.einsum("ci,ij,cj->", flat, dense, flat) / 42
    assert float(photorealism(values.detach(), laplacian)) == pytest.approx(float(expected))


def test_the_weight_keeps_a_picture_affine_in_its_content(backbone: Backbone, pictures: Path) -> None:
    content, style = (read_picture(pictures / name, 28) for name in ("content.png", "styles/a.png"))
    laplacian = matting_laplacian(content[0].permute(1, 2, 0).double().numpy())
    away, rows = {}, {}
    for weight in (0.0, 1e4):
        transfer = StyleTransfer(
            backbone,
            content,
            [style],
            [1.0],
            {"body.4": 1.0},
            STYLE,
            content_weight=0.1,
            style_weight=10.0,
            tv_weight=0.01,
            photorealism=weight,
        )
        steps: list[dict[str, float]] = []
        found = minimise(transfer, content.clone(), 8, "lbfgs", 0.03, lambda _, losses, __, to=steps: to.append(losses))
        away[weight], rows[weight] = float(photorealism(found, laplacian)), steps
    assert away[1e4] < away[0.0] / 10
    assert "photorealism" not in rows[0.0][0]
    assert rows[1e4][-1]["total"] < rows[1e4][0]["total"]
    assert rows[1e4][-1]["style"] < rows[1e4][0]["style"], "colours may still move"
    parts = sum(value for name, value in rows[1e4][-1].items() if name != "total")
    assert parts == pytest.approx(rows[1e4][-1]["total"], rel=1e-5)


@pytest.mark.parametrize("weight", [1.0, 1e3, 1e6])
def test_the_smoothed_picture_is_that_of_a_dense_solution(pixels: np.ndarray, weight: float) -> None:
    """The normal equations of |x - y|^2 + weight x'Lx, with the slow Laplacian."""
    drawn = np.random.default_rng(1).random(pixels.shape)
    dense = np.eye(42) + weight * slow_laplacian(pixels, 1e-7)
    expected = np.stack([np.linalg.solve(dense, drawn[..., channel].ravel()) for channel in range(3)], -1)
    found = smoothed(drawn, matting_laplacian(pixels), weight)
    assert found.dtype == np.float64
    assert np.sqrt(((found.reshape(42, 3) - expected) ** 2).mean(0)).max() <= 1e-4
    assert np.abs(drawn.reshape(42, 3) - expected).max() > 0.1, "there was something to smooth"
    np.testing.assert_array_equal(smoothed(drawn, matting_laplacian(pixels), weight), found)


def test_smoothing_leaves_what_is_affine_up_to_the_corners(pixels: np.ndarray) -> None:
    """New light, and an even grey, which a Laplacian that is divided by the windows of each pixel would change."""
    laplacian = matting_laplacian(pixels)
    for picture in (pixels @ np.random.default_rng(0).normal(0, 0.5, (3, 3)) + 0.2, np.full((7, 6, 1), 0.4)):
        assert np.abs(smoothed(picture, laplacian, 1e3) - picture).max() < 1e-3, "but for the price of slopes, epsilon"


def test_smoothing_is_the_end_of_the_optimisation(backbone: Backbone, pictures: Path) -> None:
    content, style = (read_picture(pictures / name, 28) for name in ("content.png", "styles/a.png"))
    weights = {"content_weight": 0.1, "style_weight": 10.0, "tv_weight": 0.01, "photorealism": 1e4}
    transfer = StyleTransfer(backbone, content, [style], [1.0], {"body.4": 1.0}, STYLE, **weights)
    found = minimise(transfer, content.clone(), 8, "lbfgs", 0.03, lambda *_: None)
    ended = transfer.smoothed(found)
    before, after = (float(transfer.losses(values)["photorealism"]) for values in (found, ended))
    assert after < before / 2
    assert ended.shape == found.shape
    assert ended.dtype == found.dtype
    assert 0 <= ended.min() <= ended.max() <= 1
