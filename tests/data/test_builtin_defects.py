"""The embedded defects: the same each time, in the splits where they belong, and nowhere but under their masks."""

from pathlib import Path

import numpy as np
from numpy.random import Generator, Philox

from sightline.data.images import decode
from sightline.data.raw.builtin_defects import CLASSES, KINDS, DefectsSource, with_defect
from sightline.data.store import SplitStore, load_labels


def test_samples_are_the_same_each_time() -> None:
    one, again, other = DefectsSource(60, 64, 0), DefectsSource(60, 64, 0), DefectsSource(60, 64, 1)
    for index in (0, 40, 59):
        assert one.sample(index).image == again.sample(index).image
        assert one.sample(index).image != other.sample(index).image


def test_defects_are_in_validation_and_test_alone(defects: Path) -> None:
    assert load_labels(defects).classes == CLASSES
    shares = {}
    for split in ("train", "val", "test"):
        store = SplitStore(defects / split)  # type: ignore[arg-type]
        shares[split] = float((store.labels > 0).mean())
        for index in range(len(store)):
            sample = store.sample(index)
            assert sample.semantic is not None
            assert set(np.unique(sample.semantic)) == ({0, sample.label} if sample.label else {0})
    assert shares["train"] == 0
    assert 0.25 < shares["val"] < 0.4
    assert 0.45 < shares["test"] < 0.55


def test_an_image_differs_only_near_its_mask() -> None:
    grey = np.full((96, 96, 3), 120, np.float32)
    for number, kind in enumerate(KINDS):
        rng = Generator(Philox(key=np.array([3, number], np.uint64)))
        image, mask = with_defect(rng, grey, kind)
        changed = np.abs(image - grey).max(2)
        assert 20 < mask.sum() < 0.06 * mask.size
        assert changed[mask].min() > 5, kind
        near = np.zeros_like(mask)
        rows, columns = np.nonzero(mask)
        for row, column in zip(rows, columns, strict=True):
            near[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = True
        assert changed[~near].max() == 0, kind
    brightness = image @ np.array([0.299, 0.587, 0.114])  # of the last kind, a change of colour
    assert np.abs(brightness - 120).max() < 3


def test_good_images_are_alike_and_not_equal() -> None:
    source = DefectsSource(60, 64, 0)
    first, second = (decode(source.sample(index).image, 3).astype(float) for index in (0, 1))
    assert 0.5 < np.abs(first - second).mean() < 25
