"""Makes tiny annotated data sets in the layouts of the public formats, all of them with the same objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from raw_folders import config

from sightline.data.encoding import encode_png
from sightline.data.structures import UINT8

CLASSES = ("cat", "dog")
COUNT = 12
WIDTH = 40
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two lie behind the box


def height_of(number: int) -> int:
    return 30 + number


def name_of(number: int) -> str:
    return f"{number:03}"


def picture(number: int) -> bytes:
    """Return a PNG of smooth noise, so that no image is like another."""
    noise = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    return encode_png(cv2.resize(noise, (WIDTH, height_of(number)), interpolation=cv2.INTER_CUBIC).astype(np.uint8))


def objects_of(number: int) -> list[tuple[int, Box]]:
    """Return class and box of each object: none on image 0, 3, 6, ..., one on 1, 4, ..., two on 2, 5, ..."""
    both: list[tuple[int, Box]] = [(number % 2, (2 + number, 3, 14 + number, 20)), (1, (20, 5, 39, 30))]
    return both[: number % 3]


def write_images(root: Path, folder: str = "images") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        (root / folder / f"{name_of(number)}.png").write_bytes(picture(number))


def coco_values(numbers: range = range(COUNT), polygons: bool = True) -> dict[str, Any]:
    """Return COCO's JSON with ids of classes that are neither contiguous nor in order."""
    annotations: list[dict[str, Any]] = []
    for number in numbers:
        for label, (left, top, right, bottom) in objects_of(number):
            annotation = {
                "id": len(annotations) + 100,
                "image_id": number + 1,
                "category_id": (7, 90)[label],
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
            outline = [[left, top, right, top, right, bottom, left, bottom]]
            annotations.append(annotation | ({"segmentation": outline} if polygons else {}))
    return {
        "images": [
            {"id": number + 1, "file_name": f"{name_of(number)}.png", "height": height_of(number), "width": WIDTH}
            for number in numbers
        ],
        "annotations": annotations,
        "categories": [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat"}],
    }


def write_coco(root: Path, values: dict[str, Any] | None = None) -> Any:
    write_images(root)
    (root / "annotations.json").write_text(json.dumps(values or coco_values()))
    return config(format="coco", root=str(root))


def xml_of(number: int) -> str:
    objects = "".join(
        f"<object><name>{CLASSES[label]}</name><difficult>{number % 2}</difficult><bndbox><xmin>{left + 1}</xmin>"
        f"<ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for label, (left, top, right, bottom) in objects_of(number)
    )
    size = f"<size><width>{WIDTH}</width><height>{height_of(number)}</height><depth>3</depth></size>"
    return f"<annotation><filename>x.png</filename>{size}{objects}</annotation>"


def write_voc(root: Path) -> Any:
    write_images(root, "JPEGImages")
    (root / "Annotations").mkdir()
    for number in range(COUNT):
        (root / "Annotations" / f"{name_of(number)}.xml").write_text(xml_of(number))
    return config(format="voc", root=str(root))


def row_of(number: int, label: int, box: Box, polygon: bool) -> str:
    left, right = box[0] / WIDTH, box[2] / WIDTH
    top, bottom = box[1] / height_of(number), box[3] / height_of(number)
    centre = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    corners = [left, top, right, top, right, bottom, left, bottom]
    return " ".join(map(str, [label, *(corners if polygon else centre)]))


def write_yolo(root: Path, polygons: bool = False) -> Any:
    write_images(root)
    (root / "labels").mkdir()
    for number in range(COUNT):
        rows = [row_of(number, label, box, polygons) for label, box in objects_of(number)]
        (root / "labels" / f"{name_of(number)}.txt").write_text("\n".join(rows) + "\n")
    (root / "data.yaml").write_text("names:\n  0: cat\n  1: dog\n")
    return config(format="yolo", root=str(root))


def write_dota(root: Path) -> Any:
    write_images(root)
    (root / "labelTxt").mkdir()
    for number in range(COUNT):
        rows = ["imagesource:GoogleEarth", "gsd:0.146343590398"]
        for label, (left, top, right, bottom) in objects_of(number):
            rows.append(f"{right}.0 {top} {right} {bottom} {left} {bottom} {left} {top} {CLASSES[label]} {number % 2}")
        (root / "labelTxt" / f"{name_of(number)}.txt").write_text("\n".join(rows) + "\n")
    return config(format="dota", root=str(root))


def write_via(root: Path, version: int = 2) -> Any:
    write_images(root)
    files = {}
    for number in range(COUNT):
        regions = [
            {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": [left, right, right, left],
                    "all_points_y": [top, top, bottom, bottom],
                },
                "region_attributes": {"kind": CLASSES[label]},
            }
            for label, (left, top, right, bottom) in objects_of(number)
        ]
        listed = regions if version == 2 else {str(place): region for place, region in enumerate(regions)}
        files[f"{name_of(number)}.png99"] = {"filename": f"{name_of(number)}.png", "regions": listed}
    values = {"_via_settings": {}, "_via_img_metadata": files} if version == 2 else files
    (root / "via_region_data.json").write_text(json.dumps(values))
    return config(format="via", root=str(root), images="images", attribute="kind")


def mask_of(number: int, values: tuple[int, ...], background: int = 0) -> UINT8:
    """Return an index mask in which object i has value values[i]; later objects cover earlier ones."""
    mask = np.full((height_of(number), WIDTH), background, np.uint8)
    for (_, (left, top, right, bottom)), value in zip(objects_of(number), values, strict=False):
        mask[top:bottom, left:right] = value
    return mask


def write_masks(root: Path, folder: str = "masks", suffix: str = "") -> Any:
    """Write masks with background 3, cat 1, dog 9 and void 200."""
    write_images(root)
    (root / folder).mkdir()
    for number in range(COUNT):
        values = tuple((1, 9)[label] for label, _ in objects_of(number))
        mask = mask_of(number, values, 3)
        mask[0] = 200
        (root / folder / f"{name_of(number)}{suffix}.png").write_bytes(encode_png(mask))
    names = {"dog": 9, "cat": 1, "background": 3}
    return config(format="mask_folder", root=str(root), masks=folder, names=names, ignore_index=200)


def write_instances(root: Path) -> Any:
    write_images(root, "PNGImages")
    (root / "PedMasks").mkdir()
    for number in range(COUNT):
        (root / "PedMasks" / f"{name_of(number)}_mask.png").write_bytes(encode_png(mask_of(number, (2, 5))))
    return config(format="instance_masks", root=str(root), class_name="pet")
