"""Crops against slow oracles, written pixel by pixel; and mean images."""

from pathlib import Path

import numpy as np
import pytest

from sightline.data.crops.cropper import Cropper
from sightline.data.crops.geometry import Region, cut, seen, square_around
from sightline.data.crops.store import moved
from sightline.data.encoding import encode_png
from sightline.data.images import decode, fit
from sightline.data.raw.averages import draw_averages, mean_image
from sightline.data.raw.small_pictures import SIDE, SmallPictures
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS, Crop, Prediction, Sample

BOXES = [(10.0, 20.0, 30.0, 24.0), (0.4, 0.2, 9.9, 30.7), (55.0, 2.0, 60.0, 40.0), (3.0, 3.0, 3.0, 3.0)]


def cut_slowly(image: np.ndarray, region: Region) -> np.ndarray:
    """Take each pixel by itself; grey where there is none."""
    left, top, right, bottom = region
    rows = []
    for y in range(top, bottom):
        row = []
        for x in range(left, right):
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            row.append(image[y, x] if inside else np.full(image.shape[2], 114, np.uint8))
        rows.append(row)
    return np.array(rows, np.uint8)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_a_crop(box: tuple[float, float, float, float], channels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60, channels), np.uint8)
    region = square_around(box, 0.2)
    np.testing.assert_array_equal(cut(image, region), cut_slowly(image, region))


@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("box", BOXES)
def test_a_square_has_the_centre_and_the_longer_side_of_its_box(
    box: tuple[float, float, float, float], margin: float
) -> None:
    left, top, right, bottom = square_around(box, margin)
    assert right - left == bottom - top >= 1
    longer = max(box[2] - box[0], box[3] - box[1])
    assert abs((right - left) - max(1.0, longer * (1 + 2 * margin))) <= 0.5
    assert abs((left + right) / 2 - (box[0] + box[2]) / 2) <= 1
    assert abs((top + bottom) / 2 - (box[1] + box[3]) / 2) <= 1


def test_places_in_a_crop_come_back_and_maps_are_empty_outside() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[12:22, 30:40] = 255
    crop = Crop((25, 7, 45, 27), (30.0, 12.0, 40.0, 22.0))
    pixels, placement = seen(image, crop, 32, "letterbox", None)
    assert pixels.shape == (32, 32, 3)
    corners = np.array([[30, 12], [40, 22], [25, 7], [45, 27]], np.float32)
    within = placement.into_input(corners)
    np.testing.assert_allclose(within, (corners - [25, 7]) * 32 / 20, atol=1e-4)
    np.testing.assert_allclose(placement.into_original(within), corners, atol=1e-4)
    ys, xs = np.nonzero(pixels[..., 0] > 127)
    np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], within[:2].ravel(), atol=1)
    heat = placement.map_into_original(np.ones((32, 32), np.float32), linear=True)
    expected = np.zeros((40, 60), np.float32)
    expected[7:27, 25:45] = 1
    np.testing.assert_array_equal(heat, expected)


def cropper(**changes: object) -> Cropper:
    return Cropper(
        lambda images: [],
        ("cat", "dog"),
        **{"wanted": {0, 1}, "margin": 0.0, "least_score": 0.3, "refuses": False} | changes,
    )  # type: ignore[arg-type]


TWO = Prediction(
    boxes=np.array([[0, 0, 8, 8], [10, 10, 20, 20]], np.float32),
    box_labels=[1, 0],
    box_scores=np.array([0.8, 0.5], np.float32),
)


def test_the_most_confident_box_that_counts_is_chosen() -> None:
    assert cropper().chosen(TWO, 30, 40) == Crop((0, 0, 8, 8), (0.0, 0.0, 8.0, 8.0), "dog", pytest.approx(0.8))
    cat = cropper(wanted={0}).chosen(TWO, 30, 40)
    assert (cat.region, cat.label) == ((10, 10, 20, 20), "cat")
    assert cropper(wanted={0}, least_score=0.6).chosen(TWO, 30, 40) == Crop((0, 0, 40, 30))
    refused = cropper(least_score=0.9, refuses=True).chosen(TWO, 30, 40)
    assert (refused.box, refused.refused) == (None, True)
    nothing = Prediction(boxes=np.zeros((0, 4), np.float32), box_labels=[], box_scores=np.zeros(0, np.float32))
    assert cropper().chosen(nothing, 30, 40) == Crop((0, 0, 40, 30))


def test_a_whole_image_is_seen_as_without_a_detector() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for resize in ("letterbox", "stretch", "crop"):
        pixels, placement = seen(image, Crop((0, 0, 40, 30)), 16, resize, None)  # type: ignore[arg-type]
        np.testing.assert_array_equal(pixels, fit(image, 16, resize))  # type: ignore[arg-type]
        assert (placement.height, placement.width) == (30, 40)


def test_annotations_move_with_their_crop() -> None:
    points = np.array([[[31, 15, 2], [0, 0, 0]]], np.float32)
    sample = Sample("a", b"", boxes=np.array([[30, 12, 40, 22]], np.float32), box_labels=[0], keypoints=points)
    crop = Crop((25, 7, 45, 27))
    changed = moved(sample, crop, np.zeros((20, 20, 1), np.uint8))
    assert changed.boxes is not None
    assert changed.keypoints is not None
    np.testing.assert_array_equal(changed.boxes, [[5, 5, 15, 15]])
    np.testing.assert_array_equal(changed.keypoints[0, 0], [6, 8, 2])
    assert changed.keypoints[0, 1, 2] == 0
    assert decode(changed.image, 1).shape == (20, 20, 1)
    assert sample.keypoints is points
    assert points[0, 0, 0] == 31


def test_refused_answers_tell_nothing_else() -> None:
    said = Prediction(label=0, probabilities=np.array([0.7, 0.3], np.float32), crop=Crop((0, 0, 4, 4), refused=True))
    assert said.as_answer() == Prediction(crop=said.crop)
    kept = Prediction(label=0, crop=Crop((0, 0, 4, 4)))
    assert kept.as_answer() is kept


def test_mean_images_are_means(digits: Path) -> None:
    stores = {split: SplitStore(digits / split) for split in SPLITS}
    members = np.flatnonzero(stores["train"].labels == 3).tolist()[:7]
    total = np.zeros((SIDE, SIDE, 3))
    for index in members:
        total += fit(decode(stores["train"].image(index), 3), SIDE, "stretch")
    average = mean_image(stores["train"], members, SmallPictures())
    assert average is not None
    np.testing.assert_allclose(average, total / 7, atol=0.501)
    assert mean_image(stores["train"], [], SmallPictures()) is None
    sheet = draw_averages(stores, load_labels(digits), SmallPictures())
    assert encode_png(np.asarray(sheet)) == encode_png(
        np.asarray(draw_averages(stores, load_labels(digits), SmallPictures()))
    )
    first = np.asarray(sheet)[6 + 18 : 6 + 18 + SIDE, 6 : 6 + SIDE]
    zeros = np.flatnonzero(stores["train"].labels == 0).tolist()
    np.testing.assert_array_equal(first, mean_image(stores["train"], zeros, SmallPictures()))
