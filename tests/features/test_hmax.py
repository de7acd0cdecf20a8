"""HMAX against its formulas, written as loops."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sightline.config.features import HmaxExtractor
from sightline.data.structures import UINT8
from sightline.training.features.hmax import Hmax


def figures(count: int, size: int = 24) -> UINT8:
    """A few random strokes each."""
    random = np.random.default_rng(5)
    images = np.zeros((count, size, size), np.uint8)
    for image in images:
        for _ in range(3):
            first, second = random.integers(2, size - 2, (2, 2)).tolist()
            cv2.line(image, first, second, 255, 2, cv2.LINE_AA)
    return images[..., None]


def learned(images: UINT8, prototypes: int = 6) -> Hmax:
    hmax = Hmax([5, 7, 9, 11], 4, 4, prototypes, [2, 3], 0.7)
    hmax.fit(lambda: iter([images[:2], images[2:]]), len(images), 1)
    return hmax


def slow_c1(image: UINT8, sizes: tuple[int, int], banks: tuple[torch.Tensor, torch.Tensor], pool: int) -> np.ndarray:
    """Simple cells window by window, then the strongest of each square and of both sizes."""
    grey, size = image[..., 0].astype(np.float64) / 255, len(image)
    orientations = len(banks[0])
    simple = np.zeros((2, orientations, size, size))
    for place, (side, bank) in enumerate(zip(sizes, banks, strict=True)):
        padded = np.pad(grey, side // 2, mode="edge")
        for row in range(size):
            for column in range(size):
                window = padded[row : row + side, column : column + side]
                window = window - window.mean()
                strength = max(np.sqrt((window**2).sum()), 0.02 * side)
                for orientation in range(orientations):
                    kernel = bank[orientation, 0].double().numpy()
                    simple[place, orientation, row, column] = min(1, abs((window * kernel).sum()) / strength)
    starts = range(0, size - pool // 2, pool // 2)
    found = np.zeros((orientations, len(starts), len(starts)))
    for y, row in enumerate(starts):
        for x, column in enumerate(starts):
            found[:, y, x] = simple[:, :, row : row + pool, column : column + pool].max((0, 2, 3))
    return found


def test_answers_are_those_of_the_formulas() -> None:
    images = figures(5)
    hmax = learned(images)
    image = images[4]
    maps = [
        slow_c1(image, sizes, banks, pool)
        for sizes, banks, pool in zip(((5, 7), (9, 11)), hmax.bands, (4, 6), strict=True)
    ]
    expected = []
    for prototypes in hmax.prototypes:
        side = prototypes.shape[-1]
        for prototype in prototypes.double().numpy():
            best = 0.0
            for band in maps:
                for row in range(band.shape[1] - side + 1):
                    for column in range(band.shape[2] - side + 1):
                        apart = ((band[:, row : row + side, column : column + side] - prototype) ** 2).sum()
                        best = max(best, np.exp(-apart / (2 * 0.7**2 * (side / 4) ** 2)))
            expected.append(best)
    np.testing.assert_allclose(hmax(images)["hmax"][4], expected, atol=2e-4)
    assert np.std(expected) > 0.02


def test_filters_answer_to_their_orientation_and_size() -> None:
    hmax = Hmax([5, 7, 13, 15], 4, 4, 1, [2], 1.0)
    y, x = np.mgrid[:48, :48]
    for band, wavelength in enumerate((3.3, 7.3)):  # about those of Serre's filters of 6 and 14 pixels
        for orientation in range(4):
            angle = np.pi * orientation / 4
            wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
            image = (128 + 100 * wave).astype(np.uint8)[None, ..., None]
            inner = [maps[0, :, 3:-3, 3:-3].mean((1, 2)) for maps in hmax._complex(image)]
            assert inner[band].argmax() == orientation
            assert inner[band][orientation] > inner[1 - band][orientation]


def test_an_image_matches_its_own_prototypes_wherever_they_are_and_at_any_contrast() -> None:
    images = figures(6, 32)
    hmax = learned(images, 6)
    found = hmax(images)["hmax"]
    assert found.shape == (6, 12)
    # Six prototypes of each side out of six images: each is whole in one of them.
    np.testing.assert_allclose(found.max(0), 1, atol=1e-4)
    assert set(found[:, :6].argmax(0).tolist()) == set(range(6))
    np.testing.assert_allclose(hmax(images // 3 + 100)["hmax"], found, atol=0.1)
    padded = np.pad(images, ((0, 0), (12, 12), (12, 12), (0, 0)))
    moved = np.roll(padded, (6, -6), (1, 2))  # steps of both bands' squares
    np.testing.assert_allclose(hmax(moved)["hmax"], hmax(padded)["hmax"], atol=1e-4)


def test_what_is_learned_is_the_same_from_any_batches_and_is_kept(tmp_path: Path) -> None:
    images = figures(7)
    one, other = Hmax([5, 7], 4, 4, 20, [2], 1.0), Hmax([5, 7], 4, 4, 20, [2], 1.0)
    one.fit(lambda: iter([images[:4], images[4:]]), 7, 3)
    other.fit(lambda: iter([images]), 7, 3)
    torch.testing.assert_close(one.prototypes[0], other.prototypes[0])
    assert len(torch.unique(one.prototypes[0].flatten(1), dim=0)) > 7  # more than images: other places of them
    one.write(tmp_path)
    fresh = Hmax([5, 7], 4, 4, 20, [2], 1.0)
    fresh.read(tmp_path)
    np.testing.assert_array_equal(fresh(images)["hmax"], one(images)["hmax"])
    other.fit(lambda: iter([images[:4], images[4:]]), 7, 4)
    assert not torch.equal(one.prototypes[0], other.prototypes[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_blank_and_tiny_images_are_finite(channels: int) -> None:
    images = np.zeros((3, 8, 8, channels), np.uint8)
    images[1] = 255
    hmax = Hmax([5, 7, 29, 31], 4, 4, 5, [2, 6], 1.0)
    hmax.fit(lambda: iter([images]), 3, 0)
    found = hmax(images)["hmax"]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, 1)  # nothing matches nothing


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([5, 8], "8: a filter needs a pixel in its middle; use 9"),
        ([5, 7, 9], "even number"),
        ([7, 5], "smallest first"),
    ],
)
def test_sizes_that_do_not_fit_are_told(sizes: list[int], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        HmaxExtractor(kind="hmax", sizes=sizes)
