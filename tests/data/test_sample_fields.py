"""Every field of a sample is written, read, told apart, cut and moved: a new one that is forgotten is named here."""

from __future__ import annotations

import dataclasses
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.data.encoding import encode_png, encode_rle
from sightline.data.raw.checks import truth_of
from sightline.data.raw.formats.chosen import ChosenClasses
from sightline.data.raw.formats.source import Source
from sightline.data.rows import sample_row, write_rows
from sightline.data.schema import SCHEMA
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Sample
from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.geometry import SPATIAL, Geometry
from sightline.data.vary.variants import close_sample, open_sample, vary
from sightline.system.files import write_json

SIDE = 96
LABELS = LabelMap(("a", "b", "c"), ("a", "b", "c"), values=("x",), keypoints=("nose",))
ABOUT = {"id", "height", "width", "channels", "sha256"}  # columns that are worked out
# Fields that are no annotations: what a sample is called, and where it comes from.
NAMING = {"source", "image", "split", "group", "attributes", "batch"}
DERIVED = {"label", "area"}  # copies are told apart by the class on its own, and areas follow from the rest


def mask(left: int, right: int) -> Any:
    pixels = np.zeros((SIDE, SIDE), bool)
    pixels[10:40, left:right] = True
    return pixels


def full() -> Sample:
    """A sample with a value for every field; what has length 2 is one value per object."""
    semantic = np.full((SIDE, SIDE), 2, np.uint8)
    semantic[:, :30] = 1
    return Sample(
        source="a/1.png",
        image=encode_png(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)),
        split="train",
        group="g",
        label=1,
        labels=[0, 1, 2],
        boxes=np.array([[5, 10, 35, 40], [50, 10, 70, 40]], np.float32),
        corners=np.array(
            [[[5, 20], [20, 10], [35, 30], [20, 40]], [[50, 10], [70, 10], [70, 40], [50, 40]]], np.float32
        ),
        box_labels=[1, 2],
        iscrowd=[False, True],
        difficult=[True, False],
        area=[900.0, 600.0],
        instances=[encode_rle(mask(5, 35)), encode_rle(mask(50, 70))],
        semantic=semantic,
        keypoints=np.array([[[10, 20, 2]], [[60, 20, 1]]], np.float32),
        values=[0.5],
        text="a b",
        attributes={"camera": "left"},
        batch="b",
    )


NAMES = [field.name for field in fields(Sample)]
ANNOTATIONS = [name for name in NAMES if name not in NAMING]
OF_OBJECTS = [
    name for name in ANNOTATIONS if hasattr(getattr(full(), name), "__len__") and len(getattr(full(), name)) == 2
]


def unset(name: str) -> Any:
    [field] = (field for field in fields(Sample) if field.name == name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def same(one: Any, other: Any) -> bool:
    try:
        np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_this_file_tries_every_field(name: str) -> None:
    assert not same(getattr(full(), name), unset(name)), f"give `full` a value of {name}"


def test_every_field_has_a_column() -> None:
    assert set(SCHEMA.names) - ABOUT == set(NAMES) - {"split"}
    assert set(sample_row("0" * 16, full(), (SIDE, SIDE, 3), "")) == set(SCHEMA.names)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "split"])
def test_every_field_comes_back_from_the_store(name: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "train", ["0" * 16], 1, lambda _: [sample_row("0" * 16, full(), (SIDE, SIDE, 3), "")])
    write_json(tmp_path / "labels.json", LABELS.to_json())
    np.testing.assert_equal(getattr(SplitStore(tmp_path / "train").sample(0), name), getattr(full(), name))


@pytest.mark.parametrize("name", [name for name in ANNOTATIONS if name not in DERIVED])
def test_copies_with_other_annotations_are_told_apart(name: str) -> None:
    changed = full()
    setattr(changed, name, unset(name))  # its checks would refuse boxes without labels
    assert truth_of(changed) != truth_of(full())


class Single(Source):
    """A data set of the one full sample."""

    labels, sample_labels, ignored, findings = LABELS, None, (), ()

    def __len__(self) -> int:
        return 1

    def sample(self, index: int) -> Sample:
        return full()


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_objects_are_left_out_as_a_whole(name: str) -> None:
    cut = ChosenClasses(Single(), ["c"], "datasets.d").sample(0)
    assert len(getattr(cut, name)) == 1, "data.raw.formats.chosen"
    opened = open_sample(full(), 3)
    left = close_sample(replace(opened, geometry=opened.geometry.only(np.array([1]))))
    assert len(getattr(left, name)) == 1, "data.vary.variants or Geometry.only"


def test_fields_of_the_geometry_are_spatial() -> None:
    named = {{"masks": "instances"}.get(field.name, field.name) for field in fields(Geometry)}
    assert named - {"box_labels"} == set(SPATIAL), "data.vary.geometry.SPATIAL"


@pytest.mark.parametrize("name", SPATIAL)
def test_what_lies_on_an_image_moves_with_it(name: str) -> None:
    opened = open_sample(full(), 3)
    moved = close_sample(vary(opened, Augmenter([{"HorizontalFlip": {"p": 1.0}}], 0), 0, "a"))
    assert not same(getattr(moved, name), getattr(full(), name)), "data.vary.augmentation or data.vary.variants"
