"""MixUp, CutMix and Mosaic against slow loops, and in the batches of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.config.augmentations import CutMix, MixUp, Mosaic
from sightline.data.structures import UINT8
from sightline.data.vary.augmentation import boxes_of
from sightline.data.vary.geometry import Geometry
from sightline.tasks.classification import soft_cross_entropy
from sightline.training.datamodule import PreparedData
from sightline.training.mixing import Mixer, cut_mix, draw_window, mix_up, mosaic

RANDOM = np.random.default_rng


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def some_images(count: int, channels: int = 3, size: int = 12) -> UINT8:
    return RANDOM(1).integers(0, 256, (count, size, size, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_mix_up_is_the_weighted_mean(channels: int) -> None:
    images, labels, partner = some_images(4, channels), np.eye(4, dtype=np.float32), np.array([2, 1, 3, 0])
    mixed, soft = mix_up(images, labels, 0.3, partner)
    assert mixed.dtype == np.uint8
    for i, j in enumerate(partner):
        for y in range(12):
            for x in range(12):
                for c in range(channels):
                    assert abs(mixed[i, y, x, c] - (0.3 * images[i, y, x, c] + 0.7 * images[j, y, x, c])) <= 0.5001
        for k in range(4):
            assert soft[i, k] == pytest.approx(0.3 * (i == k) + 0.7 * (j == k))


def test_cut_mix_pastes_a_window_and_counts_its_pixels() -> None:
    images, labels, partner = some_images(3), np.eye(3, dtype=np.float32), np.array([1, 2, 0])
    mixed, soft = cut_mix(images, labels, (2, 5, 9, 11), partner)
    for i, j in enumerate(partner):
        pasted = 0
        for y in range(12):
            for x in range(12):
                inside = 2 <= x < 9 and 5 <= y < 11
                pasted += inside
                assert (mixed[i, y, x] == images[j if inside else i, y, x]).all()
        assert soft[i, j] == pytest.approx(pasted / 144)
        assert soft[i, i] == pytest.approx(1 - pasted / 144)
    np.testing.assert_array_equal(some_images(3), images)  # the originals stay


def test_windows_have_the_wanted_area_unless_they_are_cut_off() -> None:
    random = RANDOM(0)
    areas = []
    for _ in range(400):
        x1, y1, x2, y2 = draw_window(random, 60, 90, 0.16)
        assert 0 <= x1 <= x2 <= 90
        assert 0 <= y1 <= y2 <= 60
        if x1 > 0 and y1 > 0 and x2 < 90 and y2 < 60:
            areas.append((x2 - x1) * (y2 - y1) / 5400)
    assert len(areas) > 50
    np.testing.assert_allclose(areas, 0.16, atol=0.01)


def drawn_batch(count: int, size: int, masks: bool) -> tuple[UINT8, list[Geometry]]:
    """Images whose every pixel is its number and place, with 0 to 3 rectangles on each."""
    random = RANDOM(5)
    rows, columns = np.mgrid[:size, :size]
    images = np.stack([np.stack([np.full((size, size), i), rows, columns], -1) for i in range(count)]).astype(np.uint8)
    geometries = []
    for number in range(count):
        corners = random.integers(0, size - 12, (number % 4, 2))
        sides = random.integers(4, 12, (number % 4, 2))
        boxes = np.concatenate([corners, corners + sides], 1).astype(np.float32)
        own = np.zeros((len(boxes), size, size), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(own, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        labels = np.arange(len(boxes)) + 10 * number
        semantic = np.full((size, size), number, np.uint8)
        geometries.append(Geometry(boxes, labels, own if masks else None, semantic))
    return images, geometries


@pytest.mark.parametrize("masks", [False, True])
def test_mosaic_shows_four_parts_with_their_objects(masks: bool) -> None:
    size = 40
    images, geometries = drawn_batch(8, size, masks)
    random = RANDOM(2)
    counts = set()
    for _ in range(60):
        members, centre = random.integers(8, size=4), random.integers(10, 31, 2)
        image, after = mosaic(images, geometries, members, centre, random.random((4, 2)))
        assert after.semantic is not None
        found = []
        for place, member in enumerate(members.tolist()):
            rows = slice(0, centre[1]) if place < 2 else slice(centre[1], size)
            columns = slice(0, centre[0]) if place % 2 == 0 else slice(centre[0], size)
            part = image[rows, columns].astype(int)
            assert (part[..., 0] == member).all()
            assert (after.semantic[rows, columns] == member).all()
            # a pixel tells where it comes from: the whole part must be one shifted window
            down, right = part[0, 0, 1] - rows.start, part[0, 0, 2] - columns.start
            assert (part[..., 1] == np.arange(size)[rows, None] + down).all()
            assert (part[..., 2] == np.arange(size)[None, columns] + right).all()
            for (x1, y1, x2, y2), label in zip(geometries[member].boxes, geometries[member].box_labels, strict=True):
                seen = np.zeros((size, size), np.uint8)
                for y in range(int(y1), int(y2)):
                    for x in range(int(x1), int(x2)):
                        new_y, new_x = y - down, x - right
                        if rows.start <= new_y < rows.stop and columns.start <= new_x < columns.stop:
                            seen[new_y, new_x] = 1
                if seen.sum() >= 0.1 * (x2 - x1) * (y2 - y1) and seen.any():
                    found.append((boxes_of(seen[None])[0].tolist(), int(label), seen))
        assert [(box.tolist(), int(label)) for box, label in zip(after.boxes, after.box_labels, strict=True)] == [
            (box, label) for box, label, _ in found
        ]
        if masks:
            assert after.masks is not None
            assert all((mask == seen).all() for mask, (_, _, seen) in zip(after.masks, found, strict=True))
        counts.add(len(found))
    assert len(counts) > 3


def test_what_is_drawn_depends_on_seed_epoch_and_first_sample_alone() -> None:
    images, labels = some_images(6), np.eye(6, dtype=np.float32)
    mixer = Mixer([MixUp(alpha=1.0, p=0.7), CutMix(p=0.7)], seed=3)
    first = mixer.labelled(images, labels, 0, "a")
    mixer.labelled(images, labels, 5, "b")
    again = Mixer([MixUp(alpha=1.0, p=0.7), CutMix(p=0.7)], seed=3).labelled(images, labels, 0, "a")
    for own, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(own, other)
    others = {mixer.labelled(images, labels, epoch, name)[0].tobytes() for epoch in range(6) for name in "abc"}
    assert len(others) > 10
    np.testing.assert_allclose(first[1].sum(1), 1, atol=1e-6)
    never = Mixer([MixUp(p=0.0)], seed=3).labelled(images, labels, 0, "a")
    np.testing.assert_array_equal(never[0], images)


def prepared(folder: Path, targets: tuple[str, ...], augment: Any, size: int = 32) -> PreparedData:
    settings: dict[str, Any] = {"channels": 3, "resize": "letterbox", "batch_size": 8, "num_workers": 0, "seed": 0}
    return PreparedData(folder, targets, size=size, augment=augment, **settings)


@pytest.mark.parametrize(("target", "kind"), [("label", "MixUp"), ("label", "CutMix"), ("labels", "MixUp")])
def test_training_batches_are_mixed_and_validation_is_not(scenes: Path, target: str, kind: str) -> None:
    data = prepared(scenes, (target,), [{kind: {"alpha": 1.0, "p": 1.0}}])
    drawn = [(0, index) for index in range(8)]
    mixed, plain = data.data["train"].__getitems__(drawn), prepared(scenes, (target,), "none")
    before = plain.data["train"].__getitems__(drawn)
    assert not torch.equal(mixed.images, before.images)
    soft = mixed.targets[target]
    assert soft.shape == (8, 10)
    assert ((soft > 0) & (soft < 1)).any()
    if target == "label":
        torch.testing.assert_close(soft.sum(1), torch.ones(8))
    for one, other in zip(data.validation_batches(), plain.validation_batches(), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets[target], other.targets[target])


def test_mosaics_have_varying_numbers_of_boxes_with_masks_and_maps(scenes: Path) -> None:
    fields = ("boxes", "box_labels", "instances", "semantic")
    data = prepared(scenes, fields, [{"HorizontalFlip": {"p": 0.5}}, {"Mosaic": {"p": 1.0}}], size=96)
    batch = data.data["train"].__getitems__([(0, index) for index in range(8)])
    counts = {len(boxes) for boxes in batch.targets["boxes"]}
    assert len(counts) > 2
    for boxes, labels, masks, semantic in zip(*(batch.targets[name] for name in fields), strict=True):
        assert len(boxes) == len(labels) == len(masks)
        np.testing.assert_allclose(boxes_of(masks.numpy()), boxes.numpy())
        for mask, label in zip(masks, labels, strict=True):
            assert (semantic[mask == 1] == label + 1).float().mean() > 0.9


def test_mosaic_without_chance_changes_nothing() -> None:
    images, geometries = drawn_batch(4, 40, masks=True)
    same, after = Mixer([Mosaic(p=0.0)], seed=0).drawn(images, geometries, 0, "a")
    np.testing.assert_array_equal(same, images)
    assert after == geometries


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_labels_cost_what_class_ids_cost(weights: torch.Tensor | None, smoothing: float) -> None:
    scores = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 1, 0, 0, 2])
    hard = torch.nn.functional.cross_entropy(scores, labels, weights, label_smoothing=smoothing)
    one_hot = torch.nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(soft_cross_entropy(scores, one_hot, weights, smoothing), hard)


def test_soft_labels_cost_the_weighted_mean_of_their_classes() -> None:
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    shares = torch.rand(5, 4, generator=torch.Generator().manual_seed(2)).softmax(1)
    total = 0.0
    for row, own in zip(scores.tolist(), shares.tolist(), strict=True):
        normal = np.log(np.sum(np.exp(row)))
        total += sum(share * (normal - score) for score, share in zip(row, own, strict=True))
    assert float(soft_cross_entropy(scores, shares, None, 0.0)) == pytest.approx(total / 5, rel=1e-5)
