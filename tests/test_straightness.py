"""Whether straight lines of a photograph are straight in another picture, whatever its colours and contrast."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.straightness import found_again, measure, wanted_lines, wavy
from sightline.data.structures import UINT8


@pytest.fixture(scope="module")
def photograph() -> UINT8:
    """A house of dark beams on a sky that is not even."""
    picture = np.full((160, 200, 3), 200, np.uint8)
    picture[..., 2] = np.linspace(150, 230, 160)[:, None]
    cv2.rectangle(picture, (40, 60), (150, 140), (120, 60, 40), -1)
    cv2.line(picture, (20, 60), (95, 15), (30, 30, 30), 4, cv2.LINE_AA)
    cv2.line(picture, (170, 60), (95, 15), (30, 30, 30), 4, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def straight(photograph: UINT8, picture: UINT8) -> float:
    return float(np.mean([one.kept for one in measure(wanted_lines(photograph), picture)]))


def test_the_lines_are_there_and_straight_in_other_colours(photograph: UINT8) -> None:
    assert len(wanted_lines(photograph)) >= 4
    assert straight(photograph, photograph) == 1
    faint = (photograph * 0.3 + 90).astype(np.uint8)
    assert straight(photograph, faint) > 0.9
    assert straight(photograph, 255 - photograph[..., ::-1]) > 0.9
    assert found_again(wanted_lines(photograph), photograph) == 1


@pytest.mark.parametrize("amplitude", [1.5, 3.0])
def test_a_wave_of_pixels_bends_them(photograph: UINT8, amplitude: float) -> None:
    assert straight(photograph, wavy(photograph, amplitude)) < 0.3


def test_without_edges_there_is_none(photograph: UINT8) -> None:
    blurred = cv2.GaussianBlur(photograph, (0, 0), 12)
    assert straight(photograph, np.asarray(blurred, np.uint8)) < 0.5
    noise = np.random.default_rng(1).integers(0, 256, photograph.shape).astype(np.uint8)
    assert straight(photograph, noise) < 0.2
