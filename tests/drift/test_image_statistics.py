"""Image statistics on images whose values are known."""

import cv2
import numpy as np
import pytest

from sightline.operations.drift.statistics import STATISTICS, image_statistics


def noise(deviation: float, height: int = 60, width: int = 90) -> np.ndarray:
    grey = np.random.default_rng(0).normal(128, deviation, (height, width))
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_flat_colours() -> None:
    found = image_statistics(np.full((20, 30, 3), (255, 0, 0), np.uint8))
    assert set(found) == set(STATISTICS)
    assert found["brightness"] == pytest.approx(0.299, abs=0.002)
    assert found["saturation"] == 1.0
    assert (found["red-green"], found["yellow-blue"]) == (1.0, 0.5)
    assert (found["contrast"], found["noise"]) == (0.0, 0.0)
    assert found["sharpness"] == pytest.approx(-3.0, abs=1e-6)
    assert found["size"] == pytest.approx(np.sqrt(600))
    assert found["aspect"] == 1.5


def test_noise_is_its_standard_deviation() -> None:
    assert image_statistics(noise(8))["noise"] == pytest.approx(8, rel=0.05)


def test_blur_lowers_sharpness() -> None:
    sharp = noise(20)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    assert image_statistics(blurred)["sharpness"] < image_statistics(sharp)["sharpness"] - 1
