"""The embedded data: every label is known by construction."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from raw_folders import config

from sightline.data.encoding import decode_rle, encode_rle
from sightline.data.images import decode
from sightline.data.raw.builtin import scanned_digits
from sightline.data.raw.builtin_figures import JOINTS, MIRRORED, FiguresSource, draw_pose
from sightline.data.raw.builtin_scenes import ScenesSource
from sightline.data.raw.formats import open_source


def test_digits_are_the_scans() -> None:
    source = open_source(config(format="digits", root="x"))
    images, targets = scanned_digits()
    assert len(source) == 1797
    assert (images.min(), images.max()) == (0, 255)
    for index in (0, 5, 1796):
        sample = source.sample(index)
        assert (sample.source, sample.label, sample.split) == (f"digit/{index:04}", targets[index], None)
        np.testing.assert_array_equal(decode(sample.image, 1)[..., 0], images[index])


@pytest.mark.parametrize(("size", "most"), [(96, 4), (64, 1), (400, 8)])
def test_scene_labels_fit_each_other(size: int, most: int) -> None:
    source = ScenesSource(40, size, most, 3)
    numbers = set()
    for index in range(len(source)):
        sample = source.sample(index)
        masks = np.stack([decode_rle(instance) for instance in sample.instances])
        assert masks.shape == (len(sample.box_labels), size, size)
        assert masks.sum(axis=0).max() == 1  # no pixel has two owners
        assert sample.semantic is not None
        assert sample.boxes is not None
        wanted = np.zeros((size, size), int)
        for mask, digit, box, area in zip(masks, sample.box_labels, sample.boxes, sample.area, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert area == mask.sum() > 20
            wanted[mask] = digit + 1
        np.testing.assert_array_equal(sample.semantic, wanted)
        assert sample.label == sample.box_labels[int(np.argmax(sample.area))]
        assert decode(sample.image, 3).shape == (size, size, 3)
        numbers.add(len(masks))
    assert 1 in numbers
    assert max(numbers) <= most
    assert most == 1 or max(numbers) > 1


def test_scenes_have_values_and_labels() -> None:
    source = ScenesSource(10, 96, 4, 0)
    assert source.labels.values == ("objects", "brightness")
    for index in range(len(source)):
        sample = source.sample(index)
        assert sample.labels == sorted(set(sample.box_labels))
        assert sample.values[0] == len(sample.box_labels)
        assert abs(sample.values[1] - decode(sample.image, 1).mean() / 255) < 0.005


@pytest.mark.parametrize("size", [64, 96, 300])
def test_figure_labels_fit_each_other(size: int) -> None:
    source = FiguresSource(40, size, 3)
    seen = Counter[int]()
    for index in range(len(source)):
        sample = source.sample(index)
        mask = decode_rle(sample.instances[0])
        assert sample.boxes is not None
        assert sample.keypoints is not None
        assert sample.keypoints.shape == (1, 13, 3)
        rows, columns = np.nonzero(mask)
        assert sample.boxes.tolist() == [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        np.testing.assert_array_equal(sample.semantic, mask.astype(np.uint8))
        for x, y, visibility in sample.keypoints[0].tolist():
            seen[int(visibility)] += 1
            assert visibility == 0 or (0 <= x < size and 0 <= y < size)
            assert visibility < 2 or mask[int(y), int(x)]
            assert visibility > 0 or (x, y) == (0, 0)
    assert seen[2] > 10 * seen[1] > 0
    assert seen[2] > 10 * seen[0] > 0


def test_figures_are_built_like_people() -> None:
    place = {name: number for number, name in enumerate(JOINTS)}
    for number in range(200):
        pose = draw_pose(np.random.Generator(np.random.Philox(number)))
        for side in ("left", "right"):
            joints = [pose[place[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]
            lengths = [np.linalg.norm(joints[end] - joints[start]) for start, end in ((0, 1), (1, 2), (3, 4), (4, 5))]
            np.testing.assert_allclose(lengths, [0.186, 0.146, 0.245, 0.246], atol=1e-5)  # Drillis and Contini, 1966
        left, right = pose[place["left_shoulder"]], pose[place["right_shoulder"]]
        assert left[0] > right[0]  # they face the viewer
        assert pose[place["head"]][1] < min(left[1], right[1])


def test_mirrored_figures_are_figures() -> None:
    """Left and right exchange, and the exchange of the exchange is the identity."""
    swapped = [JOINTS[partner] for partner in MIRRORED]
    assert swapped[0] == "head"
    assert all(
        one.replace("left", "right") == other.replace("left", "right")
        for one, other in zip(JOINTS, swapped, strict=True)
    )
    assert all(one != other for one, other in zip(JOINTS[1:], swapped[1:], strict=True))
    assert [MIRRORED[partner] for partner in MIRRORED] == list(range(13))
    assert open_source(config(format="figures", root="x", count=1)).labels.mirrored == MIRRORED


def test_digits_stand_out() -> None:
    source = ScenesSource(200, 96, 1, 0)
    near, far = np.ones((5, 5), np.uint8), np.ones((9, 9), np.uint8)
    for index in range(len(source)):
        sample = source.sample(index)
        grey = decode(sample.image, 1)[..., 0].astype(float)
        mask = decode_rle(sample.instances[0])
        ring = cv2.dilate(mask.astype(np.uint8), far) > cv2.dilate(mask.astype(np.uint8), near)
        assert np.median(np.abs(grey[ring] - np.median(grey[mask]))) > 25  # texture beside it may differ


def test_growing_keeps_the_old_figures() -> None:
    few, many = FiguresSource(3, 96, 0), FiguresSource(100, 96, 0)
    assert [few.sample(index).image for index in (2, 0, 1)] == [many.sample(index).image for index in (2, 0, 1)]
    assert few.sample(0).image != FiguresSource(3, 96, 1).sample(0).image


def test_growing_keeps_the_old_scenes() -> None:
    few, many = ScenesSource(3, 96, 4, 0), ScenesSource(100, 96, 4, 0)
    assert [few.sample(index).image for index in (2, 0, 1)] == [many.sample(index).image for index in (2, 0, 1)]
    assert few.sample(0).image != ScenesSource(3, 96, 4, 1).sample(0).image


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_come_back(mask: np.ndarray) -> None:
    encoded = encode_rle(mask)
    assert encoded["size"] == list(mask.shape)
    np.testing.assert_array_equal(decode_rle(encoded), mask)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=12))
def test_long_runs_come_back(runs: list[int]) -> None:
    mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs)[:, None]
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)


def test_run_lengths_are_those_of_coco() -> None:
    mask = np.zeros((5, 4), bool)
    mask[1:3, 1:3] = True
    # Columns: 6 off, 2 on, 3 off, 2 on, 7 off; from the fourth run on, differences to the run two before.
    assert encode_rle(mask)["counts"] == "6230" + "4"
    assert encode_rle(np.ones((4, 5), bool))["counts"] == "0d0"
    assert encode_rle(np.zeros((10, 10), bool))["counts"] == "T3"
