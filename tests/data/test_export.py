"""A prepared set as COCO: every box, mask and key point comes back, as pycocotools sees them."""

from __future__ import annotations

import contextlib
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import coco_values, write_coco, write_masks
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from raw_folders import config
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.data.export import category_ids, export_coco
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS, LabelMap
from sightline.system.errors import UserError

BY_ORDER = {"train": 0.5, "val": 0.25, "test": 0.25, "by": "order"}  # so that no part of a few is empty
REAL = Path(__file__).parents[3] / "shared/data/coco128"


def read(path: Path) -> Any:
    with contextlib.redirect_stdout(StringIO()):
        return COCO(str(path))


def by_image(coco: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the annotations of each image in an order that files do not change."""
    found = {image["file_name"].split("/")[-1]: coco.imgToAnns[image["id"]] for image in coco.dataset["images"]}
    return {name: sorted(own, key=lambda one: (one["category_id"], one["bbox"])) for name, own in found.items()}


def check_round_trip(original: Path, dataset: Any, folder: Path) -> int:
    """Prepare, export all splits, and compare with the original; return the number of annotations."""
    prepare("tiny", dataset, folder / "prepared")
    wanted, whole = by_image(read(original)), read(original)
    met: dict[str, list[dict[str, Any]]] = {}
    exported: dict[str, Any] = {}
    for split in SPLITS:
        export_coco(folder / "prepared", split, folder / split)
        own = read(folder / split / "annotations.json")
        met |= by_image(own)
        exported |= dict.fromkeys(by_image(own), own)
        used = {one["category_id"] for one in whole.anns.values()}  # `prepare` leaves out the others
        assert [one["id"] for one in own.dataset["categories"]] == sorted(used)
        for image in own.dataset["images"]:
            assert (folder / split / "images" / image["file_name"]).is_file()
    assert met.keys() == wanted.keys()
    for name, before in wanted.items():
        assert len(met[name]) == len(before)
        for one, other in zip(before, met[name], strict=True):
            assert one["category_id"] == other["category_id"]
            assert one.get("iscrowd", 0) == other["iscrowd"]
            np.testing.assert_allclose(one["bbox"], other["bbox"], atol=2e-3)
            if "area" in one:
                assert one["area"] == other["area"]
            if "segmentation" in one:
                mine, theirs = whole.annToRLE(one), exported[name].annToRLE(other)
                assert coco_masks.area(mine) == coco_masks.area(theirs)
                assert coco_masks.area(mine) == 0 or coco_masks.iou([mine], [theirs], [0]).tolist() == [[1.0]]
            assert one.get("keypoints", []) == other.get("keypoints", [])
    return sum(map(len, met.values()))


def test_coco_comes_back(tmp_path: Path) -> None:
    values = coco_values()
    for category in values["categories"]:
        category["keypoints"] = ["left ear", "right ear"]
    for number, annotation in enumerate(values["annotations"]):
        annotation["keypoints"] = [3.25, 4, 2, 0, 0, 0] if number % 2 else [0, 0, 0, 1, 1, 1]
        annotation["area"] = 100.125 + number
    values["annotations"][3]["segmentation"] = [[3, 3, 9, 4, 8, 11], [12.5, 3, 20.25, 4, 15, 9]]
    dataset = write_coco(tmp_path / "raw", values)
    assert check_round_trip(tmp_path / "raw/annotations.json", dataset, tmp_path) == 12


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the folder of real data beside the project")
def test_all_of_coco128_comes_back(tmp_path: Path) -> None:
    file = "annotations/instances_train2017.json"
    dataset = config(format="coco", root=str(REAL), annotations=file, images="train2017")
    assert check_round_trip(REAL / file, dataset, tmp_path) == 939


def test_what_was_exported_can_be_read_again(tmp_path: Path) -> None:
    prepare("one", config(format="figures", root="x", count=40, split=BY_ORDER), tmp_path / "one")
    export_coco(tmp_path / "one", "train", tmp_path / "coco")
    prepare("two", config(format="coco", root=str(tmp_path / "coco"), split=BY_ORDER), tmp_path / "two")
    old = SplitStore(tmp_path / "one/train")
    before = {Path(source).stem: index for index, source in enumerate(old.sources)}
    for split in SPLITS:
        store = SplitStore(tmp_path / "two" / split)
        for index, source in enumerate(store.sources):
            was, now = old.sample(before.pop(Path(source).stem)), store.sample(index)
            assert was.image == now.image
            assert was.instances == now.instances
            assert was.keypoints is not None
            assert now.keypoints is not None
            np.testing.assert_allclose(was.keypoints, now.keypoints, atol=1e-3)
            np.testing.assert_array_equal(was.boxes, now.boxes)
            np.testing.assert_array_equal(was.semantic, now.semantic)
    assert not before


def test_semantic_masks_become_one_annotation_per_class(tmp_path: Path) -> None:
    prepare("tiny", write_masks(tmp_path / "raw"), tmp_path / "tiny")
    export_coco(tmp_path / "tiny", "train", tmp_path / "coco")
    coco = read(tmp_path / "coco/annotations.json")
    store = SplitStore(tmp_path / "tiny/train")
    assert [(one["id"], one["name"]) for one in coco.dataset["categories"]] == [
        (1, "cat"),
        (3, "background"),
        (9, "dog"),
    ]
    for index in range(len(store)):
        semantic = store.sample(index).semantic
        assert semantic is not None
        painted = np.full_like(semantic, 255)
        for annotation in coco.imgToAnns[index + 1]:
            painted[coco.annToMask(annotation) > 0] = [1, 3, 9].index(annotation["category_id"])
        np.testing.assert_array_equal(painted, semantic)


def test_labels_and_values_stand_at_the_image(digits: Path, tmp_path: Path) -> None:
    images, annotations = export_coco(digits, "test", tmp_path / "coco")
    values = json.loads((tmp_path / "coco/annotations.json").read_text())
    assert (len(values["images"]), annotations) == (images, 0)
    store = SplitStore(digits / "test")
    assert [int(image["label"]) for image in values["images"]] == store.labels.tolist()
    first = values["images"][0]
    assert (first["height"], first["width"]) == (8, 8)
    assert (tmp_path / "coco/images" / first["file_name"]).read_bytes() == bytes(store.image(0))
    assert first["file_name"].endswith(".png")


def test_category_ids_are_the_sources_where_they_are_numbers() -> None:
    assert category_ids(LabelMap(("a", "b"), ("7", "90"))) == [7, 90]
    assert category_ids(LabelMap(("a", "b"), ("a", "b"))) == [1, 2]
    assert category_ids(LabelMap(("a", "b"), ("07", "7"))) == [1, 2]


def test_the_command_writes_or_tells_why_not(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/prepared").symlink_to(digits.parent)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", "digits", "--split", "val", "--to", "out"])
    assert (done.exit_code, done.output) == (0, f"out: {len(SplitStore(digits / 'val'))} images, 0 annotations\n")
    for arguments, told in (
        (["digits", "--to", "out"], r"out: is not empty; give a new folder with --to"),
        (["digit", "--to", "new"], r"data/prepared/digit: no prepared data set; run dvc repro prepare@digit"),
    ):
        failed = CliRunner().invoke(app, ["export", *arguments])
        assert isinstance(failed.exception, UserError)
        assert str(failed.exception) == told
