"""COCO's JSON as other tools write it: ids and flags as text, other names of files, unused categories, odd outlines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import COUNT, coco_values, write_coco, write_images
from raw_folders import config

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.json_values import flag, identity, numbers
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS, Sample
from sightline.system.errors import UserError

Change = Callable[[dict[str, Any]], object]
OBJECTS = 12


def changed(root: Path, change: Change) -> Any:
    values = coco_values()
    change(values)
    return write_coco(root, values)


def stored(out: Path) -> dict[str, Sample]:
    stores = [SplitStore(out / split) for split in SPLITS]
    return {sample.source: sample for store in stores for sample in (store.sample(i) for i in range(len(store)))}


def each(section: str, **made: Callable[[Any], Any]) -> Change:
    """Change the values of each entry of a section."""

    def change(values: dict[str, Any]) -> None:
        for entry in values[section]:
            for name, make in made.items():
                entry[name] = make(entry.get(name))

    return change


@pytest.mark.parametrize(
    "change",
    {
        "category as text": each("annotations", category_id=str),
        "category as a fraction": each("annotations", category_id=float),
        "image as text": each("annotations", image_id=lambda number: f" {number} "),
        "image as 3.0": each("annotations", image_id=lambda number: f"{number}.0"),
        "ids as text": each("images", id=str),
        "flags as text": each("annotations", iscrowd=lambda _: "0", ignore=lambda _: "False"),
        "windows": each("images", file_name=lambda name: f"images\\{name}"),
        "another machine": each("images", file_name=lambda name: f"C:\\me\\images\\{name}"),
        "absolute": each("images", file_name=lambda name: f"/home/me/{name}"),
        "address": each("images", file_name=lambda name: f"https://example.org/a%20b/{name}?token=1"),
        "folder before it": each("images", file_name=lambda name: f"images/{name}"),
        "case": each("images", file_name=str.upper),
        "flat outlines": each("annotations", segmentation=lambda outline: outline[0]),
        "points": each("annotations", segmentation=lambda outline: np.reshape(outline[0], (-1, 2)).tolist()),
        "with empty ones": each("annotations", segmentation=lambda outline: [[], *outline, [1, 1, 2, 2]]),
    }.items(),
    ids=lambda case: case[0],
)
def test_the_same_objects_come_out(tmp_path: Path, out: Path, change: tuple[str, Change]) -> None:
    prepare("tiny", write_coco(tmp_path / "plain"), tmp_path / "wanted")
    card = prepare("tiny", changed(tmp_path / "raw", change[1]), out)
    assert (card.quarantined, card.dropped) == (0, 0)
    wanted, found = stored(tmp_path / "wanted"), stored(out)
    assert wanted.keys() == found.keys()
    for source, sample in wanted.items():
        for name in ("boxes", "box_labels", "iscrowd", "difficult", "instances", "semantic"):
            np.testing.assert_array_equal(getattr(found[source], name), getattr(sample, name), name)


def test_ids_and_flags() -> None:
    big = 9_007_199_254_740_993  # no float
    given = (3, 3.0, "3", " 3 ", "3.0", big, str(big), "3.5", "cat", "", None, True, float("nan"), [3])
    wanted = (3, 3, 3, 3, 3, big, big, "3.5", "cat", None, None, None, None, None)
    assert [identity(value) for value in given] == list(wanted)
    flags = {"0": False, "1": True, "False": False, " true ": True, "": False, "maybe": None}
    assert {text: flag(text) for text in flags} == flags
    assert [flag(value) for value in (None, 0, 1, 0.0, False, True, float("nan"), [])] == [
        *(False, False, True, False, False, True),
        *(None, None),
    ]


def test_a_flag_that_is_none_is_told(tmp_path: Path, out: Path) -> None:
    card = prepare("tiny", changed(tmp_path / "raw", lambda v: v["annotations"][0].update(iscrowd="perhaps")), out)
    assert "iscrowd 'perhaps' is neither 0 nor 1" in card.findings["broken_line"]["first"][0]["reason"]


def test_unused_categories_are_no_classes(tmp_path: Path, out: Path) -> None:
    """Roboflow's root category has the name of its only class, and is listed first."""

    def change(values: dict[str, Any]) -> None:
        values["categories"] += [{"id": 0, "name": "cat", "supercategory": "none"}, {"id": 91, "name": "cow"}]

    dataset = changed(tmp_path / "raw", change)
    card = prepare("tiny", dataset, out)
    assert card.classes == ["cat", "dog"]
    assert card.findings["unused_class"]["count"] == 2
    wanted = dataset.model_copy(update={"classes": ["cow", "dog", "cat"]})
    assert open_source(wanted).labels.classes == ("cow", "dog", "cat")


def test_files_may_list_only_their_own_categories(tmp_path: Path, out: Path) -> None:
    root = tmp_path / "raw"
    write_images(root)
    values = coco_values(range(8, COUNT))
    values["categories"] = values["categories"][:1]
    values["annotations"] = [one for one in values["annotations"] if one["category_id"] == 90]
    (root / "train.json").write_text(json.dumps(coco_values(range(8))))
    (root / "val.json").write_text(json.dumps(values))
    card = prepare(
        "tiny", config(format="coco", root=str(root), annotations={"train": "train.json", "val": "val.json"}), out
    )
    assert card.classes == ["cat", "dog"]
    assert card.objects["val"]["cat"] == 0
    assert card.objects["val"]["dog"] > 0


