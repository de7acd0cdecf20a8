"""A prepared split, cropped: the same samples with what a detector found in place of their images."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.cache import counted
from sightline.data.crops.cropper import Cropper
from sightline.data.crops.geometry import cut
from sightline.data.encoding import encode_png
from sightline.data.images import decode
from sightline.data.rows import sample_row, write_rows
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8, Crop, Sample

_BATCH = 32  # images that the detector sees at a time


def write_crops(store: SplitStore, cropper: Cropper, channels: int, folder: Path) -> int:
    """Write the samples of a split to a new `folder`, each cropped; return how many have no box, and are whole.

    The images become PNG files with as many channels as the network sees, so that decoding one gives the very pixels
    that are cut out when the network predicts. Boxes and key points move along; masks are left out.

    Args:
        store: the split.
        cropper: that finds what to keep.
        channels: of the network's input.
        folder: to be made.
    """
    shapes = list(zip(store.column("height"), store.column("width"), strict=True))
    crops: list[Crop] = []
    with counted(len(store), "cropping") as advance:
        for start in range(0, len(store), _BATCH):
            some = range(start, min(start + _BATCH, len(store)))
            crops += cropper.crops([store.image(index) for index in some], [shapes[index] for index in some])
            advance(len(some))

    def row(index: int) -> dict[str, Any]:
        pixels = cut(decode(store.image(index), channels), crops[index].region)
        sample = moved(store.sample(index), crops[index], pixels)
        sha256 = hashlib.sha256(sample.image).hexdigest()
        return sample_row(store.ids[index], sample, (pixels.shape[0], pixels.shape[1], channels), sha256)

    write_rows(
        folder, store.ids, sum(len(store.image(index)) for index in range(len(store))), lambda places: map(row, places)
    )
    return sum(crop.box is None for crop in crops)


def moved(sample: Sample, crop: Crop, pixels: UINT8) -> Sample:
    """Return a sample with the pixels of its crop, H x W x C, and its annotations where they are in them."""
    image = encode_png(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    corner = np.array(crop.region[:2], np.float32)
    boxes, points = sample.boxes, sample.keypoints
    if boxes is not None:
        boxes = boxes - np.tile(corner, 2)
    if points is not None:
        points = points.copy()
        points[..., :2] -= corner
    return replace(sample, image=image, boxes=boxes, keypoints=points, instances=[], semantic=None)
