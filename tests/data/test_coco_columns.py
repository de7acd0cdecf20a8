"""COCO's annotations read by columns: the same as read one by one, and nothing at all where one is unusual."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_folders import coco_values, write_coco

from sightline.data.raw.formats import coco
from sightline.data.raw.formats.annotated import AnnotatedSource
from sightline.data.raw.formats.coco_categories import Categories
from sightline.data.raw.formats.coco_columns import read_columns
from sightline.data.raw.formats.listed_images import Listing
from sightline.system.garbage import uncollected

Change = Callable[[list[dict[str, Any]]], object]

PLAIN: dict[str, Change] = {
    "as it is": lambda own: None,
    "boxes alone": lambda own: [one.pop("segmentation", None) for one in own],
    "run lengths": lambda own: own[0].update(segmentation={"size": [31, 40], "counts": [5, 1235]}),
    "whole numbers": lambda own: own[0].update(bbox=[1, 2, 3, 4], area=12),
    "crowds and difficult ones": lambda own: (own[0].update(iscrowd=1), own[1].update(ignore=True, iscrowd=None)),
    "no area": lambda own: (own[0].pop("area", None), own[1].update(area="large")),
    "no id": lambda own: (own[0].pop("id"), own[1].update(id=None)),
    "key points": lambda own: (own[0].update(keypoints=[5, 6, 2, 7.5, 8, 1]), own[1].update(keypoints=[])),
    "other outlines": lambda own: (
        own[0].update(segmentation=[1, 1, 9, 1, 9, 9]),
        own[1].update(segmentation=[[1, 1], [9, 1], [9, 9]]),
        own[2].update(segmentation=[[]]),
    ),
    "not finite": lambda own: own[0].update(bbox=[float("nan"), float("inf"), 3, 4]),
    "none": lambda own: own.clear(),
}
UNUSUAL: dict[str, Change] = {
    "image as text": lambda own: own[-1].update(image_id=str(own[-1]["image_id"])),
    "unknown image": lambda own: own[-1].update(image_id=9_999),
    "category as a fraction": lambda own: own[-1].update(category_id=float(own[-1]["category_id"])),
    "unknown category": lambda own: own[-1].update(category_id=9_999),
    "truth value": lambda own: own[-1].update(category_id=True),
    "no box": lambda own: own[-1].pop("bbox"),
    "three numbers": lambda own: own[-1].update(bbox=[1, 2, 3]),
    "text in a box": lambda own: own[-1].update(bbox=["1", 2, 3, 4]),
    "truth value in a box": lambda own: own[-1].update(bbox=[True, 2, 3, 4]),
    "outline as text": lambda own: own[-1].update(segmentation="1 1 9 9"),
    "key points as text": lambda own: own[-1].update(keypoints="1 2 2"),
    "flag as text": lambda own: own[-1].update(iscrowd="0"),
    "flag as a fraction": lambda own: own[-1].update(ignore=1.0),
}


def opened(root: Path) -> tuple[Any, ...]:
    source = coco.open_coco(root, "annotations.json", "images")
    assert isinstance(source, AnnotatedSource)
    return repr(source.entries), source.labels, list(source.findings), source.dropped, source.masks


@pytest.mark.parametrize("crowds", [True, False])
@pytest.mark.parametrize("case", PLAIN)
def test_all_at_once_is_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, crowds: bool) -> None:
    values = coco_values()
    PLAIN[case](values["annotations"])
    write_coco(tmp_path / "raw", values)
    taken: list[bool] = []

    def spied(*given: Any) -> bool:
        taken.append(read_columns(*given))
        return taken[-1]

    monkeypatch.setattr(coco, "read_columns", spied)
    found = repr(coco.open_coco(tmp_path / "raw", "annotations.json", "images", crowds=crowds).entries)
    all_found = opened(tmp_path / "raw")
    monkeypatch.setattr(coco, "read_columns", lambda *_: False)
    assert found == repr(coco.open_coco(tmp_path / "raw", "annotations.json", "images", crowds=crowds).entries)
    assert all_found == opened(tmp_path / "raw")
    assert taken == [True, True]


@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_one_leaves_all_to_the_reader_of_single_ones(case: str) -> None:
    values = coco_values()
    by_id: dict[int | str | None, Listing] = {
        one["id"]: Listing(one["file_name"], one["file_name"], None, None) for one in values["images"]
    }
    categories = Categories()
    known = categories.add(Path("a.json"), values["categories"])
    UNUSUAL[case](values["annotations"])
    assert not read_columns("a.json", values["annotations"], by_id, known, categories, True)
    assert not categories.used
    assert not categories.points
    assert not any(listing.annotations for listing in by_id.values())


def test_the_collector_rests_and_comes_back() -> None:
    def told(fail: bool) -> bool:
        with uncollected():
            if fail:
                raise ValueError("broken")
            return gc.isenabled()

    assert gc.isenabled()
    assert not told(False)
    assert gc.isenabled()
    with pytest.raises(ValueError, match="broken"):
        told(True)
    assert gc.isenabled()
    gc.disable()
    try:
        told(False)
        assert not gc.isenabled()  # who had switched it off wants it so
    finally:
        gc.enable()
