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
IGNORED = 255  # the value of pixels of a semantic map that do not count
UINT8 = NDArray[np.uint8]
FLOAT32 = NDArray[np.float32]
_BESIDE_CLASSES = ("values", "keypoints", "mirrored", "semantic", "characters")


@dataclass(frozen=True)
class LabelMap:
    """What the numbers of a data set mean.

    Attributes:
        classes: names of the foreground classes 0..K-1.
        source_ids: the ids or names that the classes had in the source.
        values: names of a sample's `values`, for regression.
        keypoints: names of an object's key points, in their order.
        mirrored: for each key point the number of the one that takes its place in a mirrored image (left eye, right
            eye); empty where that is not known.
        semantic: names of the values 0, 1, 2, ... of semantic maps, where those are not `classes`, e.g. as maps that
            are made of objects have a background.
        characters: what the texts of samples are made of, in the order of their code points.
    """

    classes: tuple[str, ...]
    source_ids: tuple[str, ...]
    values: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()
    mirrored: tuple[int, ...] = ()
    semantic: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.source_ids):
            raise ValueError(f"{len(self.classes)} classes, but {len(self.source_ids)} source ids")
        for what in ("classes", "values", "keypoints", "semantic", "characters"):
            names = getattr(self, what)
            if len(set(names)) != len(names):
                raise ValueError(f"duplicate names of {what}: {names}")
        if self.mirrored and sorted(self.mirrored) != list(range(len(self.keypoints))):
            raise ValueError(f"mirrored {self.mirrored} does not pair {len(self.keypoints)} key points")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def map_classes(self) -> tuple[str, ...]:
        """Names of the values 0, 1, 2, ... of semantic maps."""
        return self.semantic or self.classes

    def _more(self) -> dict[str, list[Any]]:
        """Return what is there besides the classes."""
        return {name: list(getattr(self, name)) for name in _BESIDE_CLASSES if getattr(self, name)}

    @property
    def sha256(self) -> str:
        """Hash of names and order, hexadecimal."""
        more = self._more()
        content = [self.classes, self.source_ids, *([more] if more else [])]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the map as plain values for JSON."""
        classes = {"classes": list(self.classes), "source_ids": list(self.source_ids)}
        return classes | self._more() | {"sha256": self.sha256}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LabelMap:
        """Read what `to_json` wrote.

        Raises:
            ValueError: names, order or hash were changed by hand.
        """
        more = {name: tuple(values.get(name, ())) for name in _BESIDE_CLASSES}
        labels = cls(tuple(values["classes"]), tuple(values["source_ids"]), **more)
        if labels.sha256 != values["sha256"]:
            raise ValueError("the label map does not match its hash")
        return labels


@dataclass
class Sample:
    """One image with everything known about it; a task reads the fields it needs.

    Attributes:
        source: path below the raw root, `/`-separated; for generated images a name that stays the same.
        image: the encoded bytes (JPEG, PNG, ...) as found.
        split: the part that the data set itself puts it in, if any.
        group: samples of one group (a patient, a camera, a film) always share a split.
        label: class id, -1 for none.
        labels: class ids of a multi-label sample.
        boxes: N x 4 float32, xyxy pixels.
        corners: N x 4 x 2 float32, x, y of the corners of oriented boxes (see `rectangles`), in the order of `boxes`,
            which are the upright boxes around them.
        box_labels: N class ids.
        iscrowd, difficult: N flags.
        area: N areas in pixels.
        instances: N COCO run-length encodings `{"size": [h, w], "counts": str}`, in the order of `boxes`.
        semantic: H x W uint8 class ids, 255 = ignore.
        keypoints: N x K x 3 float32: x, y, visibility (0 absent, 1 hidden, 2 visible).
        values: regression targets.
        text: what is written on the image; "" for nothing, or where it is not known.
        attributes: plain values by which results may be sliced.
        batch: the batch that brought it, "" for the first data.
    """

    source: str
    image: bytes
    split: SplitName | None = None
    group: str | None = None
    label: int = -1
    labels: list[int] = field(default_factory=list)
    boxes: FLOAT32 | None = None
    corners: FLOAT32 | None = None
    box_labels: list[int] = field(default_factory=list)
    iscrowd: list[bool] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    semantic: UINT8 | None = None
    keypoints: FLOAT32 | None = None
    values: list[float] = field(default_factory=list)
    text: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    batch: str = ""

    def __post_init__(self) -> None:
        count = len(self.box_labels)
        if self.boxes is not None and self.boxes.shape != (count, 4):
            raise ValueError(f"{self.source}: boxes are {self.boxes.shape}, but there are {count} box labels")
        if self.corners is not None and self.corners.shape != (count, 4, 2):
            raise ValueError(f"{self.source}: corners are {self.corners.shape}, but there are {count} box labels")
        for name in ("iscrowd", "difficult", "area", "instances"):
            values = getattr(self, name)
            if values and len(values) != count:
                raise ValueError(f"{self.source}: {len(values)} {name}, but {count} box labels")


@dataclass(frozen=True)
class Crop:
    """The part of an image that a model looked at, because a detector found something there.

    Attributes:
        region: xyxy, whole pixels of the original; a square, which may reach beyond the image.
        box: xyxy of what the detector found, None if it found nothing; the region is the whole image then.
        label: name of its class.
        score: of the detector, 0..1.
        refused: whether nothing was found and the model is not to answer then.
    """

    region: tuple[int, int, int, int]
    box: tuple[float, float, float, float] | None = None
    label: str = ""
    score: float = 0.0
    refused: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the crop as plain values."""
        found = {"label": self.label, "confidence": self.score} if self.box is not None else {}
        return {"box": None if self.box is None else list(self.box), "region": list(self.region), **found}


