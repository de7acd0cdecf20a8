"""A prepared split as COCO: its images, and an annotations.json with boxes, masks and key points."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_masks

from sightline.data.encoding import encode_rle
from sightline.data.raw.formats.source import is_image
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import IGNORED, LabelMap, Sample, SplitName
from sightline.system.errors import UserError
from sightline.system.files import new_folder

_DECIMALS = 3  # of coordinates: the store holds float32, and thousandths of a pixel are exact enough


def export_coco(prepared: Path, split: SplitName, folder: Path) -> tuple[int, int]:
    """Write a split to `folder` as `images/` and `annotations.json`; return the numbers of images and annotations.

    Category ids are the source's, where those are whole numbers. A sample with a semantic mask and no boxes gets an
    annotation per class, as in COCO-Stuff. What COCO has no place for stands at the image: label, labels, values, text.

    Args:
        prepared: folder of the prepared data set.
        split: which part.
        folder: is made; must not hold anything else.

    Raises:
        UserError: nothing is prepared, or the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; give a new folder with --to")
    labels, store = load_labels(prepared), SplitStore(prepared / split)
    heights, widths = store.column("height"), store.column("width")
    ids = category_ids(labels)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with new_folder(folder) as work:
        for index in range(len(store)):
            sample = store.sample(index)
            name = _file_name(sample)
            path = work / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.image)
            about = {"id": index + 1, "file_name": name, "height": heights[index], "width": widths[index]}
            images.append(about | _about(sample, labels))
            for annotation in _annotations(sample, ids):
                annotations.append({"id": len(annotations) + 1, "image_id": index + 1} | annotation)
        values = {"images": images, "annotations": annotations, "categories": categories(labels, ids)}
        (work / "annotations.json").write_text(json.dumps(values, allow_nan=False) + "\n", encoding="utf-8")
    return len(images), len(annotations)


def category_ids(labels: LabelMap) -> list[int]:
    """Return the id of each class: the source's where all are different whole numbers, else 1, 2, 3, ..."""
    if all(re.fullmatch(r"[0-9]+", source) for source in labels.source_ids):
        own = [int(source) for source in labels.source_ids]
        if len(set(own)) == len(own):
            return own
    return list(range(1, len(labels) + 1))


def categories(labels: LabelMap, ids: list[int]) -> list[dict[str, Any]]:
    """Return the section `categories` of a COCO file."""
    keypoints = {"keypoints": list(labels.keypoints), "skeleton": []} if labels.keypoints else {}
    named = zip(ids, labels.classes, labels.source_ids, strict=True)
    return [{"id": number, "name": name, "source_id": source} | keypoints for number, name, source in named]


def _file_name(sample: Sample) -> str:
    """Return the path of a sample's file, with the suffix of its format if it has none."""
    if is_image(sample.source):
        return sample.source
    with Image.open(BytesIO(sample.image)) as image:
        return PurePosixPath(f"{sample.source}.{(image.format or 'img').lower()}").as_posix()


def _about(sample: Sample, labels: LabelMap) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if sample.label >= 0:
        about["label"] = labels.classes[sample.label]
    if sample.labels and sample.boxes is None:
        about["labels"] = [labels.classes[label] for label in sample.labels]
    if sample.values:
        about["values"] = dict(zip(labels.values, sample.values, strict=True))
    if sample.text:
        about["text"] = sample.text
    return about


def _annotations(sample: Sample, ids: list[int]) -> Iterator[dict[str, Any]]:
    if sample.boxes is None:
        yield from _regions(sample, ids)
        return
    for place, (left, top, right, bottom) in enumerate(sample.boxes.astype(float).tolist()):
        box = [round(value, _DECIMALS) for value in (left, top, right - left, bottom - top)]
        annotation: dict[str, Any] = {
            "category_id": ids[sample.box_labels[place]],
            "bbox": box,
            "area": sample.area[place] if sample.area else box[2] * box[3],
            "iscrowd": int(sample.iscrowd[place]) if sample.iscrowd else 0,
        }
        if sample.difficult and sample.difficult[place]:
            annotation["ignore"] = 1
        if sample.instances:
            annotation["segmentation"] = sample.instances[place]
        elif sample.corners is not None:  # as other tools take oriented boxes in COCO's files
            points = sample.corners[place].astype(float).ravel().tolist()
            annotation["segmentation"] = [[round(value, _DECIMALS) for value in points]]
        if sample.keypoints is not None:
            points = sample.keypoints[place].astype(float)
            annotation["keypoints"] = [round(value, _DECIMALS) for value in points.ravel().tolist()]
            annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
        yield annotation


def _regions(sample: Sample, ids: list[int]) -> Iterator[dict[str, Any]]:
    """Yield an annotation for each class of a semantic mask."""
    if sample.semantic is None:
        return
    for label in np.unique(sample.semantic).tolist():
        if label != IGNORED:
            mask = encode_rle(sample.semantic == label)
            yield {
                "category_id": ids[label],
                "bbox": coco_masks.toBbox(mask).tolist(),
                "area": float(coco_masks.area(mask)),
                "iscrowd": 0,
                "segmentation": mask,
            }
