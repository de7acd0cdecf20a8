"""Tiles that a network learns from: always the same ones, with what is in them, and nothing that is hardly seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sightline.config.datasets import Scenes
from sightline.data.images import PAD_VALUE, decode
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import IGNORED
from sightline.data.tiles import tile_at
from sightline.data.vary.tile_draws import DrawnTiles

SIZE = 64
ALL = ("boxes", "box_labels", "instances", "semantic")


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> SplitStore:
    """Scenes of 200 px with up to eight digits."""
    folder = tmp_path_factory.mktemp("prepared") / "large"
    section = Scenes(format="scenes", root="data/embedded", count=14, size=200, max_objects=8)
    prepare("large", section, folder, progress=False)
    return SplitStore(folder / "train")


def drawn(store: SplitStore, fields: Any = ALL, **options: Any) -> DrawnTiles:
    given = {"side": SIZE, "channels": 3, "interpolation": None, "size": SIZE, "per_image": 3}
    return DrawnTiles(store, fields, **{**given, "empty": 0.2, "least_visible": 0.5, "seed": 1, **options})


def test_a_tile_is_a_function_of_seed_epoch_sample_and_number(train: SplitStore) -> None:
    one, again, other = drawn(train), drawn(train), drawn(train, seed=2)
    assert len(one) == 3 * len(train)
    assert len(set(one.ids)) == len(one)
    places = [0, 5, 9, 2]
    first = [one.draw(4, place)[0] for place in places]
    for place, pixels in zip(reversed(places), reversed(first), strict=True):
        np.testing.assert_array_equal(again.draw(4, place)[0], pixels)
    assert not np.array_equal(one.draw(5, 0)[0], first[0])
    assert not np.array_equal(other.draw(4, 0)[0], first[0])
    assert not np.array_equal(one.draw(4, 1)[0], one.draw(4, 2)[0]), "of one image"


def _whole(store: SplitStore, number: int) -> tuple[np.ndarray, Any]:
    return decode(store.image(number), 3), store.sample(number)


def test_what_is_in_a_tile_is_what_the_image_has_there(train: SplitStore) -> None:
    """Found again in the image by its pixels, where nothing was painted over."""
    tiles = drawn(train, least_visible=0.01)
    kept = 0
    for index in range(len(tiles)):
        image, sample = _whole(train, index // 3)
        pixels, geometry = tiles.draw(0, index)
        found = [
            (top, left)
            for top in range(200 - SIZE + 1)
            for left in range(200 - SIZE + 1)
            if (image[top, left] == pixels[0, 0]).all()
            and np.array_equal(image[top : top + SIZE, left : left + SIZE], pixels)
        ]
        if len(found) != 1:
            continue
        [(top, left)] = found
        kept += 1
        assert geometry.semantic is not None
        assert geometry.masks is not None
        np.testing.assert_array_equal(geometry.semantic, sample.semantic[top : top + SIZE, left : left + SIZE])
        masks = [coco_mask.decode(one)[top : top + SIZE, left : left + SIZE] for one in sample.instances]
        there = [(label, mask) for label, mask in zip(sample.box_labels, masks, strict=True) if mask.sum() > 40]
        for label, mask in there:
            assert any(
                own == label and np.array_equal(seen, mask)
                for own, seen in zip(geometry.box_labels, geometry.masks, strict=True)
            )
        for box, mask in zip(geometry.boxes, geometry.masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert kept >= len(tiles) // 2


class _Fixed(DrawnTiles):
    """Draws the tile that it is told."""

    corner = (0, 0)

    def _chosen(self, rng: Any, boxes: Any, height: int, width: int) -> Any:
        return tile_at(*self.corner, self.size, height, width)


@pytest.mark.parametrize(("seen", "learned"), [(0.7, True), (0.51, True), (0.45, False), (0.1, False)])
def test_an_object_that_is_cut_is_learned_if_enough_is_seen_and_painted_over_if_not(
    train: SplitStore, seen: float, learned: bool
) -> None:
    tiles = _Fixed(train, ("boxes", "box_labels"), **_OPTIONS)
    sample = train.sample(0)
    image = decode(train.image(0), 3)
    assert sample.boxes is not None
    x1, y1, x2, y2 = sample.boxes[0].tolist()
    left = max(0, round(x1 + (1 - seen) * (x2 - x1)))  # the tile begins within the object
    top = int(min(max(0, y1 - 20), 200 - SIZE))
    tiles.corner = (top, left)
    pixels, geometry = tiles.draw(0, 0)
    own = [box for box, label in zip(geometry.boxes, geometry.box_labels, strict=True) if label == sample.box_labels[0]]
    part = [0, y1 - top, x2 - left, y2 - top]
    assert any(np.allclose(box, part) for box in own) == learned
    area = (slice(int(y1) - top, int(y2) - top), slice(0, int(x2) - left))
    others = [box for box in geometry.boxes if box[0] < x2 - left and box[1] < y2 - top and box[3] > y1 - top]
    if not learned and not others:
        assert (pixels[area] == PAD_VALUE).all(), "neither an object nor background"
    if learned:
        np.testing.assert_array_equal(
            pixels[area], image[int(y1) : int(y2), left : int(x2)], "others are not painted over it"
        )


_OPTIONS: dict[str, Any] = {
    "side": SIZE,
    "channels": 3,
    "interpolation": None,
    "size": SIZE,
    "per_image": 1,
    "empty": 0.0,
    "least_visible": 0.5,
    "seed": 0,
}


def test_a_share_of_tiles_has_no_object(train: SplitStore) -> None:
    fields = ("boxes", "box_labels")
    counts = {}
    for empty in (0.0, 0.5, 1.0):
        tiles = drawn(train, fields, empty=empty, per_image=20)
        counts[empty] = np.mean([len(tiles.draw(0, index)[1].boxes) == 0 for index in range(len(tiles))])
    assert counts[0.0] == 0, "around an object there is one"
    assert 0.3 < counts[0.5] < 0.6
    assert counts[1.0] > 0.7, "where an image has room for it"


def test_tiles_larger_than_the_image_and_enlarged_ones(train: SplitStore) -> None:
    tiles = drawn(train, size=256, side=128)
    pixels, geometry = tiles.draw(0, 0)
    assert pixels.shape == (128, 128, 3)
    assert (pixels[101:] == PAD_VALUE).all()
    assert geometry.semantic is not None
    assert (geometry.semantic[101:] == IGNORED).all()
    sample = train.sample(0)
    assert sample.boxes is not None
    assert len(geometry.boxes) == len(sample.boxes)
    large = drawn(train, ("boxes", "box_labels"), size=32, side=64, empty=0.0)
    _, geometry = large.draw(0, 0)
    assert (geometry.boxes[:, 2:] <= 64).all()
    assert (geometry.boxes >= 0).all()


def test_large_scenes_have_the_digits_that_were_asked_for(tmp_path: Path) -> None:
    section = Scenes(format="scenes", root="x", count=4, size=700, max_objects=24, digit_size=[24, 28])
    from sightline.data.raw.formats import open_source

    source = open_source(section)
    most = 0
    for index in range(4):
        sample = source.sample(index)
        assert sample.boxes is not None
        assert decode(sample.image, 3).shape == (700, 700, 3)
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        assert sides.max() <= 34
        masks = np.stack([coco_mask.decode(one) for one in sample.instances])
        assert masks.sum(0).max() == 1
        most = max(most, len(masks))
    assert most > 8


@pytest.mark.parametrize("sides", [[30, 20], [20, 90]])
def test_digits_that_have_no_room_are_refused(sides: list[int]) -> None:
    with pytest.raises(ValueError, match="must be least and largest, at most two thirds of size"):
        Scenes(format="scenes", root="x", size=96, digit_size=sides)
