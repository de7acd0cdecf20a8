"""Sections of data sets: what is allowed, and what is refused in one clear line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from raw_folders import config
from ruamel.yaml import YAML

from sightline.config.datasets import Dataset

FOLDERS = {"train": "a", "test": "b"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "class twice": ({"format": "digits", "classes": ["1", "1"]}, "'1' occurs twice; keep one of them"),
    "no class": ({"format": "digits", "classes": []}, "at least 1 item"),
    "value twice": ({"format": "csv", "values": ["a", "a"]}, "'a' occurs twice"),
    "splits differ": (
        {"format": "coco", "annotations": FOLDERS, "images": {"train": "a"}},
        "the splits differ: annotations has train, test, images has train; name the same splits in each",
    ),
    "images alone": ({"format": "coco", "images": FOLDERS}, "images has splits; name the annotations or masks"),
    "unknown split": ({"format": "via", "annotations": {"dev": "a"}}, "'train', 'val' or 'test'"),
    "names missing": ({"format": "mask_folder"}, "Field required"),
    "name twice": ({"format": "mask_folder", "names": ["a", "a"]}, "'a' occurs twice"),
    "value of two": ({"format": "mask_folder", "names": {"a": 1, "b": 1}}, "names gives two classes the same value"),
    "ignored class": (
        {"format": "mask_folder", "names": ["a", "b"], "ignore_index": 1},
        "the value 1 is in names and in",
    ),
    "ignored classes": ({"format": "mask_folder", "names": ["a"], "ignore_index": [7, 0]}, "the value 0 is in names"),
    "too many": (
        {"format": "mask_folder", "names": [str(n) for n in range(256)]},
        "names has 256 classes, at most 255",
    ),
    "negative": ({"format": "mask_folder", "names": {"a": -1}}, "greater than or equal to 0"),
    "figure size": ({"format": "figures", "size": 10}, "greater than or equal to 64"),
    "string lengths": ({"format": "strings", "shortest": 5, "longest": 3}, "shortest is 5, more than longest"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    values, told = REFUSED[case]
    with pytest.raises(ValidationError) as error:
        config(root="x", **values)
    assert told in str(error.value)


def test_masks_of_0_and_255_need_no_ignore_index() -> None:
    dataset = config(format="mask_folder", root="x", names={"pet": 255, "background": 0})
    assert dataset.mask_values() == {"background": 0, "pet": 255}
    assert dataset.ignored_values() == []
    assert config(format="mask_folder", root="x", names=["a"], ignore_index=[7, 9]).ignored_values() == [7, 9, 255]


def test_every_section_of_the_page_is_valid() -> None:
    """docs/data.md shows a section of params.yaml for each format that reads files."""
    page = (Path(__file__).parents[2] / "docs/data.md").read_text()
    shown = [
        config(**section)
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        for section in YAML(typ="safe", pure=True).load(block).values()
    ]
    embedded = {"digits", "scenes", "figures", "strings", "defects"}
    formats = {get_args(member.model_fields["format"].annotation)[0] for member in get_args(get_args(Dataset)[0])}
    assert {dataset.format for dataset in shown} == formats - embedded
    assert all(f"`{name}`" in page for name in embedded)
