"""Where tiles are, and what a network sees of each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sightline.data.images import PAD_VALUE
from sightline.data.recent import Recent
from sightline.data.tiles import cut, tile_at, tiles_over


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (256, 256), (257, 300), (90, 700), (1000, 40), (513, 767)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.75])
def test_every_pixel_is_in_a_tile_and_neighbours_overlap(height: int, width: int, overlap: float) -> None:
    tiles = tiles_over(height, width, 256, overlap)
    covered = np.zeros((height, width), int)
    for tile in tiles:
        assert tile.top + tile.height <= height
        assert tile.left + tile.width <= width
        assert (tile.height == 256) == (height >= 256)
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert covered.min() >= 1
    for starts in (sorted({tile.top for tile in tiles}), sorted({tile.left for tile in tiles})):
        assert all(after - before <= 256 * (1 - overlap) for before, after in itertools.pairwise(starts))
    assert tiles == sorted(tiles), "row after row"
    assert len(set(tiles)) == len(tiles)


def test_no_more_tiles_than_needed() -> None:
    assert len(tiles_over(1024, 1024, 256, 0.0)) == 16
    assert len(tiles_over(1024, 1024, 256, 0.25)) == 25
    assert len(tiles_over(200, 256, 256, 0.25)) == 1


def test_a_tile_is_its_part_of_the_image_and_grey_beyond() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    tile = tile_at(10, 6, 64, 50, 70)
    seen = cut(image, tile, 64)
    np.testing.assert_array_equal(seen[:40], image[10:, 6:])
    assert (seen[40:] == PAD_VALUE).all()
    seen[:] = 0
    assert image[10:, 6:].any(), "it is no view of the image"
    assert cut(image, tile_at(0, 0, 32, 50, 70), 48).shape == (48, 48, 3)
    point = np.array([[16.0, 24.0]], np.float32)
    np.testing.assert_allclose(tile_at(0, 0, 32, 50, 70).placement(48).into_input(point), [[24.0, 36.0]])


def test_only_so_many_bytes_are_kept() -> None:
    made: list[int] = []

    def make(number: int) -> np.ndarray:
        made.append(number)
        return np.full(10, number, np.uint8)

    recent = Recent(make, 25)
    for number in (0, 1, 0, 2, 0, 1):
        assert (recent[number] == number).all()
    assert made == [0, 1, 2, 1], "0 was used again, so 1 went first"
    large = Recent(make, 5)
    assert (large[7] == 7).all()
    assert (large[7] == 7).all()
    assert made[4:] == [7]
