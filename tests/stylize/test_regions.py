"""Style between regions that belong together: masks, Gram matrices against a slow loop, files and their mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.labs.stylize.networks import Backbone
from sightline.labs.stylize.pictures import read_picture
from sightline.labs.stylize.regions import Regions, pooled, read_regions
from sightline.labs.stylize.transfer import StyleTransfer, minimise
from sightline.models.style.losses import as_maps, gram, region_grams
from sightline.system.errors import UserError

STYLE = {"body.1": 1.0, "body.4": 1.0}
RED, BLUE = (255, 0, 0), (0, 0, 255)


def write_map(path: Path, shape: tuple[int, int], left: Any, right: Any) -> Path:
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[:, : shape[1] // 2], pixels[:, shape[1] // 2 :] = left, right
    Image.fromarray(pixels).save(path)
    return path


def halves(shape: tuple[int, int]) -> torch.Tensor:
    left = torch.zeros(shape)
    left[:, : shape[1] // 2] = 1
    return torch.stack([left, 1 - left])


def test_gram_of_a_region_is_the_mean_product_over_its_places() -> None:
    maps, mask = torch.rand(1, 3, 4, 6), halves((4, 6))
    found = region_grams(as_maps(maps), mask.flatten(1))
    for region in range(2):
        expected = torch.zeros(3, 3)
        for row in range(4):
            for column in range(6):
                if mask[region, row, column]:
                    expected += torch.outer(maps[0, :, row, column], maps[0, :, row, column]) / 12
        assert torch.allclose(found[region], expected, atol=1e-6)
    whole = region_grams(as_maps(maps), torch.ones(1, 24))
    assert torch.allclose(whole[0], gram(as_maps(maps)))


def test_masks_are_pooled_to_the_share_of_each_place() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[0, :, :3] = 1
    assert torch.allclose(pooled(mask, (0, 0), (2, 2))[0], torch.tensor([1.0, 0.5, 1.0, 0.5]))
    assert torch.allclose(pooled(halves((8, 8)), (3, 3), (7, 7)).sum(0), torch.tensor(1.0)), "of all regions together"


def test_maps_are_matched_by_colour(tmp_path: Path) -> None:
    content = write_map(tmp_path / "c.png", (10, 20), RED, BLUE)
    style = write_map(tmp_path / "s.png", (6, 6), BLUE, RED)
    regions = read_regions(content, style, (5, 10), (6, 6))
    assert regions.content.shape == (2, 5, 10)
    assert regions.shares == [0.5, 0.5]
    assert torch.equal(regions.content[0, :, 0], torch.zeros(5)), "blue, the smaller number, is on the right"
    assert torch.equal(regions.style[0, :, 0], torch.ones(6)), "and on the left of the style"


@pytest.mark.parametrize("broken", ["missing", "text", "photograph", "colours"])
def test_wrong_maps_are_told(tmp_path: Path, broken: str) -> None:
    content = write_map(tmp_path / "c.png", (10, 20), RED, BLUE)
    style = write_map(tmp_path / "s.png", (6, 6), RED, RED)
    match broken:
        case "missing":
            content.unlink()
            told = "c.png: no such map of regions"
        case "text":
            content.write_text("x")
            told = "c.png: not a readable picture"
        case "photograph":
            pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
            Image.fromarray(pixels).save(content)
            told = "colours, at most 16 are allowed"
        case _:
            told = "regions.style: .*s.png: has no pixel of #0000ff, which .*c.png has; it has #ff0000"
    with pytest.raises(UserError, match=told):
        read_regions(content, style, (10, 20), (6, 6))


def test_style_stays_in_its_region(backbone: Backbone, tmp_path: Path) -> None:
    """A grey content; the style is dark on the left and bright on the right, or with exchanged regions the reverse."""
    content = torch.full((1, 3, 24, 24), 0.5) + 0.02 * torch.rand(1, 3, 24, 24)
    style = torch.rand(1, 3, 24, 24) * 0.2
    style[..., 12:] += 0.8
    mask = halves((24, 24))
    brighter = []
    for own in (mask, mask.flip(0)):
        transfer = StyleTransfer(
            backbone,
            content,
            [style],
            [1.0],
            {"body.4": 1.0},
            STYLE,
            content_weight=0.0,
            style_weight=10.0,
            tv_weight=0.0,
            regions=Regions(own, mask),
        )
        found = minimise(transfer, content.clone(), 30, "lbfgs", 0.03, lambda *_: None)
        brighter.append(float(found[..., 14:].mean() - found[..., :10].mean()))
    assert brighter[0] > 0.05
    assert brighter[1] < -0.05


def test_regions_of_the_whole_picture_are_no_regions(backbone: Backbone, pictures: Path) -> None:
    content, style = (read_picture(pictures / name, 28) for name in ("content.png", "styles/a.png"))
    ones = Regions(torch.ones(1, *content.shape[2:]), torch.ones(1, *style.shape[2:]))
    found = []
    for regions in (None, ones):
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
            regions=regions,
        )
        found.append(float(transfer.losses(content)["total"]))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
