"""Annotations that did not reach the images stop `prepare`, unless the data set's entry says that it is meant so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_folders import (
    COUNT,
    coco_values,
    write_coco,
    write_images,
    write_masks,
    write_via,
    write_voc,
    write_yolo,
)
from raw_folders import config

from sightline.data.raw.preparation import prepare
from sightline.system.errors import UserError

Spoil = Callable[[Path], Any]


def _coco(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def make(root: Path) -> Any:
        values = coco_values()
        change(values)
        return write_coco(root, values)

    return make


def _crowds(values: dict[str, Any]) -> None:
    for annotation in values["annotations"]:
        annotation["iscrowd"] = 1


def _moved(write: Spoil, folder: str, suffix: str = "_x") -> Spoil:
    """Rename each annotation file, so that no image has its name."""

    def make(root: Path) -> Any:
        dataset = write(root)
        for file in sorted((root / folder).iterdir()):
            if file.stem != "000":  # one fits still
                file.rename(file.with_stem(file.stem + suffix))
        return dataset

    return make


def _emptied(root: Path) -> Any:
    dataset = write_yolo(root)
    for file in (root / "labels").iterdir():
        file.write_text("")
    return dataset


def _given_split(root: Path) -> Any:
    """Write a part whose annotation file lists images, but no object."""
    write_images(root)
    parts = {"train": range(8), "val": range(8, COUNT)}
    for split, numbers in parts.items():
        values = coco_values(numbers)
        if split == "val":
            values["annotations"] = []
        (root / f"{split}.json").write_text(json.dumps(values))
    return config(format="coco", root=str(root), annotations={split: f"{split}.json" for split in parts})


def _other_images(root: Path) -> Any:
    dataset = _given_split(root)
    values = coco_values(range(8, COUNT))
    for image in values["images"]:
        image["file_name"] = f"val_{image['file_name']}"
    (root / "val.json").write_text(json.dumps(values))
    return dataset


STOPS: dict[str, tuple[Spoil, str]] = {
    "coco without annotations": (
        _coco(lambda values: values.update(annotations=[])),
        r"raw: none of the 12 images of the data set has an object; correct .* `allow_empty: true`",
    ),
    "yolo of empty files": (_emptied, r"raw: none of the 12 images of the data set has an object"),
    "all crowds": (_coco(_crowds), r"raw: all 12 objects of the data set are crowds \(iscrowd\).*crowds: objects"),
    "given split": (_given_split, r"raw: none of the 4 images of val has an object"),
    "coco file of other images": (_other_images, r"raw/val.json: none of its 4 images exists, .*val_008.png"),
    "yolo names": (
        _moved(write_yolo, "labels"),
        r"raw: 11 annotation files have no image; the first: .*001_x.txt",
    ),
    "mask names": (_moved(write_masks, "masks"), r"raw: 11 annotation files have no image; .*masks/001_x.png"),
    "voc names": (
        _moved(write_voc, "Annotations"),
        r"no labelled objects|11 annotation files have no image; the first: .*001_x.xml",
    ),
    "via file of other images": (
        lambda root: write_via(root).model_copy(update={"images": "."}),
        r"raw/via_region_data.json: none of its 12 images exists",
    ),
    "ids of nothing": (
        _coco(lambda values: [one.update(image_id=900) for one in values["annotations"]]),
        r"raw: 12 of 12 annotations were left out; the first: .*image_id 900 is not the id of an image",
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_stops_in_one_line(tmp_path: Path, out: Path, case: str) -> None:
    make, told = STOPS[case]
    with pytest.raises(UserError, match=told) as error:
        prepare("tiny", make(tmp_path / "raw"), out)
    assert len(error.value.lines) == 1
    assert not out.exists()


@pytest.mark.parametrize("case", ["coco without annotations", "yolo of empty files", "all crowds", "given split"])
def test_goes_on_where_it_is_meant_so_and_tells_it(tmp_path: Path, out: Path, case: str) -> None:
    dataset = STOPS[case][0](tmp_path / "raw").model_copy(update={"allow_empty": True})
    card = prepare("tiny", dataset, out)
    assert sum(card.samples.values()) == COUNT
    assert card.findings["empty_split"]["count"] >= 1


def test_a_split_that_chance_left_empty_is_told(tmp_path: Path, out: Path) -> None:
    def thin(values: dict[str, Any]) -> None:
        values["annotations"] = values["annotations"][:1]

    card = prepare("tiny", _coco(thin)(tmp_path / "raw"), out)
    assert card.findings["empty_split"]["count"] == 2
