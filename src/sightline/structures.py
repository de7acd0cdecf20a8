"""The values that flow between modules: samples, label maps, batches, predictions.

Boxes are `xyxy` in pixels of the upright image, origin at the top left corner; images are RGB or grey, uint8.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
SplitName = Literal["train", "val", "test"]
UINT8 = NDArray[np.uint8]
FLOAT32 = NDArray[np.float32]


@dataclass(frozen=True)
class LabelMap:
    """Names of the foreground classes 0..K-1, beside the ids or names they had in the source."""

    classes: tuple[str, ...]
    source_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.source_ids):
            raise ValueError(f"{len(self.classes)} classes, but {len(self.source_ids)} source ids")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"class names repeat: {self.classes}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def sha256(self) -> str:
        """Hash of names and order, hexadecimal."""
        return hashlib.sha256(json.dumps([self.classes, self.source_ids]).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the map as plain values for JSON."""
        return {"classes": list(self.classes), "source_ids": list(self.source_ids), "sha256": self.sha256}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LabelMap:
        """Read what `to_json` wrote.

        Raises:
            ValueError: names, order or hash were changed by hand.
        """
        labels = cls(tuple(values["classes"]), tuple(values["source_ids"]))
        if labels.sha256 != values["sha256"]:
            raise ValueError("the label map does not match its own hash")
        return labels


@dataclass
class Sample:
    """One image with whatever is known of it; a task reads the fields it needs.

    Attributes:
        source: path below the raw root, `/`-separated; for generated images a name that stays the same.
        image: the encoded bytes (JPEG, PNG, ...) as found.
        split: the part that the data set itself puts it in, if any.
        group: samples of one group (a patient, a camera, a film) always share a split.
        label: class id, -1 for none.
        labels: class ids of a multi-label sample.
        boxes: N x 4 float32, xyxy pixels.
        box_labels: N class ids.
        iscrowd, difficult: N flags.
        area: N areas in pixels.
        instances: N COCO run-length encodings `{"size": [h, w], "counts": str}`, in the order of `boxes`.
        semantic: H x W uint8 class ids, 255 = ignore.
        keypoints: N x K x 3 float32: x, y, visibility (0 absent, 1 hidden, 2 visible).
        values: regression targets.
        attributes: plain values by which results may be sliced.
    """

    source: str
    image: bytes
    split: SplitName | None = None
    group: str | None = None
    label: int = -1
    labels: list[int] = field(default_factory=list)
    boxes: FLOAT32 | None = None
    box_labels: list[int] = field(default_factory=list)
    iscrowd: list[bool] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    semantic: UINT8 | None = None
    keypoints: FLOAT32 | None = None
    values: list[float] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.box_labels)
        if self.boxes is not None and self.boxes.shape != (count, 4):
            raise ValueError(f"{self.source}: boxes are {self.boxes.shape}, but there are {count} box labels")
        for name in ("iscrowd", "difficult", "area", "instances"):
            values = getattr(self, name)
            if values and len(values) != count:
                raise ValueError(f"{self.source}: {len(values)} {name}, but {count} box labels")


@dataclass
class Prediction:
    """What a model says of one image; a task fills the fields it knows.

    Attributes:
        label: class id, -1 for none.
        probabilities: K float32, of each class.
    """

    label: int = -1
    probabilities: FLOAT32 | None = None

    def to_json(self, labels: LabelMap) -> dict[str, Any]:
        """Return the prediction as plain values, with class names."""
        values: dict[str, Any] = {}
        if self.probabilities is not None:
            values["label"] = labels.classes[self.label]
            values["label_id"] = self.label
            values["confidence"] = float(self.probabilities[self.label])
            values["probabilities"] = {
                name: float(value) for name, value in zip(labels.classes, self.probabilities, strict=True)
            }
        return values
