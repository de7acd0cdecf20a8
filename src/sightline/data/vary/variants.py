"""Random variants of whole samples, with all their annotations, at the samples' size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sightline.data.encoding import decode_rle, encode_png, encode_rle
from sightline.data.images import decode
from sightline.data.structures import FLOAT32, UINT8, Sample
from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.geometry import Geometry

LEAST_SIDE = 96  # pixels: a smaller image is enlarged first, as turning it would destroy it


@dataclass(frozen=True)
class Opened:
    """A sample on whose pixels transforms can work.

    Attributes:
        sample: as it was stored.
        image: H x W x C uint8.
        geometry: its annotations; `box_labels` are the objects' numbers in the sample.
        scale: by what the image was enlarged.
        unmasked: numbers of objects with an empty mask, whose box stands for it here.
    """

    sample: Sample
    image: UINT8
    geometry: Geometry
    scale: int
    unmasked: frozenset[int]


def open_sample(sample: Sample, channels: int) -> Opened:
    """Decode image and masks, enlarged by a whole number where the longer side has less than 96 pixels."""
    image = decode(sample.image, channels)
    scale = max(1, -(-LEAST_SIDE // max(image.shape[:2])))
    if scale > 1:
        height, width = image.shape[0] * scale, image.shape[1] * scale
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)
    count = len(sample.box_labels)
    boxes = np.zeros((0, 4), np.float32) if sample.boxes is None else sample.boxes * np.float32(scale)
    masks, unmasked = None, []
    if sample.instances:
        masks = np.stack([_enlarged(decode_rle(one).astype(np.uint8), scale) for one in sample.instances])
        unmasked = np.flatnonzero(~masks.any((1, 2))).tolist()
        for number in unmasked:
            x1, y1, x2, y2 = boxes[number].round().astype(int)
            masks[number, y1:y2, x1:x2] = 1
    geometry = Geometry(
        boxes,
        np.arange(count),
        masks,
        None if sample.semantic is None else _enlarged(sample.semantic, scale),
        None if sample.keypoints is None else sample.keypoints * np.array([scale, scale, 1], np.float32),
        None if sample.corners is None else sample.corners * np.float32(scale),
    )
    return Opened(sample, image, geometry, scale, frozenset(unmasked))


def vary(opened: Opened, augment: Augmenter, number: int, name: str) -> Opened:
    """Return variant `number` of a sample; `name` is the sample's id.

    Raises:
        UserError: a transform cannot be applied to an image like this.
    """
    image, geometry = augment.with_geometry(opened.image, opened.geometry, number, name)
    return replace(opened, image=image, geometry=geometry)


def close_sample(opened: Opened) -> Sample:
    """Return the sample with the image and the annotations that are now on it; objects that left it are left out."""
    sample, geometry = opened.sample, opened.geometry
    kept = geometry.box_labels.tolist()
    labels = [sample.box_labels[number] for number in kept]
    image = opened.image if opened.image.shape[2] > 1 else opened.image[..., 0]
    return replace(
        sample,
        image=encode_png(np.ascontiguousarray(image)),
        labels=sorted(set(labels)) if sample.labels and sample.boxes is not None else sample.labels,
        boxes=None if sample.boxes is None else geometry.boxes,
        corners=None if sample.corners is None else geometry.corners,
        box_labels=labels,
        iscrowd=[sample.iscrowd[number] for number in kept if sample.iscrowd],
        difficult=[sample.difficult[number] for number in kept if sample.difficult],
        area=_areas(opened) if sample.area else [],
        instances=_instances(opened),
        semantic=geometry.semantic,
        keypoints=geometry.keypoints,
    )


def _instances(opened: Opened) -> list[dict[str, object]]:
    masks = opened.geometry.masks
    if masks is None:
        return []
    numbers = opened.geometry.box_labels.tolist()
    return [
        encode_rle((mask == 1) & (number not in opened.unmasked)) for number, mask in zip(numbers, masks, strict=True)
    ]


def _areas(opened: Opened) -> list[float]:
    """Return pixels of masks, else the areas of the sample, changed as those of the boxes have."""
    geometry, before = opened.geometry, opened.sample
    areas = []
    for place, number in enumerate(geometry.box_labels.tolist()):
        if geometry.masks is not None and number not in opened.unmasked:
            areas.append(float(geometry.masks[place].sum()))
        elif before.boxes is not None:
            ratio = _area(geometry.boxes[place]) / max(_area(before.boxes[number]), 1e-6)
            areas.append(before.area[number] * ratio)
    return areas


def _area(box: FLOAT32) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _enlarged(values: UINT8, scale: int) -> UINT8:
    return values.repeat(scale, 0).repeat(scale, 1)
