"""YOLO as tools write it: other names of files and folders, splits by lists and folders, rows of other kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import COUNT, height_of, name_of, objects_of, picture, row_of, write_yolo
from raw_folders import config

from sightline.config.dataset_section import Split
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.yolo_names import names_only
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS, Sample
from sightline.system.errors import UserError

NAMES = "names: [cat, dog]\n"


def lines(numbers: range, form: str = "images/{}.png") -> str:
    return "".join(form.format(name_of(number)) + "\n" for number in numbers)


def write(root: Path, table: str = NAMES, **files: str) -> Any:
    """Write the twelve images with boxes, data.yaml and text files."""
    dataset = write_yolo(root)
    (root / "data.yaml").write_text(table)
    for name, text in files.items():
        (root / f"{name}.txt").write_text(text)
    return dataset


def move(root: Path, where: Mapping[range, str], form: str) -> None:
    """Move images and text files into folders of those names."""
    for numbers, part in where.items():
        for kind, suffix in (("images", "png"), ("labels", "txt")):
            folder = root / form.format(kind=kind, part=part)
            folder.mkdir(parents=True, exist_ok=True)
            for number in numbers:
                (root / kind / f"{name_of(number)}.{suffix}").rename(folder / f"{name_of(number)}.{suffix}")


def samples_of(dataset: Any) -> dict[int, Sample]:
    source = open_source(dataset)
    samples = [source.sample(index) for index in range(len(source))]
    return {int(Path(sample.source).stem): sample for sample in samples}


def require_objects(samples: Mapping[int, Sample]) -> None:
    for number, sample in samples.items():
        boxes = np.array([box for _, box in objects_of(number)]).reshape(-1, 4)
        np.testing.assert_allclose(sample.boxes, boxes, atol=1e-3)
        assert sample.box_labels == [label for label, _ in objects_of(number)]


def findings_of(dataset: Any, code: str) -> list[tuple[str, str]]:
    source = open_source(dataset)
    found = list(source.findings)
    return [(one.source, one.reason) for one in found if one.code == code]


HALF = Split(train=0.5, val=0, test=0.5)
FIRST, SECOND, THIRD = range(6), range(6, 9), range(9, 12)
PARTS = {FIRST: "train", SECOND: "val", THIRD: "test"}


def _folders(root: Path) -> Any:
    dataset = write(root, f"{NAMES}path: .\ntrain: images/main\nval: images/holdout\ntest: [images/x, images/y]\n")
    move(root, {FIRST: "main", SECOND: "holdout", range(9, 10): "x", range(10, 12): "y"}, "{kind}/{part}")
    return dataset


def _roboflow(root: Path) -> Any:
    dataset = write(root, f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n{NAMES}")
    move(root, {FIRST: "train", SECOND: "valid", THIRD: "test"}, "{part}/{kind}")
    return dataset


def _darknet(root: Path) -> Any:
    """As CVAT writes it: the files lie beside each other, below a folder `data` that is not there."""
    dataset = write(root, "")
    (root / "data.yaml").unlink()
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
    )
    move(root, {range(12): "obj_train_data"}, "{part}")
    (root / "train.txt").write_text(lines(FIRST, "data/obj_train_data/{}.png"))
    (root / "valid.txt").write_text(lines(SECOND, "data/obj_train_data/{}.png"))
    (root / "test.txt").write_text(lines(THIRD, "data/obj_train_data/{}.png"))
    text = (root / "obj.data").read_text()
    (root / "obj.data").write_text(text + "test = data/test.txt\n")
    return dataset


def _three_lists(form: str, table: str = "train: train.txt\nval: val.txt\ntest: test.txt\n") -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        return write(root, NAMES + table, **{part: lines(numbers, form) for numbers, part in PARTS.items()})

    return make


def _rest_by_folder(root: Path) -> Any:
    dataset = write(root, f"{NAMES}train: images/a\nval: images/b\n")
    move(root, {FIRST: "a", SECOND: "b", THIRD: "test2017"}, "{kind}/{part}")
    return dataset


SPLIT: dict[str, Callable[[Path], Any]] = {
    "folders of other names, and several": _folders,
    "roboflow": _roboflow,
    "darknet": _darknet,
    "paths below the root": _three_lists("images/{}.png"),
    "paths from the list": _three_lists("./images/{}.png"),
    "absolute paths of another machine": _three_lists("/content/birds/images/{}.png"),
    "windows": _three_lists("D:\\birds\\images\\{}.png"),
    "lists that data.yaml does not name": _three_lists("images/{}.png", ""),
    "path": _three_lists(
        "./images/{}.png", "path: ../datasets/raw\ntrain: train.txt\nval: [val.txt]\ntest: test.txt\n"
    ),
    "a folder called after the part that is not named": _rest_by_folder,
}


@pytest.mark.parametrize("case", SPLIT)
def test_a_given_split_is_followed(tmp_path: Path, out: Path, case: str) -> None:
    dataset = SPLIT[case](tmp_path / "raw")
    samples = samples_of(dataset)
    require_objects(samples)
    assert {number: sample.split for number, sample in samples.items()} == {
        number: part for numbers, part in PARTS.items() for number in numbers
    }
    prepare("tiny", dataset, out)
    for numbers, part in PARTS.items():
        assert sorted(int(Path(path).stem) for path in SplitStore(out / part).sources) == list(numbers)


REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "no such folder": ("train: images/main\n", {}, r"data.yaml: train: 'images/main': there is no such folder or list"),
    "another folder of the name": ("val: valid/images\n", {}, r"data.yaml: val: 'valid/images': there is no such"),
    "no image inside": ("train: labels\n", {}, r"data.yaml: train: 'labels': contains no image below"),
    "no path of a list": ("train: t.txt\n", {"t": "a/0.png\n"}, r"t.txt: line 1: 'a/0.png': none of its 1 lines names"),
    "in two parts": (
        "train: t.txt\nval: v.txt\n",
        {"t": lines(range(3)), "v": lines(range(2, 5))},
        r"v.txt: line 1: images/002.png is in train too \(t.txt: line 3\); keep it in one of the two",
    ),
    "no text": ("train: 3: 4\n", {}, r"data.yaml: line 1 or 2: not YAML"),
    "a mapping": ("train: {a: b}\n", {}, r"data.yaml: train: is {'a': 'b'}, expected a folder, a list of images"),
    "number of classes": ("nc: 3\n", {}, r"data.yaml: nc: is 3, but names has 2; make them match"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_split_that_cannot_be_followed_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    table, files, told = REFUSED[case]
    dataset = write(tmp_path / "raw", NAMES + table, **files)
    with pytest.raises(UserError, match=told) as error:
        open_source(dataset)
    assert len(error.value.lines) == 1


def test_parts_that_are_not_given_are_told(tmp_path: Path, out: Path) -> None:
    dataset = write(tmp_path / "raw", f"{NAMES}train: t.txt\nval: images\n", t=lines(range(12)))
    same = "val lists the same images as train, so it is taken from train instead"
    assert findings_of(dataset, "given_split") == [("data.yaml", same)]
    dataset = write(tmp_path / "some", f"{NAMES}val: v.txt\n", v=lines(SECOND)).model_copy(update={"split": HALF})
    card = prepare("tiny", dataset, out)
    assert card.samples["val"] == 3
    told = "val as defined by the data set; the fractions of split are used only to take test from the rest"
    assert card.findings["given_split"]["first"] == [{"source": "split", "reason": told}]
    dataset = _roboflow(tmp_path / "whole").model_copy(update={"split": dataset.split})
    card = prepare("tiny", config(**dataset.model_dump()), tmp_path / "out")
    assert card.findings["given_split"]["first"][0]["reason"].endswith("the fractions of split are not used")


def test_images_that_a_list_names_in_vain_are_left_out_and_told(tmp_path: Path, out: Path) -> None:
    dataset = write(tmp_path / "raw", f"{NAMES}train: t.txt\n", t=lines(range(11)) + "images/lost.png\n")
    card = prepare("tiny", dataset, out)
    told = {"source": "images/lost.png", "reason": "t.txt: line 12: there is no such image"}
    assert card.findings["unreadable"]["first"] == [told]
    assert [one["source"] for one in card.findings["ignored"]["first"]] == ["images/011.png"]


def _renamed(pairs: Mapping[str, str]) -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        dataset = write(root)
        for old, new in pairs.items():
            for path in sorted(root.glob(old)):
                target = root / new.format(stem=path.stem)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
        return dataset

    return make


def _encoded(encoding: str, newline: str = "\n") -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        dataset = write(root)
        for path in [*root.glob("labels/*.txt"), root / "data.yaml"]:
            path.write_bytes(path.read_text().replace("\n", newline).encode(encoding))
        return dataset

    return make


def _table(text: str, name: str = "data.yaml") -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        dataset = write(root)
        (root / "data.yaml").unlink()
        (root / name).write_text(text)
        return dataset

    return make


READ: dict[str, Callable[[Path], Any]] = {
    "folders in capitals": _renamed({"images": "Images", "labels": "LABELS"}),
    "suffix in capitals": _renamed({"labels/*.txt": "labels/{stem}.TXT"}),
    "images with other suffixes": _renamed({"images/*.png": "images/{stem}.PNG"}),
    "text beside the images": _renamed({"labels/*.txt": "images/{stem}.txt"}),
    "folder within a folder": _renamed({"images/*": "a/images/{stem}.png", "labels": "a/labels", "a": "images"}),
    "all in another folder": _renamed(
        {"images": "birds/images", "labels": "birds/labels", "data.yaml": "birds/d.yaml"}
    ),
    "another yaml": _renamed({"data.yaml": "coco.yml"}),
    "two yaml files": lambda root: [write(root), (root / "args.yaml").write_text("lr0: 1\n")][0],
    "quoted numbers": _table("names: {'0': cat, '1': dog}\n"),
    "nothing but names in lists": _table("cat\ndog\n", "labels/classes.txt"),
    "names of another list": lambda root: [
        write(root, "nc: 2\nval: ''\n"),
        (root / "obj.names").write_text("cat\ndog"),
    ][0],
    "old mac": _encoded("utf-8", "\r"),
    "windows": _encoded("utf-8-sig", "\r\n"),
    "powershell": _encoded("utf-16"),
    "class names in rows": lambda root: _rows(
        root, lambda row: row.replace("0 ", "cat ", 1) if row[:2] == "0 " else row
    ),
    "classes as floats": lambda root: _rows(root, lambda row: f"{row[0]}.0{row[1:]}"),
    "tabs": lambda root: _rows(root, lambda row: f"  {row}\t".replace(" ", "\t")),
}


def _rows(root: Path, change: Callable[[str], str]) -> Any:
    dataset = write(root)
    for path in root.glob("labels/*.txt"):
        path.write_text("\n".join(change(row) for row in path.read_text().split("\n") if row))
    return dataset


@pytest.mark.parametrize("case", READ)
def test_other_names_and_encodings_are_read(tmp_path: Path, case: str) -> None:
    dataset = READ[case](tmp_path / "raw")
    samples = samples_of(dataset)
    assert len(samples) == COUNT
    require_objects(samples)
    assert open_source(dataset).labels.classes == ("cat", "dog")


def test_names_are_the_text_that_is_written(tmp_path: Path) -> None:
    written = ["yes", "no", "true", "~", "1", "null", "1e3", "0x1f"]
    dataset = write(tmp_path / "raw", f"names: [{', '.join(written)}]\n")
    assert open_source(dataset).labels.classes == tuple(written)
    dataset = write(tmp_path / "blank", "names: {3: ' Cat ', 0: cat, 5: ''}\n")
    labels = open_source(dataset).labels
    assert (labels.classes, labels.source_ids) == (("cat", "Cat"), ("0", "3"))
    assert findings_of(dataset, "similar_names") == [("class cat", "differs from Cat only in upper and lower case")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"names: [M\xfcll]", r"data.yaml: not UTF-8 text \(byte 9\); save it as UTF-8"),
        (b"names: [cat, dog, cat]", r"data.yaml: names: 'cat' occurs twice; give each class a different name"),
        (
            b"names: {a: cat}",
            r"data.yaml: names: is {'a': 'cat'}, expected a list of class names or NUMBER: NAME pairs",
        ),
        (b"names: [cat]\nkpt_shape: [2, 5]", r"data.yaml: kpt_shape: is \['2', '5'\], expected \[number of key points"),
        (b"names: [cat]\nkpt_shape: [2, 3]\nflip_idx: [0, 0]", r"data.yaml: flip_idx: is \['0', '0'\], expected each"),
    ],
)
def test_what_data_yaml_gets_wrong_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    dataset = write(tmp_path / "raw")
    (tmp_path / "raw/data.yaml").write_bytes(content)
    with pytest.raises(UserError, match=told) as error:
        open_source(dataset)
    assert len(error.value.lines) == 1


def test_two_files_of_names_are_refused(tmp_path: Path) -> None:
    dataset = READ["another yaml"](tmp_path / "raw")
    (tmp_path / "raw/other.yaml").write_text("names: [a]")
    with pytest.raises(UserError, match=r"raw: coco.yml, other.yaml name classes; keep one, or call it data.yaml"):
        open_source(dataset)


@pytest.mark.parametrize("place", ["annotations", "labels_of", "Labels/deeper"])
def test_text_files_that_no_image_uses_stop(tmp_path: Path, out: Path, place: str) -> None:
    dataset = _renamed({"labels/*.txt": place + "/{stem}.txt"})(tmp_path / "raw")
    told = rf"raw: \d+ text files, {place}/00\d.txt first, have the names of images, .* what is in {place}/ into"
    with pytest.raises(UserError, match=told):
        prepare("tiny", dataset, out)
    (tmp_path / "raw/labels").mkdir(exist_ok=True)
    (tmp_path / f"raw/{place}/001.txt").rename(tmp_path / "raw/labels/001.txt")
    with pytest.raises(UserError, match=r"annotation files have no image; the first: .*/00\d.txt"):
        prepare("tiny", dataset, out)
    (tmp_path / "raw/README.txt").write_text("5 lines on this 1 2 3")
    assert "README.txt" not in dict(findings_of(dataset, "unused_file"))


def test_images_that_share_a_text_file_are_left_out_and_told(tmp_path: Path, out: Path) -> None:
    dataset = write(tmp_path / "raw")
    (tmp_path / "raw/images/001.jpeg").write_bytes(picture(77))
    card = prepare("tiny", dataset, out)
    assert card.findings["shared_file"]["first"] == [
        {"source": "images/001.jpeg", "reason": "labels/001.txt also belongs to images/001.png"},
        {"source": "images/001.png", "reason": "labels/001.txt also belongs to images/001.jpeg"},
    ]
    assert (card.quarantined, sum(card.samples.values())) == (2, COUNT - 1)
    (tmp_path / "raw/images/001.jpeg").rename(tmp_path / "raw/images/Straße.png")  # letters that casefold would join
    (tmp_path / "raw/images/STRASSE.png").write_bytes(picture(78))
    (tmp_path / "raw/labels/Straße.txt").write_text("0 .5 .5 .2 .2")
    source = open_source(dataset)
    counts = {source.sample(index).source: len(source.sample(index).box_labels) for index in range(len(source))}
    assert (counts["images/Straße.png"], counts["images/STRASSE.png"]) == (1, 0)


@pytest.mark.parametrize(
    "rows",
    [
        "0 .5 .5 .2 .2 .93",
        "bird .5 .5 .2 .2",
        "0 0,5 0,5 0,2 0,2",
        "0 320 240 100 80",
        "7 .5 .5 .2 .2\n0 .5",
        "0,.5,.5,.2,.2",
    ],
)
def test_an_image_whose_rows_all_fall_away_is_no_background(tmp_path: Path, out: Path, rows: str) -> None:
    dataset = write(tmp_path / "raw")
    (tmp_path / "raw/labels/001.txt").write_text(rows)
    card = prepare("tiny", dataset, out)
    assert card.quarantined == 1
    assert not any("001" in path for part in SPLITS for path in SplitStore(out / part).sources)


def test_key_points_of_rows(tmp_path: Path) -> None:
    """Box and three key points of image 001, 40 x 31: with visibility, and without, where 0, 0 is absent."""
    for numbers, points in ((3, ".25 .5 2 0 0 0 .5 .5 1"), (2, ".25 .5 0 0 .5 .5")):
        root = tmp_path / str(numbers)
        table = f"{NAMES}kpt_shape: [3, {numbers}]\nflip_idx: [1, 0, 2]\nkpt_names: {{0: [left, right, nose]}}\n"
        dataset = write(root, table)
        label, box = objects_of(1)[0]
        (root / "labels/001.txt").write_text(f"{row_of(1, label, box, False)} {points}\n")
        (root / "labels/002.txt").write_text(f"0 .5 .5 .2 .2 {points} .1")
        source = open_source(dataset)
        assert (source.labels.keypoints, source.labels.mirrored) == (("left", "right", "nose"), (1, 0, 2))
        assert names_only(root).count("kpt_shape") == 1
        sample = samples_of(config(format="yolo", root=str(root)))[1]
        last = 1 if numbers == 3 else 2
        middle = height_of(1) / 2
        np.testing.assert_allclose(sample.boxes, [box], atol=1e-3)
        np.testing.assert_allclose(sample.keypoints, [[[10, middle, 2], [0, 0, 0], [20, middle, last]]], atol=1e-3)
        (told,) = findings_of(dataset, "broken_line")
        assert "expected a box or a box with 3 key points" in told[1]


def test_key_points_that_nothing_names_are_no_outlines(tmp_path: Path) -> None:
    dataset = write(tmp_path / "raw")
    for number in range(1, COUNT):
        text = f"0 .5 .5 .4 .4 {'.4 .4 2 ' * (number % 4)}{'.6 .6 1 ' * (4 - number % 4)}"
        (tmp_path / f"raw/labels/{name_of(number)}.txt").write_text(text)
    with pytest.raises(
        UserError, match=r"001.txt: line 1: 17 values, as in all rows, .* `kpt_shape: \[4, 3\]` in data"
    ):
        open_source(dataset)


def test_oriented_boxes_are_told(tmp_path: Path) -> None:
    dataset = write_yolo(tmp_path / "raw", polygons=True)
    require_objects(samples_of(dataset))
    (told,) = findings_of(dataset, "four_corners")
    assert told[1].startswith("12 rows, all with four corners")
    with (tmp_path / "raw/labels/001.txt").open("a") as file:
        file.write("1 .1 .1 .2 .1 .2 .2\n")
    assert findings_of(dataset, "four_corners") == []


def test_polygons_are_clipped_to_the_image(tmp_path: Path) -> None:
    dataset = write_yolo(tmp_path / "raw", polygons=True)
    (tmp_path / "raw/labels/001.txt").write_text("0 -.01 -.02 1.002 -.02 1.002 1.004 -.01 1.004\n")
    sample = samples_of(dataset)[1]
    assert sample.boxes is not None
    assert sample.boxes.tolist() == [[0, 0, 40, height_of(1)]]
