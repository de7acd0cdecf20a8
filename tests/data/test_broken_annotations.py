"""Broken annotations: one clear line that names file, object, value and remedy; what is left out is said."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import (
    COUNT,
    coco_values,
    write_coco,
    write_images,
    write_instances,
    write_masks,
    write_via,
    write_voc,
    write_yolo,
)
from PIL import Image
from raw_folders import config

from sightline.data.encoding import encode_png
from sightline.data.raw.findings import KINDS, Code
from sightline.data.raw.preparation import prepare
from sightline.data.structures import UINT8
from sightline.system.errors import UserError

Spoil = Callable[[Path], Any]  # makes a data set and spoils it


def _coco(**changed: Any) -> Spoil:
    """Annotation 100 is the box 3, 3, 15, 20 on image 001, which is 40 x 31."""

    def make(root: Path) -> Any:
        values = coco_values()
        values["categories"][0]["keypoints"] = ["nose", "tail"]
        values["annotations"][0].update(changed)
        return write_coco(root, values)

    return make


def _boxes(**changed: Any) -> Spoil:
    return _coco(segmentation=None, **changed)


def _coco_file(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def make(root: Path) -> Any:
        values = coco_values()
        change(values)
        return write_coco(root, values)

    return make


def _text(write: Spoil, file: str, content: str | bytes) -> Spoil:
    def make(root: Path) -> Any:
        dataset = write(root)
        (root / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return dataset

    return make


def _voc(objects: str, size: str = "") -> Spoil:
    return _text(write_voc, "Annotations/001.xml", f"<annotation>{size}{objects}</annotation>")


def _xml_object(*sides: object, name: str = "cat") -> str:
    tags = "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True))
    return f"<object><name>{name}</name><bndbox>{tags}</bndbox></object>"


def _yolo(line: str) -> Spoil:
    return _text(write_yolo, "labels/001.txt", line)


def _via(shape: dict[str, Any], attributes: Any = None) -> Spoil:
    def make(root: Path) -> Any:
        dataset = write_via(root)
        values = json.loads((root / "via_region_data.json").read_text())
        region = {"shape_attributes": shape, "region_attributes": attributes or {"kind": "cat"}}
        values["_via_img_metadata"]["001.png99"]["regions"] = [region]
        (root / "via_region_data.json").write_text(json.dumps(values))
        return dataset

    return make


def _mask(change: Callable[[Path], object], write: Spoil = write_masks) -> Spoil:
    def make(root: Path) -> Any:
        dataset = write(root)
        change(root)
        return dataset

    return make


def _filled(value: int) -> UINT8:
    return np.full((31, 40), value, np.uint8)


def _colour_mask(root: Path) -> None:
    Image.new("RGB", (40, 31)).save(root / "masks/001.png")


def _twice(values: dict[str, Any]) -> None:
    values["annotations"].append(values["annotations"][0] | {"id": 999})


IMAGE, FILE = r"raw/images/001.png: ", r"annotations.json: annotation 100: "
LEFT_OUT: dict[str, tuple[Spoil, Code, str]] = {
    "partly outside": (
        _boxes(bbox=[30, 3, 25, 17]),
        "clipped",
        IMAGE + FILE + r"box 30, 3, 55, 20 .*image is 40 x 31; no",
    ),
    "wholly outside": (
        _boxes(bbox=[50, 3, 9, 9]),
        "outside",
        IMAGE + FILE + r"box 50, 3, 59, 12 .*is 40 x 31; remove it",
    ),
    "inverted": (
        _boxes(bbox=[20, 3, -9, 9]),
        "bad_box",
        IMAGE + FILE + r"box 20, 3, 11, 12 .* is inverted; draw it again",
    ),
    "no area": (
        _boxes(bbox=[20, 3, 0, 9]),
        "bad_box",
        IMAGE + FILE + r"box 20, 3, 20, 12 .* has no area; draw it again",
    ),
    "not finite": (_boxes(bbox=[20, 3, float("nan"), 9]), "bad_box", IMAGE + FILE + r"box 20, 3, nan.* is not finite"),
    "infinite": (_boxes(bbox=[20, 3, float("inf"), 9]), "bad_box", IMAGE + FILE + r"box 20, 3, inf.* is not finite"),
    "three numbers": (_coco(bbox=[1, 2, 3]), "broken_line", IMAGE + FILE + r"bbox \[1, 2, 3\] is not left, top, width"),
    "words": (
        _coco(bbox=["1", 2, 3, 4]),
        "broken_line",
        IMAGE + FILE + r"bbox \['1', 2, 3, 4\] is not left.*; correct it",
    ),
    "nothing at all": (_boxes(bbox=None), "bad_box", IMAGE + FILE + "has no box, no outline and no key points"),
    "unknown class": (
        _coco(category_id=8),
        "unknown_class",
        IMAGE + FILE + "category_id 8 is not one of.*; correct the class",
    ),
    "class is a list": (_coco(category_id=[7]), "unknown_class", IMAGE + FILE + r"category_id \[7\] is not one of"),
    "unknown image": (
        _coco(image_id=77),
        "orphan",
        r"raw/annotations.json: " + FILE + "image_id 77 is not the id of an image; add",
    ),
    "twice": (
        _coco_file(_twice),
        "repeated",
        IMAGE + "annotations.json: annotation 999: a duplicate of another one.*; remove",
    ),
    "two points": (
        _coco(segmentation=[[1, 1, 9, 9]]),
        "bad_outline",
        IMAGE + FILE + "a polygon has 2 points, expected at least",
    ),
    "odd numbers": (_coco(segmentation=[[1, 1, 9, 9, 3, 3, 5]]), "bad_mask", IMAGE + FILE + "a polygon has 7 numbers"),
    "outline of words": (
        _coco(segmentation=["1", "1", "9", "9", "3", "3"]),
        "bad_mask",
        IMAGE + FILE + "segmentation must be a list of p",
    ),
    "nan polygon": (
        _coco(segmentation=[[1, 1, 9, 9, 3, float("nan")]]),
        "bad_mask",
        IMAGE + FILE + "a polygon contains a number that is not finite",
    ),
    "run lengths of another size": (
        _coco(segmentation={"size": [40, 31], "counts": [1240]}),
        "bad_mask",
        IMAGE + FILE + r"run lengths for size \[40, 31\], the image has \[31, 40\]; draw",
    ),
    "run lengths too long": (
        _coco(segmentation={"size": [31, 40], "counts": [5, 5000]}),
        "bad_mask",
        IMAGE + FILE + r"run lengths of 5005 pixels, the image has 1240",
    ),
    "run lengths that are none": (
        _coco(segmentation={"size": [31, 40], "counts": "]]~~~"}),
        "bad_mask",
        IMAGE + FILE + r"run lengths",
    ),
    "key point missing": (
        _coco(keypoints=[1, 2, 2]),
        "bad_keypoints",
        IMAGE + FILE + r"keypoints has 3 numbers, expected 6",
    ),
    "visibility 7": (
        _coco(keypoints=[1, 2, 7, 1, 1, 1]),
        "bad_keypoints",
        IMAGE + FILE + r"key point 0 is \(1, 2, 7\)",
    ),
    "key points are words": (
        _coco(keypoints="1 2 2"),
        "bad_keypoints",
        IMAGE + FILE + "keypoints is not a list of numb",
    ),
    "key point outside": (
        _coco(keypoints=[45, 2, 2, 1, 1, 1]),
        "keypoint_outside",
        IMAGE + FILE + r"key point 0 at \(45, 2\), the image is 40 x 31; nothing, or",
    ),
    "annotated for another size": (
        _coco_file(lambda values: values["images"][1].update(height=40, width=31)),
        "size_differs",
        IMAGE + r"annotated as 31 x 40, but the image is 40 x 31; annotate the upright",
    ),
    "broken xml": (
        _voc("<object>"),
        "broken_file",
        r"raw/JPEGImages/001.png: Annotations/001.xml: not XML: mismatched.*; repair",
    ),
    "xml without a side": (
        _voc(_xml_object("", 1, 9, 9)),
        "broken_line",
        r"raw/JPEGImages/001.png: Annotations/001.xml: object 1: bndbox: xmin is not a number",
    ),
    "xml without a name": (
        _voc(_xml_object(1, 1, 9, 9, name=" ")),
        "unknown_class",
        r"Annotations/001.xml: object 1: name is empty",
    ),
    "xml swapped": (
        _voc(_xml_object(20, 5, 10, 9)),
        "bad_box",
        r"Annotations/001.xml: object 1: box 19, 4, 10, 9 .* is inverted",
    ),
    "xml without image": (
        _text(write_voc, "Annotations/lost.xml", "<annotation/>"),
        "unused_file",
        r"raw/Annotations/lost.xml: there is no image with its name; add its image",
    ),
    "xml of another size": (
        _voc(_xml_object(1, 1, 9, 9), "<size><width>31</width><height>40</height></size>"),
        "size_differs",
        r"raw/JPEGImages/001.png: annotated as 31 x 40, but the image is 40 x 31",
    ),
    "yolo four values": (
        _yolo("0 .5 .5 .1"),
        "broken_line",
        IMAGE + "labels/001.txt: line 1: 4 values, expected class cx",
    ),
    "yolo words": (
        _yolo("0 .5 .5 .1 wide"),
        "broken_line",
        IMAGE + "labels/001.txt: line 1: '0 .5 .5 .1 wide' contains some",
    ),
    "yolo class": (
        _yolo("0 .5 .5 .1 .1\n7 .5 .5 .1 .1"),
        "unknown_class",
        IMAGE + "labels/001.txt: line 2: class 7 is not one",
    ),
    "yolo pixels": (_yolo("0 20 15 10 10"), "outside", IMAGE + "labels/001.txt: line 1: box 600, 310, 1000, 620"),
    "yolo not text": (
        _text(write_yolo, "labels/001.txt", b"\xff\xfe0"),
        "broken_file",
        IMAGE + "labels/001.txt: not UTF-16 text",
    ),
    "yolo without image": (
        _text(write_yolo, "labels/lost.txt", "0 .5 .5 .1 .1"),
        "unused_file",
        r"raw/labels/lost.txt: there is no image with its name; add its",
    ),
    "via point": (
        _via({"name": "point", "cx": 3, "cy": 3}),
        "bad_mask",
        IMAGE + "via_region_data.json: 001.png: region 0: shape_attributes: 'point' is not an outline",
    ),
    "via corners": (
        _via({"name": "polygon", "all_points_x": [1, 9], "all_points_y": [1, 9]}),
        "bad_mask",
        IMAGE + "via_region_data.json: 001.png: region 0: a polygon has 2 points",
    ),
    "via class": (
        _via({"name": "rect", "x": 3, "y": 3, "width": 5, "height": 5}, {"kind": {"cat": True, "dog": True}}),
        "unknown_class",
        IMAGE + "via_region_data.json: 001.png: region 0: region_attributes: 'kind' is not a single name; "
        "correct the class",
    ),
    "mask values": (
        _mask(lambda root: (root / "masks/001.png").write_bytes(encode_png(_filled(77)))),
        "mask_values",
        IMAGE + r"masks/001.png: the values 77 are not a class; add them to names, or to ignore_index",
    ),
    "mask of another size": (
        _mask(lambda root: (root / "masks/001.png").write_bytes(encode_png(_filled(1)[:-3]))),
        "size_differs",
        IMAGE + r"its mask is 40 x 28, the upright image 40 x 31; annotate the upright",
    ),
    "mask in colours": (
        _mask(_colour_mask),
        "no_mask",
        IMAGE + r"masks/001.png: holds colours \(RGB\), expected numbers",
    ),
    "mask missing": (
        _mask(lambda root: (root / "masks/001.png").unlink()),
        "no_mask",
        IMAGE + "has no mask; add its mask",
    ),
    "mask broken": (
        _mask(lambda root: (root / "masks/001.png").write_bytes(b"\x89PNG nothing")),
        "no_mask",
        IMAGE + "masks/001.png: not an image .*; add its mask",
    ),
    "mask without image": (
        _mask(lambda root: (root / "masks/lost.png").write_bytes(encode_png(_filled(1)))),
        "unused_file",
        r"raw/masks/lost.png: there is no image images/lost; add its image",
    ),
    "instance mask of another size": (
        _mask(lambda root: (root / "PedMasks/001_mask.png").write_bytes(encode_png(_filled(1)[:-3])), write_instances),
        "size_differs",
        r"raw/PNGImages/001.png: PedMasks/001_mask.png is 40 x 28, the upright image 40 x 31",
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_told_in_one_line_and_left_out(tmp_path: Path, out: Path, case: str) -> None:
    make, code, told = LEFT_OUT[case]
    dataset = make(tmp_path / "raw")
    if code == "unused_file":
        with pytest.raises(UserError, match=told):
            prepare("tiny", dataset, out)
        dataset = dataset.model_copy(update={"allow_empty": True})
    card = prepare("tiny", dataset, out)
    found = card.findings[code]
    assert found["count"] == 1
    fate = KINDS[code].fate
    assert found["left_out"] == fate
    lone = "all_dropped" in card.findings  # image 001 has one annotation; without it, it would teach background
    assert (card.quarantined, card.dropped) == (int(fate == "sample" or lone), int(fate == "annotation"))
    assert sum(card.samples.values()) == COUNT - card.quarantined
    line = f"raw/{found['first'][0]['source']}: {found['first'][0]['reason']}; {KINDS[code].remedy}"
    assert re.search(told, line), line
    assert "\n" not in line
    with (out / "quarantine.csv").open() as file:
        listed = [(row["left_out"], row["code"]) for row in csv.DictReader(file)]
    assert listed == ([] if fate == "kept" else [(fate, code)]) + [("sample", "all_dropped")] * lone
    if fate != "kept":
        with pytest.raises(UserError) as error:
            prepare("tiny", dataset.model_copy(update={"on_bad_sample": "fail"}), out)
        assert error.value.lines[0].removeprefix(f"{tmp_path}/") == line
        assert len(error.value.lines) == 1 + lone


def _write(root: Path, values: Any) -> Any:
    write_images(root)
    (root / "annotations.json").write_text(values if isinstance(values, str) else json.dumps(values))
    return config(format="coco", root=str(root))


def _set(section: str, place: int, **values: Any) -> Spoil:
    return _coco_file(lambda all_values: all_values[section][place].update(values))


def _lists(root: Path, **lists: str) -> Any:
    dataset = write_voc(root)
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / f"ImageSets/Main/{name}.txt").write_text(text)
    return dataset


def _other_categories(root: Path) -> Any:
    write_images(root)
    (root / "a.json").write_text(json.dumps(coco_values(range(6))))
    values = coco_values(range(6, 12))
    values["categories"][0]["id"] = 91
    (root / "b.json").write_text(json.dumps(values))
    return config(format="coco", root=str(root), annotations={"train": "a.json", "test": "b.json"})


STOPS: dict[str, tuple[Spoil, str]] = {
    "no file": (
        lambda root: write_coco(root).model_copy(update={"annotations": "a.json"}),
        r"raw/a.json: no such file; add",
    ),
    "not json": (
        lambda root: _write(root, '{"images": [,]}'),
        r"annotations.json: line 1 column 13: not JSON: .*; export",
    ),
    "a list": (lambda root: _write(root, [1]), r"annotations.json: holds a list, expected a mapping; export it again"),
    "no images": (
        lambda root: _write(root, {"categories": []}),
        r"annotations.json: categories: is empty; name the classes",
    ),
    "no section": (
        lambda root: _write(root, {"categories": [{"id": 1, "name": "a"}]}),
        r"annotations.json: images: missing; a COCO file has the lists images, annotations and categories",
    ),
    "category twice": (_set("categories", 0, id=7), r"annotations.json: categories: id 7 occurs twice; give each"),
    "name twice": (
        _set("categories", 0, name="cat"),
        r"annotations.json: categories: name 'cat' occurs twice; give each",
    ),
    "category id": (
        _set("categories", 0, id="x"),
        r"categories: entry 0: needs a whole number id and a name, got 'x' and 'dog'",
    ),
    "image id twice": (
        _set("images", 1, id=1),
        r"images: entry 1: id 1: occurs twice; give each image a different one",
    ),
    "image leaves": (
        _set("images", 1, file_name="../x.png"),
        r"images: entry 1: file_name '../x.png': is outside the folder",
    ),
    "other categories": (
        _other_categories,
        r"raw/b.json: categories: differ from those of the other annotation files; use",
    ),
    "key points differ": (
        _coco_file(lambda values: [one.update(keypoints=[one["name"]]) for one in values["categories"]]),
        r"annotations.json: categories: the key points of 'cat', 'dog' differ; use a separate file for each",
    ),
    "voc folder": (
        lambda root: write_coco(root).model_copy() and config(format="voc", root=str(root)),
        r"raw: no XML files; a VOC data set has Annotations/ and JPEGImages/",
    ),
    "voc lists": (
        lambda root: _lists(root, train="000\n001\n", test="001\n"),
        r"Main/test.txt: line 1: JPEGImages/001.png is in train too \(.*/train.txt: line 2\); keep it in one of the",
    ),
    "yolo names": (
        lambda root: [write_yolo(root), (root / "data.yaml").unlink()] and config(format="yolo", root=str(root)),
        r"raw: no data.yaml and no classes.txt; name the classes in one of them",
    ),
    "yolo names twice": (
        _text(write_yolo, "data.yaml", "names: [cat, cat]"),
        r"data.yaml: names: 'cat' occurs twice; give",
    ),
    "yolo names wrong": (
        _text(write_yolo, "data.yaml", "names: cat"),
        r"data.yaml: names: is 'cat', expected a list of",
    ),
    "mask folder": (
        lambda root: write_masks(root).model_copy(update={"masks": "m"}),
        r"raw/m: no such folder; correct `masks`",
    ),
    "no mask at all": (
        lambda root: write_masks(root).model_copy(update={"mask_suffix": "_x"}),
        r"raw: no image has a mask with its name and '_x'; correct images, masks or mask_suffix",
    ),
    "all masks wrong": (
        lambda root: write_masks(root).model_copy(update={"names": ["cat", "dog"]}),
        r"raw: all 12 samples are bad; the first: .*masks/000.png: the values 3 are not a class; add them to names",
    ),
    "via attribute": (
        lambda root: write_via(root).model_copy(update={"attribute": "kin"}),
        r"no region has the attribute 'kin'",
    ),
    "unknown choice": (
        lambda root: write_coco(root).model_copy(update={"classes": ["cta"]}),
        r"raw: classes: 'cta' is not one of its classes \(did you mean cat\?\)",
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_what_cannot_be_used_stops_in_one_line(tmp_path: Path, out: Path, case: str) -> None:
    make, told = STOPS[case]
    with pytest.raises(UserError) as error:
        prepare("tiny", make(tmp_path / "raw"), out)
    assert len(error.value.lines) == 1
    assert re.search(told, error.value.lines[0]), error.value.lines[0]
    assert not out.exists()


def test_missing_image_of_a_list_is_left_out(tmp_path: Path, out: Path) -> None:
    numbers = "".join(f"{number:03}\n" for number in range(12))
    card = prepare("tiny", _lists(tmp_path / "raw", train=numbers + "lost\n"), out)
    assert card.findings["unreadable"]["first"] == [
        {"source": "lost", "reason": "ImageSets/Main/train.txt: line 13: there is no such image"}
    ]
    assert card.quarantined == 1


def test_copies_annotated_otherwise_are_a_conflict(tmp_path: Path, out: Path) -> None:
    dataset = write_coco(tmp_path / "raw")
    (tmp_path / "raw/images/002.png").write_bytes((tmp_path / "raw/images/001.png").read_bytes())
    values = coco_values()
    values["images"][2]["height"] = values["images"][1]["height"]
    (tmp_path / "raw/annotations.json").write_text(json.dumps(values))
    card = prepare("tiny", dataset, out)
    reasons = {first["source"]: first["reason"] for first in card.findings["conflict"]["first"]}
    assert reasons["images/001.png"] == "annotated differently from its copy images/002.png"
    assert card.quarantined == 2
