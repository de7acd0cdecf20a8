"""What a folder is taken for: every format, with nothing said; questions where its files leave a choice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated_folders import (
    COUNT,
    coco_values,
    mask_of,
    name_of,
    picture,
    write_coco,
    write_dota,
    write_images,
    write_masks,
    write_via,
    write_voc,
    write_yolo,
)
from pydantic import TypeAdapter
from raw_folders import png, write_folder, write_idx

from sightline.config.datasets import Dataset
from sightline.data.encoding import encode_png
from sightline.data.raw.formats import open_source
from sightline.data.raw.recognition import Candidate, recognise
from sightline.system.errors import UserError

DATA = Path(__file__).parents[3] / "shared" / "data"


def only(folder: Path, **wanted: Any) -> Candidate:
    found = recognise(folder, wanted)
    assert len(found) == 1, [(one.seen, one.tasks) for one in found]
    source = open_source(TypeAdapter(Dataset).validate_python(found[0].section))
    assert len(source)
    return found[0]


def table(root: Path, header: str, line: Any, count: int = 20) -> Path:
    (root / "img").mkdir(parents=True, exist_ok=True)
    rows = [header]
    for number in range(count):
        (root / "img" / f"{number}.png").write_bytes(png(number))
        rows.append(f"img/{number}.png,{line(number)}")
    (root / "list.csv").write_text("\n".join(rows) + "\n")
    return root


def test_folders_of_classes(tmp_path: Path) -> None:
    found = only(write_folder(tmp_path / "photos"))
    assert (found.section["format"], found.tasks) == ("image_folder", ("classification",))


def test_folders_of_classes_below_splits_and_an_archives_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x" / "archive" / "photos", parts=("train", "test"))
    found = only(tmp_path / "x")
    assert Path(found.section["root"]) == root
    assert found.tasks == ("classification",)


def test_idx(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [0, 1, 2] * 8, gz=True)
    write_idx(tmp_path, "t10k", [0, 1, 2] * 2, gz=True)
    assert only(tmp_path).section["format"] == "idx"


def test_coco_asks_whether_outlines_or_boxes_are_meant(tmp_path: Path) -> None:
    write_coco(tmp_path)
    found = only(tmp_path)
    assert found.section["format"] == "coco"
    assert found.tasks == ("instance_segmentation", "detection")


def test_coco_with_boxes_alone(tmp_path: Path) -> None:
    write_coco(tmp_path, coco_values(polygons=False))
    assert only(tmp_path).tasks == ("detection",)


def test_coco_with_a_file_per_split(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for split, numbers in (("train2017", range(8)), ("val2017", range(8, COUNT))):
        (tmp_path / split).mkdir()
        for number in numbers:
            (tmp_path / split / f"{name_of(number)}.png").write_bytes(picture(number))
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(coco_values(numbers)))
    section = only(tmp_path).section
    assert section["annotations"] == {
        "train": "annotations/instances_train2017.json",
        "val": "annotations/instances_val2017.json",
    }
    assert section["images"] == {"train": "train2017", "val": "val2017"}


def test_two_coco_files_for_the_same_images_are_asked_for(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (tmp_path / "others.json").write_text(json.dumps(coco_values(polygons=False)))
    assert [one.section["annotations"] for one in recognise(tmp_path)] == ["annotations.json", "others.json"]
    assert only(tmp_path, annotations="others.json").tasks == ("detection",)


def test_key_points(tmp_path: Path) -> None:
    values = coco_values()
    for one in values["categories"]:
        one |= {"keypoints": ["nose", "tail"], "skeleton": []}
    for one in values["annotations"]:
        left, top, width, height = one["bbox"]
        one |= {"keypoints": [left + 1, top + 1, 2, left + width - 1, top + height - 1, 2], "num_keypoints": 2}
    write_coco(tmp_path, values)
    assert only(tmp_path).tasks == ("keypoints",)


def test_voc_below_a_folder_with_other_files(tmp_path: Path) -> None:
    write_voc(tmp_path / "inner")
    (tmp_path / "test.csv").write_text("filename,cell_type,xmin,xmax,ymin,ymax\n000.png,cat,1,2,1,2\n")
    found = only(tmp_path)
    assert (found.section["format"], found.tasks) == ("voc", ("detection",))
    assert Path(found.section["root"]) == tmp_path / "inner"


def test_yolo(tmp_path: Path) -> None:
    write_yolo(tmp_path / "boxes")
    write_yolo(tmp_path / "outlines", polygons=True)
    assert only(tmp_path / "boxes").tasks == ("detection",)
    assert only(tmp_path / "outlines").tasks == ("instance_segmentation", "detection")


def test_dota(tmp_path: Path) -> None:
    write_dota(tmp_path)
    found = only(tmp_path)
    assert found.section["format"] == "dota"
    assert found.tasks == ("detection",)


def test_yolo_without_names_says_what_is_missing(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(UserError, match=r"YOLO.*no data\.yaml and no classes\.txt"):
        recognise(tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_via(tmp_path: Path, version: int) -> None:
    write_via(tmp_path, version)
    found = only(tmp_path)
    assert found.section["format"] == "via"
    assert "instance_segmentation" in found.tasks
    classes = open_source(TypeAdapter(Dataset).validate_python(found.section)).labels.classes
    assert classes == ("cat", "dog")


def write_numbered(root: Path) -> None:
    """Write masks whose objects are numbered from 1 in each image."""
    write_images(root)
    (root / "masks").mkdir()
    for number in range(COUNT):
        (root / "masks" / f"{name_of(number)}.png").write_bytes(encode_png(mask_of(number, (1, 2))))


def test_masks_of_classes_and_of_objects(tmp_path: Path) -> None:
    write_masks(tmp_path / "classes")
    found = only(tmp_path / "classes")
    assert (found.section["format"], found.tasks) == ("mask_folder", ("semantic_segmentation",))
    assert dict(found.notes)["names"].startswith("the values of the masks; give them their names")
    write_numbered(tmp_path / "objects")
    formats = {one.section["format"] for one in recognise(tmp_path / "objects")}
    assert formats == {"instance_masks", "mask_folder"}  # numbers may be either, so the user is asked
    assert only(tmp_path / "objects", format="instance_masks").tasks == ("instance_segmentation", "detection")


def test_masks_next_to_their_images_with_a_list_of_names(tmp_path: Path) -> None:
    for number in range(6):
        image = cv2.imdecode(np.frombuffer(picture(number), np.uint8), cv2.IMREAD_COLOR)
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), image)
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[5:10, 5:20], mask[15:20, 5:30] = 1, 2
        mask[20:25, 10:12] = 1
        cv2.imwrite(str(tmp_path / f"{number}_mask.png"), mask)
    (tmp_path / "classes.txt").write_text("street\ncar\nperson\n")
    section = only(tmp_path).section
    assert section["mask_suffix"] == "_mask"
    assert section["names"] == {"street": 0, "car": 1, "person": 2}


def test_coloured_masks_take_names_from_a_table_of_colours(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "labels").mkdir()
    for number in range(COUNT):
        image = cv2.imread(str(tmp_path / "images" / f"{name_of(number)}.png"))
        mask = np.zeros_like(image)
        mask[5:15, 5:15] = (0, 0, 128)  # BGR
        mask[16:20, 5:15] = (64, 64, 0)
        cv2.imwrite(str(tmp_path / "labels" / f"{name_of(number)}.png"), mask)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\ncar,128,0,0\nVoid,0,64,64\n")
    section = only(tmp_path).section
    assert section["names"] == {"ground": "#000000", "car": "#800000"}
    assert section["ignore_index"] == ["#004040"]


def test_tables(tmp_path: Path) -> None:
    label = table(tmp_path / "a", "file,category", lambda number: "cat" if number % 2 else "dog")
    assert only(label).tasks == ("classification",)
    several = table(tmp_path / "b", "image,tags", lambda number: "cat|dog" if number % 3 else "cat")
    assert only(several).tasks == ("multilabel",)
    number = table(tmp_path / "c", "image,weight", lambda number: f"{number * 1.5}")
    assert only(number).tasks == ("regression",)
    assert only(number).section["values"] == ["weight"]


def test_lines_of_text_and_lists_of_classes(tmp_path: Path) -> None:
    words = table(tmp_path / "a", "image,text", lambda number: f"{number * 7}")
    assert (only(words).section["format"], only(words).tasks) == ("csv", ("text_recognition",))
    for split in ("train", "test"):
        write_images(tmp_path / "b", split)
        lines = [f"{split}/{name_of(number)}.png word {number}" for number in range(COUNT)]
        (tmp_path / "b" / f"gt_{split}.txt").write_text("\n".join(lines) + "\n")
    found = only(tmp_path / "b")
    assert found.section["lists"] == {"test": "gt_test.txt", "train": "gt_train.txt"}
    assert found.tasks == ("text_recognition",)
    for split in ("train", "test"):
        lines = [f"{split}/{name_of(number)}.png {number % 2}" for number in range(COUNT)]
        (tmp_path / "b" / f"gt_{split}.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError):
        recognise(tmp_path / "b")


def test_good_images_alone_in_train(tmp_path: Path) -> None:
    for name in ("train/good", "test/good", "test/crack", "ground_truth/crack"):
        write_images(tmp_path / "bottle", name)
    assert [one.section["format"] for one in recognise(tmp_path / "bottle")] == ["mvtec"]
    assert recognise(tmp_path)[0].section["root"] == str(tmp_path / "bottle")
    assert recognise(tmp_path)[0].tasks == ("anomaly",)
    for name in ("train/good", "test/good", "test/cut"):
        write_images(tmp_path / "cable", name)
    roots = [one.section["root"] for one in recognise(tmp_path)]
    assert roots == [str(tmp_path / name) for name in ("bottle", "cable")]
    write_images(tmp_path / "bottle", "train/crack")
    with pytest.raises(UserError, match="mixed layout"):  # train has other classes too
        recognise(tmp_path / "bottle")


def test_numbers_beside_classes_are_not_targets_and_several_numbers_are_asked_for(tmp_path: Path) -> None:
    both = table(tmp_path / "a", "image,label,weight", lambda number: f"{'cat' if number % 2 else 'dog'},{number}.5")
    assert only(both).tasks == ("classification",)
    two = table(tmp_path / "b", "image,age,weight", lambda number: f"{number % 7},{number}.5")
    assert [one.section["values"] for one in recognise(two)] == [["age", "weight"], ["age"], ["weight"]]
    assert only(two, values=["age"]).tasks == ("regression",)


def test_images_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, ".")
    with pytest.raises(UserError, match="12 images, but nothing that says what they show"):
        recognise(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images in it"):
        recognise(tmp_path / "empty")
    with pytest.raises(UserError, match="no such folder"):
        recognise(tmp_path / "missing")


@pytest.mark.parametrize("above", ["", "archive/", "train/"])
def test_a_single_class_is_named_with_what_to_do(tmp_path: Path, above: str) -> None:
    write_folder(tmp_path / above)
    shutil.rmtree(tmp_path / above / "class1")
    told = r"only one class \(class0\); classification needs two or more: .* train/good \(docs/anomaly\.md\)"
    with pytest.raises(UserError, match=told):
        recognise(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    values = coco_values()
    values["annotations"][0]["category_id"] = 12345
    for one in values["images"]:
        one["id"] = 1
    write_coco(tmp_path, values)
    with pytest.raises(UserError, match=r"annotations\.json"):
        recognise(tmp_path)


REAL = {
    "flowers12": ("image_folder", ("classification",)),
    "caltech25": ("image_folder", ("classification",)),
    "mnist": ("idx", ("classification",)),
    "bccd": ("voc", ("detection",)),
    "coco128": ("coco", ("instance_segmentation", "detection")),
    "camvid": ("mask_folder", ("semantic_segmentation",)),
    "pose_samples/aic": ("coco", ("keypoints",)),
    "pose_samples/crowdpose": ("coco", ("keypoints",)),
    "pose_samples/jhmdb": ("coco", ("keypoints",)),
    "pose_samples/mpii": ("coco", ("keypoints",)),
    "pose_samples/ochuman": ("coco", ("keypoints",)),
}


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
@pytest.mark.parametrize("name", REAL)
def test_real_sets(name: str) -> None:
    found = only(DATA / name)
    assert (found.section["format"], found.tasks) == REAL[name]


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
def test_several_annotations_of_real_images_are_asked_for() -> None:
    files = [one.section["annotations"] for one in recognise(DATA / "pose_samples" / "coco")]
    assert files == ["test_coco.json", "test_coco_wholebody.json"]
