"""What is said of tiles becomes what is said of the image: against a slow oracle, at borders, and exactly for maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from sightline.config.models import Input
from sightline.config.tasks import Detection, InstanceSegmentation, SemanticSegmentation
from sightline.config.tiling import Tiling
from sightline.data.encoding import encode_rle
from sightline.data.structures import LabelMap, Prediction
from sightline.data.tiles import tile_at, tiles_over
from sightline.tasks.semantic_segmentation import SemanticSegmentation as Segmenter
from sightline.training.sight import Sight
from sightline.training.tiles.maps import TileMaps
from sightline.training.tiles.objects import cut_by_tiles, merged

LABELS = LabelMap(("a", "b", "c"), ("a", "b", "c"))


def _area(box: list[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _common(one: list[float], other: list[float]) -> float:
    return _area([max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])])


def slowly_merged(objects: list[dict[str, Any]], iou: float, inside: float) -> list[int]:
    """One pair after the other, as the documentation says it."""
    rank = {n: one["score"] * (0.5 if one["cut"] else 1.0) for n, one in enumerate(objects)}
    kept: list[int] = []
    for n in sorted(rank, key=lambda n: -rank[n]):
        overlaps = []
        for other in kept:
            if objects[other]["label"] == objects[n]["label"]:
                common = _common(objects[n]["box"], objects[other]["box"])
                whole = _area(objects[n]["box"]) + _area(objects[other]["box"]) - common
                overlaps.append(common / whole)
        if not overlaps or max(overlaps) <= iou:
            kept.append(n)
    left: list[int] = []
    for n in [n for n in kept if not objects[n]["cut"]] + [n for n in kept if objects[n]["cut"]]:
        one = objects[n]
        others = [
            objects[m]
            for m in left
            if objects[m]["label"] == one["label"] and objects[m]["tile"] != one["tile"] and one["cut"]
        ]
        if not any(_common(one["box"], other["box"]) / _area(one["box"]) > inside for other in others):
            left.append(n)
    return sorted(left, key=lambda n: -objects[n]["score"])


@pytest.mark.parametrize("seed", range(6))
def test_merging_is_that_of_the_slow_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 120
    corners = rng.uniform(0, 90, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(3, 40, (count, 2))], 1).astype(np.float32)
    labels, tiles = rng.integers(0, 3, count), rng.integers(0, 4, count)
    scores = rng.permutation(np.linspace(0.05, 1, count)).astype(np.float32)
    cut = rng.random(count) < 0.4
    objects = [
        {"box": [float(edge) for edge in box], "label": label, "score": float(score), "tile": tile, "cut": part}
        for box, label, score, tile, part in zip(boxes, labels, scores, tiles, cut, strict=True)
    ]
    kept = merged(boxes, labels, scores, tiles, cut, 0.4, 0.6)
    assert kept.tolist() == slowly_merged(objects, 0.4, 0.6)
    assert 10 < len(kept) < count


def _merge(*objects: tuple[list[float], float, int, bool]) -> list[int]:
    boxes = np.array([box for box, *_ in objects], np.float32)
    scores = np.array([score for _, score, *_ in objects], np.float32)
    tiles, cut = np.array([tile for *_, tile, _ in objects]), np.array([part for *_, part in objects])
    kept: list[int] = merged(boxes, np.zeros(len(objects), np.int64), scores, tiles, cut, 0.5, 0.5).tolist()
    return kept


def test_what_a_tile_cut_gives_way_to_the_whole_object() -> None:
    whole, half, other = [90.0, 0, 110, 20], [90.0, 0, 100, 20], [200.0, 0, 210, 20]
    assert _merge((half, 0.9, 0, True), (whole, 0.6, 1, False)) == [1], "however confident its tile was"
    assert _merge((half, 0.9, 0, True), (other, 0.6, 1, False)) == [0, 1], "nobody else sees it: it stays"
    assert _merge((half, 0.9, 0, False), (whole, 0.6, 1, False)) == [0, 1], "one in another is not cut"
    assert _merge((half, 0.9, 0, True), (whole, 0.6, 0, False)) == [0, 1], "the same tile tells them apart"
    assert _merge((whole, 0.9, 0, True), (whole, 0.06, 1, False)) == [0], "but hardly anything is no whole object"


def test_only_borders_where_the_image_goes_on_cut() -> None:
    tiles = [tile_at(0, 0, 64, 100, 100), tile_at(36, 36, 64, 100, 100)]
    boxes = np.array([[0, 0, 20, 20], [40, 5, 64, 20], [44, 30, 64, 64], [0, 10, 9, 20]], np.float32)
    assert cut_by_tiles(boxes, [tiles[0], tiles[0], tiles[1], tiles[1]], 100, 100, 64).tolist() == [
        False,
        True,
        False,
        True,
    ]


class _Finder:
    """Says of each tile which coloured squares are in it, as far as they are: red is class 0, green 1, blue 2."""

    def __init__(self, side: int, masks: bool) -> None:
        self.side, self.masks = side, masks

    def predictions(self, outputs: np.ndarray, placements: Any) -> list[Prediction]:
        return [self._found(pixels, place) for pixels, place in zip(outputs, placements, strict=True)]

    def _found(self, pixels: np.ndarray, place: Any) -> Prediction:
        boxes, labels, masks = [], [], []
        for label in range(3):
            seen = pixels[: place.height, : place.width, label] > 200
            if not seen.any():
                continue
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            labels.append(label)
            masks.append(encode_rle(seen))
        scores = np.linspace(0.9, 0.8, len(boxes)).astype(np.float32)
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return Prediction(boxes=found, box_labels=labels, box_scores=scores, instances=masks if self.masks else None)


SQUARES = [[5, 5, 20, 20], [55, 50, 75, 70], [100, 120, 118, 140]]  # the second is cut by some tiles


@pytest.mark.parametrize("masks", [False, True])
def test_objects_are_found_once_and_whole_in_the_image(masks: bool) -> None:
    image = np.zeros((150, 130, 3), np.uint8)
    for label, (x1, y1, x2, y2) in enumerate(SQUARES):
        image[y1:y2, x1:x2, label] = 255
    kind = InstanceSegmentation(kind="instance_segmentation") if masks else Detection(kind="detection")
    sight = Sight(Input(size=64, channels=3), Tiling(size=64, overlap=0.4), kind)
    seen, placed = sight.see(image)
    assert (placed.height, placed.width) == (150, 130)
    shapes: list[tuple[int, ...]] = []

    def run(pixels: np.ndarray) -> np.ndarray:
        shapes.append(pixels.shape)
        return pixels

    finder: Any = _Finder(64, masks)
    [said] = sight.predictions(finder, run, [seen], [placed])
    assert said.boxes is not None
    found = sorted(zip(said.box_labels or [], said.boxes.tolist(), strict=True))
    assert found == [(label, [float(edge) for edge in box]) for label, box in enumerate(SQUARES)]
    assert max(shape[0] for shape in shapes) <= 16
    assert sum(shape[0] for shape in shapes) == len(tiles_over(150, 130, 64, 0.4))
    if masks:
        for mask, label in zip(said.instances or [], said.box_labels or [], strict=True):
            np.testing.assert_array_equal(coco_mask.decode(mask) == 1, image[..., label] > 0)


def test_an_image_without_objects_has_none() -> None:
    sight = Sight(Input(size=64, channels=3), Tiling(size=64), Detection(kind="detection"))
    finder: Any = _Finder(64, False)
    [said] = sight.predictions(finder, lambda pixels: pixels, *sight_of(sight, np.zeros((90, 90, 3), np.uint8)))
    assert said.boxes is not None
    assert said.boxes.shape == (0, 4)
    assert said.box_labels == []


def sight_of(sight: Sight, image: np.ndarray) -> tuple[Any, Any]:
    seen, placed = sight.see(image)
    return [seen], [placed]


def _identity() -> Segmenter:
    """Scores are the pixels themselves."""
    return Segmenter(torch.nn.Identity(), "head", LABELS, [0.0] * 3, [1 / 255] * 3).eval()


@pytest.mark.parametrize(("height", "width"), [(150, 130), (64, 64), (30, 200), (97, 65)])
def test_a_segmenter_that_repeats_the_pixels_gives_the_exact_map(height: int, width: int) -> None:
    truth = np.random.default_rng(height).integers(0, 3, (height, width))
    image = (255 * np.eye(3)[truth]).astype(np.uint8)
    task = _identity()
    sight = Sight(
        Input(size=64, channels=3), Tiling(size=64, overlap=0.3), SemanticSegmentation(kind="semantic_segmentation")
    )
    [said] = sight.predictions(task, lambda pixels: task(torch.from_numpy(pixels)), *sight_of(sight, image))
    np.testing.assert_array_equal(said.semantic, truth)


def test_tiles_of_another_size_than_the_input_give_the_map_of_their_pixels() -> None:
    truth = np.kron(np.random.default_rng(1).integers(0, 3, (10, 9)), np.ones((16, 16), int))
    image = (255 * np.eye(3)[truth]).astype(np.uint8)
    task = _identity()
    sight = Sight(
        Input(size=96, channels=3), Tiling(size=64, overlap=0.25), SemanticSegmentation(kind="semantic_segmentation")
    )
    [said] = sight.predictions(task, lambda pixels: task(torch.from_numpy(pixels)), *sight_of(sight, image))
    assert said.semantic is not None
    assert np.mean(said.semantic == truth) > 0.98


def test_where_tiles_overlap_the_mean_of_probabilities_decides() -> None:
    """Against sums over the whole image, with weights computed pixel by pixel."""
    height, width, side = 90, 70, 32
    tiles = tiles_over(height, width, side, 0.3)
    scores = torch.randn(len(tiles), 3, side, side, generator=torch.Generator().manual_seed(0))
    maps = TileMaps(height, width, side)
    task = _identity()
    for start in range(0, len(tiles), 5):
        maps.add(task, scores[start : start + 5], tiles[start : start + 5])
    sums = np.zeros((height, width, 3))
    for tile, own in zip(tiles, scores.double().softmax(1).numpy(), strict=True):
        for y in range(tile.height):
            for x in range(tile.width):
                weight = min(y + 1, side - y) * min(x + 1, side - x)
                sums[tile.top + y, tile.left + x] += weight * own[:, y, x]
    said = maps.prediction().semantic
    assert said is not None
    assert np.mean(said == sums.argmax(2)) > 0.999, "but for ties"
    alone = np.mean(said[:10, :10] == scores[0, :, :10, :10].argmax(0).numpy())
    assert alone == 1