@dataclass
class Prediction:
    """What a model says of one image; a task fills the fields it knows.

    Geometry is in pixels of the original upright image, regardless of the size that the network saw.

    Attributes:
        label: class id, -1 for none.
        labels: class ids of a multi-label prediction.
        probabilities: K float32, of each class; they add up to 1 unless the classes are independent.
        values: K float32, predicted numbers.
        boxes: N x 4 float32 xyxy, most confident first.
        corners: N x 4 x 2 float32, of oriented boxes, in the order of `boxes`, which are the upright boxes around them.
        box_labels: N class ids.
        box_scores: N float32 in 0..1.
        instances: N COCO run-length encodings of the original's size, in the order of `boxes`.
        keypoints: N x K x 3 float32 x, y, score in 0..1, in the order of `boxes` where there are some.
        semantic: H x W uint8 class ids of the original's size.
        image: H x W x C uint8, a picture that the model made, of the original's size.
        crop: the part of the image that the model saw, where another one chose it.
        text: what is written on the image.
        text_score: probability of the whole text, 0..1.
        text_spans: L x 2 float32, for each character of the text the left and right edge of where it was read, x.
        anomaly: how unlike good images it is, at least 0; above 1 it counts as defective.
        heat: H x W float32, the same of each pixel, of the original's size.
        pictures: several such pictures by name, H x W x 3 each, as in several styles.
    """

    label: int = -1
    labels: list[int] | None = None
    probabilities: FLOAT32 | None = None
    values: FLOAT32 | None = None
    boxes: FLOAT32 | None = None
    corners: FLOAT32 | None = None
    box_labels: list[int] | None = None
    box_scores: FLOAT32 | None = None
    instances: list[dict[str, Any]] | None = None
    keypoints: FLOAT32 | None = None
    semantic: UINT8 | None = None
    image: UINT8 | None = None
    crop: Crop | None = None
    text: str | None = None
    text_score: float | None = None
    text_spans: FLOAT32 | None = None
    anomaly: float | None = None
    heat: FLOAT32 | None = None
    pictures: dict[str, UINT8] | None = None

    def __post_init__(self) -> None:
        if self.text_spans is not None and len(self.text_spans) != len(self.text or ""):
            raise ValueError(f"{len(self.text_spans)} text_spans, but {len(self.text or '')} characters")
        count = None if self.boxes is None else len(self.boxes)
        for name in ("corners", "box_labels", "box_scores", "instances", "keypoints"):
            values = getattr(self, name)
            if values is not None and count is not None and len(values) != count:
                raise ValueError(f"{len(values)} {name}, but {count} boxes")

    def to_json(self, labels: LabelMap, top: int | None = None) -> dict[str, Any]:
        """Return the prediction as plain values, with class names.

        Args:
            labels: the names.
            top: the number of classes whose probability is told, most confident first; None for all, in their order.
        """
        told: dict[str, Any] = {}
        if self.label >= 0:
            told |= {"label": labels.classes[self.label], "label_id": self.label}
            if self.probabilities is not None:
                told["confidence"] = float(self.probabilities[self.label])
        if self.labels is not None:
            told |= {"labels": [labels.classes[label] for label in self.labels], "label_ids": self.labels}
        if self.probabilities is not None:
            told["probabilities"] = _by_class(self.probabilities, labels.classes, top)
        if self.values is not None:
            named = len(labels.values) == len(self.values)  # else they are of a task of its own making
            names = labels.values if named else tuple(str(number) for number in range(len(self.values)))
            told["values"] = {name: float(value) for name, value in zip(names, self.values, strict=True)}
        if self.text is not None:
            told |= self._reading(self.text)
        if self.pictures is not None:
            told["pictures"] = list(self.pictures)
        objects = self._objects(labels)
        if objects is not None:
            told["objects"] = objects
        if self.semantic is not None:
            counts = np.bincount(self.semantic.ravel(), minlength=len(labels.map_classes))
            told["pixels"] = {name: int(counts[label]) for label, name in enumerate(labels.map_classes)}
        return told | self._defects() | self._cropped()

    def as_answer(self) -> Prediction:
        """Return the prediction as it is given to others: nothing but the crop, where the model is not to answer."""
        return Prediction(crop=self.crop) if self.crop is not None and self.crop.refused else self

    def _defects(self) -> dict[str, Any]:
        """Return how unlike good images it is."""
        told: dict[str, Any] = {}
        if self.anomaly is not None:
            told |= {"score": self.anomaly, "is_anomaly": self.anomaly > 1}
        if self.heat is not None:
            told["defective_pixels"] = int((self.heat > 1).sum())
        return told

    def _cropped(self) -> dict[str, Any]:
        """Return what part of the image the model saw, if not all of it."""
        if self.crop is None:
            return {}
        refused = {"refused": "no box to crop to"} if self.crop.refused else {}
        return {"crop": self.crop.to_json(), **refused}

    def _reading(self, text: str) -> dict[str, Any]:
        """Return what is read, how surely, and where each character stands."""
        told: dict[str, Any] = {"text": text}
        if self.text_score is not None:
            told["confidence"] = self.text_score
        if self.text_spans is not None:
            spans = zip(text, self.text_spans, strict=True)
            told["characters"] = [
                {"character": one, "left": float(edges[0]), "right": float(edges[1])} for one, edges in spans
            ]
        return told

    def _objects(self, labels: LabelMap) -> list[dict[str, Any]] | None:
        """Return what is known of each single object."""
        known = [values for values in (self.boxes, self.keypoints) if values is not None]
        if not known:
            return None
        objects: list[dict[str, Any]] = [{} for _ in known[0]]
        for place, told in enumerate(objects):
            if self.box_labels is not None:
                told |= {"label": labels.classes[self.box_labels[place]], "label_id": self.box_labels[place]}
            if self.box_scores is not None:
                told["confidence"] = float(self.box_scores[place])
            if self.boxes is not None:
                told["box"] = [float(edge) for edge in self.boxes[place]]
            if self.corners is not None:
                told["corners"] = self.corners[place].astype(float).tolist()
            if self.instances is not None:
                told["mask"] = self.instances[place]
            if self.keypoints is not None:
                points = zip(labels.keypoints, self.keypoints[place], strict=True)
                told["keypoints"] = {name: [float(value) for value in point] for name, point in points}
        return objects


def _by_class(values: FLOAT32, names: tuple[str, ...], top: int | None) -> dict[str, float]:
    """Return values by the names of their classes, all of them or the `top` greatest, greatest first."""
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values, but {len(names)} classes")
    if top is None:
        return dict(zip(names, values.tolist(), strict=True))
    greatest = np.argsort(-values, kind="stable")[:top].tolist()
    return {names[label]: float(values[label]) for label in greatest}