def twice(number: int, box: list[float]) -> Change:
    """List image 1, which has one object, again, with another object."""

    def change(values: dict[str, Any]) -> None:
        values["images"].append(values["images"][number] | {"id": 900})
        values["annotations"].append({"id": 901, "image_id": 900, "category_id": 7, "bbox": box})

    return change


def test_an_image_listed_twice_is_joined(tmp_path: Path, out: Path) -> None:
    card = prepare("tiny", changed(tmp_path / "raw", twice(1, [25, 21, 8, 6])), out)
    assert card.findings["joined"]["count"] == 1
    assert stored(out)["images/001.png"].box_labels == [1, 0]
    assert (card.quarantined, sum(card.samples.values())) == (0, COUNT)


def test_two_annotators_of_the_same_object_are_a_conflict_of_this_image_alone(tmp_path: Path, out: Path) -> None:
    card = prepare("tiny", changed(tmp_path / "raw", twice(1, [4, 4, 11, 16])), out)
    assert "annotation 901 are the same object" in card.findings["conflict"]["first"][0]["reason"]
    assert (card.quarantined, sum(card.samples.values())) == (1, COUNT - 1)


def test_one_file_under_two_names_stops(tmp_path: Path, out: Path) -> None:
    """Two folders of another machine may hold two images of one name."""

    def change(values: dict[str, Any]) -> None:
        values["images"][0]["file_name"] = "/a/001.png"
        values["images"][1]["file_name"] = "/b/001.png"

    with pytest.raises(UserError, match=r"entry 1: file_name '/b/001.png': is the same file as '/a/001.png'"):
        prepare("tiny", changed(tmp_path / "raw", change), out)


@pytest.mark.parametrize("outline", [None, [], [[]], [[], []], [[4, 4, 9, 9]]])
def test_a_box_without_an_outline_is_kept(tmp_path: Path, out: Path, outline: Any) -> None:
    card = prepare("tiny", changed(tmp_path / "raw", lambda v: v["annotations"][0].update(segmentation=outline)), out)
    sample = stored(out)["images/001.png"]
    assert sample.boxes is not None
    assert sample.boxes.tolist() == [[3, 3, 15, 20]]
    assert card.findings["box_only"]["count"] == 1
    assert (card.quarantined, card.dropped) == (0, 0)


def test_crowds_may_be_read_as_objects(tmp_path: Path, out: Path) -> None:
    dataset = changed(tmp_path / "raw", each("annotations", iscrowd=lambda _: 1))
    with pytest.raises(UserError, match=f"all {OBJECTS} objects of the data set are crowds"):
        prepare("tiny", dataset, out)
    prepare("tiny", dataset.model_copy(update={"crowds": "objects"}), out)
    assert not any(crowd for sample in stored(out).values() for crowd in sample.iscrowd)


def test_a_class_of_mostly_crowds_is_told(tmp_path: Path, out: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        for annotation in values["annotations"]:
            annotation["iscrowd"] = int(annotation["category_id"] == 7)

    card = prepare("tiny", changed(tmp_path / "raw", change), out)
    assert card.findings["crowds"]["first"] == [{"source": "class cat", "reason": "4 of its 4 objects are crowds"}]


def test_key_points_without_names_are_numbered(tmp_path: Path, out: Path) -> None:
    dataset = changed(tmp_path / "raw", each("annotations", keypoints=lambda _: [5, 6, 2, 7, 8, 1]))
    card = prepare("tiny", dataset, out)
    assert card.findings["unnamed_points"]["count"] == 1
    assert open_source(dataset).labels.keypoints == ("1", "2")
    sample = stored(out)["images/001.png"]
    assert sample.keypoints is not None
    assert sample.keypoints.tolist() == [[[5, 6, 2], [7, 8, 1]]]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"labels/1.txt": ""}, r"annotations.json: no such file; .*labels/ looks like `format: yolo`"),
        ({"result/coco.json": "{}"}, r"annotations.json: no such file; .*there are result/coco.json"),
        ({"annotations.json": '{"shapes": []}'}, r"annotations.json: is a LabelMe file .*; convert the files"),
        (
            {"annotations.json": '{"_via_img_metadata": {}}'},
            r"annotations.json: is a project of the VGG .*`format: via`",
        ),
        ({"annotations.json": "[]"}, r"annotations.json: holds a list, expected a mapping; export it again as COCO"),
    ],
)
def test_files_of_other_tools_are_named(tmp_path: Path, out: Path, files: dict[str, str], told: str) -> None:
    for name, text in files.items():
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text(text)
    with pytest.raises(UserError, match=told) as error:
        prepare("tiny", config(format="coco", root=str(tmp_path / "raw")), out)
    assert len(error.value.lines) == 1


def test_another_class_changes_nothing_else() -> None:
    """`labelled` names every field by hand, as that is faster: one that it forgets would be lost."""
    values: dict[str, Any] = {field.name: field.name for field in fields(Annotation)}
    one = Annotation(**{**values, "label": 1})
    assert one.labelled(2) == replace(one, label=2)


@pytest.mark.parametrize("value", [[True, 1], ["1"], [None], [[1]], (1, 2), "12", None, 3])
def test_what_is_no_list_of_numbers(value: Any) -> None:
    assert numbers(value) is None


def test_numbers_become_floats() -> None:
    found = numbers([1, 2.5, -3])
    assert found == [1.0, 2.5, -3.0]
    assert found is not None
    assert {type(one) for one in found} == {float}
    assert numbers([]) == []
