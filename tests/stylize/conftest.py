"""A small network with random weights, and pictures of a few pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.labs.stylize.networks import Backbone


@pytest.fixture
def backbone() -> Backbone:
    """Three sizes of maps, a residual ReLU that is used twice, and a dense layer for 24 px."""
    torch.manual_seed(3)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
    )
    network = nn.Sequential()
    network.add_module("body", body)
    network.add_module("flatten", nn.Flatten())
    network.add_module("head", nn.Linear(16 * 6 * 6, 4))
    network.eval().requires_grad_(False)
    column = torch.full((3, 1, 1), 0.5)
    return Backbone(network, "small", 3, column, column, ("ant", "bee", "cat", "dog"))


def draw(path: Path, seed: int, height: int = 20, width: int = 28) -> Path:
    """Write stripes in two colours, whose width, direction and colours depend on the seed."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    angle, period = random.uniform(0, np.pi), random.uniform(4, 9)
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)[..., None] / 2 + 0.5
    first, second = random.uniform(60, 200, (2, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((wave * first + (1 - wave) * second).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with content.png and styles/{a,b}.png."""
    draw(tmp_path / "content.png", 1)
    draw(tmp_path / "styles/a.png", 2)
    draw(tmp_path / "styles/b.png", 5)
    return tmp_path
