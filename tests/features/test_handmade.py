"""Hand-made features against what they are defined by."""

import cv2
import numpy as np
import pytest

from sightline.data.structures import UINT8
from sightline.training.features.handmade import Gabor, Hog, Pixels
from sightline.training.features.visual_words import VisualWords


def digits(count: int, size: int = 28) -> UINT8:
    from sklearn.datasets import load_digits

    images = (load_digits().images[:count] * 15.9).astype(np.uint8)
    return np.stack([cv2.resize(image, (size, size)) for image in images])[..., None]


def grating(angle: float, wavelength: float, size: int = 64, light: float = 0.0) -> UINT8:
    """Waves that run along `angle`."""
    y, x = np.mgrid[:size, :size]
    wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
    return np.clip(128 + light + 60 * wave, 0, 255).astype(np.uint8)[None, ..., None]


def test_pixels_are_the_image_row_by_row() -> None:
    images = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    found = Pixels(3, 3)(images)["pixels"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, images.reshape(2, 27) / 255, rtol=1e-6)


def test_gabor_answers_to_direction_and_wavelength_and_not_to_brightness() -> None:
    bank = Gabor([4.0, 8.0], 4, 1)
    for ring, wavelength in enumerate((4.0, 8.0)):
        for orientation in range(4):
            found = bank(grating(np.pi * orientation / 4, wavelength))["gabor"][0].reshape(2, 4)
            assert np.unravel_index(found.argmax(), found.shape) == (ring, orientation)
    dark, bright = (bank(grating(0.3, 6.0, light=light))["gabor"] for light in (0, 40))
    np.testing.assert_allclose(dark, bright, atol=2e-3)
    assert bank(np.full((1, 64, 64, 1), 200, np.uint8))["gabor"].max() < 1e-4


def test_gabor_cells_lie_row_by_row() -> None:
    image = np.full((1, 64, 64, 1), 128, np.uint8)
    image[0, :32, 32:] = grating(0.0, 4.0)[0, :32, 32:]
    found = Gabor([4.0], 1, 2)(image)["gabor"][0]
    assert found.argmax() == 1


def test_hog_has_the_shape_of_its_blocks_and_turns_with_the_image() -> None:
    hog = Hog(32, 8, 2, 9)
    assert hog.dimensions == {"hog": 3 * 3 * 4 * 9}
    for orientation in range(9):
        angle = np.pi * (orientation + 0.5) / 9  # the middle of a bin
        found = hog(grating(angle, 8.0, 32))["hog"][0].reshape(-1, 9).sum(0)
        assert found.argmax() == orientation
    assert np.isfinite(hog(np.zeros((2, 32, 32, 1), np.uint8))["hog"]).all()
    blocks = hog(digits(3, 32))["hog"].reshape(3, 9, 36)
    lengths = np.linalg.norm(blocks, axis=2)
    assert (lengths <= 1 + 1e-3).all()


@pytest.mark.parametrize("sampling", ["dense", "keypoints"])
def test_words_are_shares_of_the_nearest_clusters(sampling: str) -> None:
    images = digits(40)
    words = VisualWords(28, 12, sampling, 7, 8, "tf", 1000)  # type: ignore[arg-type]
    words.fit(lambda: iter([images[:25], images[25:]]), 40, 0)
    found = words(images)["visual_words"]
    sums = found.sum(1)
    assert set(np.round(sums, 5)) <= {0.0, 1.0}  # an image without any point has no words
    assert sums.mean() > 0.5
    grey = images[3, ..., 0]
    if sampling == "dense":
        points = [cv2.KeyPoint(x + 3.5, y + 3.5, 8.0) for y in range(0, 28, 7) for x in range(0, 28, 7)]
        described = cv2.SIFT.create().compute(grey, points)[1]
    else:
        described = cv2.SIFT.create().detectAndCompute(grey, None)[1]
    if described is not None:
        counts = np.zeros(12)
        for row in described:
            counts[np.linalg.norm(words.centres - row, axis=1).argmin()] += 1
        np.testing.assert_allclose(found[3], counts / counts.sum(), atol=1e-6)


def test_words_of_all_images_count_nothing_in_tf_idf() -> None:
    images = digits(40)
    plain, weighted = (VisualWords(28, 12, "dense", 7, 8, weighting, 1000) for weighting in ("tf", "tf_idf"))  # type: ignore[arg-type]
    for words in (plain, weighted):
        words.fit(lambda: iter([images]), 40, 0)
    having = (plain(images)["visual_words"] > 0).sum(0)
    np.testing.assert_allclose(weighted.importance, np.log(40 / np.maximum(having, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        weighted(images)["visual_words"], plain(images)["visual_words"] * weighted.importance, rtol=1e-5
    )


def test_too_many_words_are_told() -> None:
    from sightline.system.errors import UserError

    blank = np.zeros((4, 28, 28, 1), np.uint8)
    words = VisualWords(28, 12, "keypoints", 7, 8, "tf", 1000)
    with pytest.raises(UserError, match=r"extractor.words: 12: only 0 descriptors .* extractor.sampling: dense"):
        words.fit(lambda: iter([blank]), 4, 0)
