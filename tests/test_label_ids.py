"""A class keeps its name and its number from the source files to a registered model, in every format and task.

Pictures show coloured rectangles on dark noise, so that their classes are seen and not only counted. The ids of the
classes in the source are sparse and permuted, and neither the order of their numbers, nor that of their names, nor
that in which they come up is another's: whatever mixes them up calls red things green.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.datasets import Dataset
from sightline.config.models import Model
from sightline.config.tasks import Task as TaskConfig
from sightline.data.cache import decoded
from sightline.data.encoding import decode_rle, encode_png
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS, UINT8, LabelMap, Prediction, Sample
from sightline.evaluation.predictor import load_predictor
from sightline.registry.tracking import Connection, Runs, Versions, mark_trained, training_logger
from sightline.system.errors import UserError
from sightline.system.files import read_json
from sightline.training.artifact.onnx import OnnxNetwork, write_onnx
from sightline.training.fit import train

WIDTH, HEIGHT = 64, 48
COUNT = 72  # pictures of a data set
PROBES = range(1000, 1024)  # pictures that no data set has
PAINT = {"red": (230, 30, 30), "green": (30, 210, 30), "blue": (50, 50, 240), "yellow": (230, 220, 30)}
GREY = {"red": 100, "green": 170, "blue": 250}
IGNORED_EDGE = 120  # value of the first row of index masks
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two lie behind the thing
Thing = tuple[str, Box]  # its colour, its place


@dataclass(frozen=True)
class Raw:
    """A data set in one of the formats.

    Attributes:
        write: writes its files below a folder and returns its section of params.yaml without root.
        labels: the label map that it must get.
        called: what a thing of each colour is called in it: its class, its key point or its number.
        gives: the fields of its samples that tell of things.
        things: how many there are on a picture, by turns.
        others: colours that are on pictures too, but called nothing.
        grey: whether pictures are grey.
    """

    write: Callable[[Path, Raw], dict[str, Any]]
    labels: LabelMap
    called: dict[str, str]
    gives: tuple[str, ...]
    things: tuple[int, ...] = (1, 2)
    others: tuple[str, ...] = ()
    grey: bool = False


def things_of(raw: Raw, number: int, count: int | None = None) -> list[Thing]:
    """Return things of different colours, each in its own quarter of a picture, the first of them with a name."""
    draw = np.random.default_rng(number)
    named, every = list(raw.called), [*raw.called, *raw.others]
    first = every.index(named[number % len(named)])
    things = []
    for place, quarter in enumerate(draw.permutation(4)[: count or raw.things[number % len(raw.things)]].tolist()):
        width, height = int(draw.integers(14, 28)), int(draw.integers(14, 22))
        left = quarter % 2 * WIDTH // 2 + int(draw.integers(1, WIDTH // 2 - width))
        top = quarter // 2 * HEIGHT // 2 + int(draw.integers(1, HEIGHT // 2 - height))
        things.append((every[(first + place) % len(every)], (left, top, left + width, top + height)))
    return things


def named_things(raw: Raw, number: int) -> list[Thing]:
    return [(colour, box) for colour, box in things_of(raw, number) if colour in raw.called]


def pixels_of(number: int, things: Sequence[Thing], grey: bool) -> UINT8:
    image = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH) if grey else (HEIGHT, WIDTH, 3), np.uint8)
    for colour, (left, top, right, bottom) in things:
        image[top:bottom, left:right] = GREY[colour] if grey else PAINT[colour]
    return image


def picture(raw: Raw, number: int) -> bytes:
    return encode_png(pixels_of(number, things_of(raw, number), raw.grey))


def middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


# Writers of the formats; the label maps that they must give are in `RAWS`.


def write_images(root: Path, raw: Raw, folder: str = "images") -> None:
    (root / folder).mkdir(parents=True)
    for number in range(COUNT):
        (root / folder / f"{number:03}.png").write_bytes(picture(raw, number))


def write_image_folder(root: Path, raw: Raw) -> dict[str, Any]:
    for number in range(COUNT):
        [(colour, _)] = things_of(raw, number)
        folder = root / raw.called[colour]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.png").write_bytes(picture(raw, number))
    return {"format": "image_folder"}


def write_chosen_folders(root: Path, raw: Raw) -> dict[str, Any]:
    return write_image_folder(root, raw) | {"classes": list(raw.labels.classes)}


def write_table(root: Path, raw: Raw, header: str, cells: Callable[[list[str]], str]) -> dict[str, Any]:
    write_images(root, raw)
    colours = ([colour for colour, _ in things_of(raw, number)] for number in range(COUNT))
    rows = [f"images/{number:03}.png,{cells(own)}" for number, own in enumerate(colours)]
    (root / "labels.csv").write_text("\n".join([f"path,{header}", *rows]))
    return {"format": "csv"}


def write_csv(root: Path, raw: Raw) -> dict[str, Any]:
    return write_table(root, raw, "label", lambda colours: raw.called[colours[0]])


def write_csv_labels(root: Path, raw: Raw) -> dict[str, Any]:
    return write_table(root, raw, "labels", lambda colours: "|".join(raw.called[colour] for colour in colours))


NUMBERS = {"mid": (100.0, 200.0), "zeta": (-9.0, -3.0), "alpha": (0.0, 1.0)}  # without a thing, and with one


def write_csv_values(root: Path, raw: Raw) -> dict[str, Any]:
    def cells(colours: list[str]) -> str:
        there = {raw.called[colour] for colour in colours}
        return ",".join(str(ends[name in there]) for name, ends in NUMBERS.items())

    return write_table(root, raw, ",".join(NUMBERS), cells) | {"values": list(raw.labels.values)}


def write_csv_text(root: Path, raw: Raw) -> dict[str, Any]:
    return write_table(root, raw, "text", lambda colours: raw.called[colours[0]])


def write_text_list(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw)
    names = [raw.called[things_of(raw, number)[0][0]] for number in range(COUNT)]
    (root / "labels.txt").write_text("\n".join(f"images/{number:03}.png {name}" for number, name in enumerate(names)))
    return {"format": "text_list"}


def write_idx(root: Path, raw: Raw) -> dict[str, Any]:
    root.mkdir(parents=True)
    for prefix, numbers in (("train", range(COUNT - 12)), ("t10k", range(COUNT - 12, COUNT))):
        things = {number: things_of(raw, number) for number in numbers}
        images = b"".join(pixels_of(number, own, raw.grey).tobytes() for number, own in things.items())
        labels = bytes(int(raw.called[own[0][0]]) for own in things.values())
        header = struct.pack(">4BIII", 0, 0, 8, 3, len(numbers), HEIGHT, WIDTH)
        (root / f"{prefix}-images-idx3-ubyte").write_bytes(header + images)
        (root / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, len(numbers)) + labels)
    return {"format": "idx", "split": {"train": 0.8, "val": 0.2, "test": 0.0}}


COCO_IDS = {"blue": 90, "red": 7, "yellow": 12, "green": 3}  # as listed in the file


def write_coco(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw)
    annotations = [
        {
            "image_id": number + 500,
            "category_id": COCO_IDS[colour],
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
        }
        for number in range(COUNT)
        for colour, (left, top, right, bottom) in things_of(raw, number)
    ]
    write_coco_file(root, annotations, [{"id": own, "name": name} for name, own in COCO_IDS.items()])
    return {"format": "coco"}


def write_coco_file(root: Path, annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> None:
    images = [{"id": number + 500, "file_name": f"{number:03}.png"} for number in range(COUNT)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))


def write_chosen_coco(root: Path, raw: Raw) -> dict[str, Any]:
    return write_coco(root, raw) | {"classes": list(raw.labels.classes)}


def write_coco_points(root: Path, raw: Raw) -> dict[str, Any]:
    """Write one figure per picture whose key points are the middles of things, in the order of the label map."""
    write_images(root, raw)
    annotations = []
    for number in range(COUNT):
        points = {raw.called[colour]: middle(box) for colour, box in things_of(raw, number)}
        flat = [value for name in raw.labels.keypoints for value in (*points[name], 2)]
        annotations.append({"image_id": number + 500, "category_id": 5, "keypoints": flat})
    write_coco_file(root, annotations, [{"id": 5, "name": "figure", "keypoints": list(raw.labels.keypoints)}])
    return {"format": "coco"}


def write_voc(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw, "JPEGImages")
    (root / "Annotations").mkdir()
    for number in range(COUNT):
        objects = "".join(
            f"<object><name>{raw.called[colour]}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for colour, (left, top, right, bottom) in things_of(raw, number)
        )
        (root / "Annotations" / f"{number:03}.xml").write_text(f"<annotation>{objects}</annotation>")
    return {"format": "voc"}


YOLO_IDS = {"blue": 9, "yellow": 6, "green": 1, "red": 4}  # as listed in the file


def write_yolo(root: Path, raw: Raw, polygons: bool = False) -> dict[str, Any]:
    write_images(root, raw)
    (root / "labels").mkdir()
    for number in range(COUNT):
        rows = []
        for colour, (left, top, right, bottom) in things_of(raw, number):
            corners = [left, top, right, top, right, bottom, left, bottom]
            centre = [*middle((left, top, right, bottom)), right - left, bottom - top]
            shares = np.array(corners if polygons else centre).reshape(-1, 2) / (WIDTH, HEIGHT)
            rows.append(" ".join(map(str, [YOLO_IDS[colour], *shares.ravel().tolist()])))
        (root / "labels" / f"{number:03}.txt").write_text("\n".join(rows))
    (root / "data.yaml").write_text("names:\n" + "".join(f"  {own}: {name}\n" for name, own in YOLO_IDS.items()))
    return {"format": "yolo"}


def write_dota(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw)
    (root / "labelTxt").mkdir()
    for number in range(COUNT):
        rows = ["imagesource:none", "gsd:null"]
        for colour, (left, top, right, bottom) in things_of(raw, number):
            rows.append(f"{left} {top} {right} {top} {right} {bottom} {left} {bottom} {raw.called[colour]} 0")
        (root / "labelTxt" / f"{number:03}.txt").write_text("\n".join(rows))
    return {"format": "dota"}


MASK_VALUES = {"red": 200, "background": 50, "yellow": 90, "green": 17, "blue": 3}  # as listed in params.yaml


def write_mask_folder(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw)
    (root / "masks").mkdir()
    for number in range(COUNT):
        mask = np.full((HEIGHT, WIDTH), MASK_VALUES["background"], np.uint8)
        for colour, (left, top, right, bottom) in things_of(raw, number):
            mask[top:bottom, left:right] = MASK_VALUES[colour]
        mask[0] = IGNORED_EDGE
        (root / "masks" / f"{number:03}.png").write_bytes(encode_png(mask))
    return {"format": "mask_folder", "names": MASK_VALUES, "ignore_index": IGNORED_EDGE}


def write_instance_masks(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw, "PNGImages")
    (root / "PedMasks").mkdir()
    for number in range(COUNT):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for value, (_, (left, top, right, bottom)) in zip((9, 4), things_of(raw, number), strict=False):
            mask[top:bottom, left:right] = value
        (root / "PedMasks" / f"{number:03}_mask.png").write_bytes(encode_png(mask))
    return {"format": "instance_masks", "class_name": raw.labels.classes[0]}


def write_via(root: Path, raw: Raw) -> dict[str, Any]:
    write_images(root, raw)
    files = {}
    for number in range(COUNT):
        regions = [
            {
                "shape_attributes": {
                    "name": "rect",
                    "x": left,
                    "y": top,
                    "width": right - left,
                    "height": bottom - top,
                },
                "region_attributes": {"kind": raw.called[colour]},
            }
            for colour, (left, top, right, bottom) in things_of(raw, number)
        ]
        files[f"{number:03}"] = {"filename": f"{number:03}.png", "regions": regions}
    (root / "via_region_data.json").write_text(json.dumps(files))
    return {"format": "via", "images": "images", "attribute": "kind"}


def same(*names: str, **more: Any) -> LabelMap:
    """Return a map whose source ids are its names."""
    return LabelMap(names, names, **more)


def with_background(*names: str) -> dict[str, tuple[str, ...]]:
    return {"semantic": ("background", *names)}


COLOURS = {name: name for name in ("red", "green", "blue")}
OBJECTS = ("boxes", "labels", "semantic")
RAWS = {
    "image_folder": Raw(
        write_image_folder, same("10", "2", "9"), {"red": "10", "green": "9", "blue": "2"}, ("label",), (1,)
    ),
    "chosen_folders": Raw(
        write_chosen_folders, same("2", "9", "10"), {"red": "10", "green": "9", "blue": "2"}, ("label",), (1,)
    ),
    "csv": Raw(write_csv, same("7", "90", "103"), {"red": "90", "green": "7", "blue": "103"}, ("label",), (1,)),
    "csv_labels": Raw(
        write_csv_labels, same("7", "90", "103"), {"red": "90", "green": "7", "blue": "103"}, ("labels",)
    ),
    "csv_values": Raw(
        write_csv_values,
        same(values=("zeta", "alpha", "mid")),
        {"red": "alpha", "green": "mid", "blue": "zeta"},
        ("values",),
    ),
    "csv_text": Raw(
        write_csv_text, same(characters=("7", "Z", "q")), {"red": "Z", "green": "q", "blue": "7"}, ("text",), (1,)
    ),
    "text_list": Raw(
        write_text_list, same(characters=("7", "Z", "q")), {"red": "q", "green": "7", "blue": "Z"}, ("text",), (1,)
    ),
    "idx": Raw(write_idx, same("3", "7", "9"), {"red": "7", "green": "3", "blue": "9"}, ("label",), (1,), grey=True),
    "coco": Raw(
        write_coco,
        LabelMap(  # yellow is a category that no annotation has, so no class
            ("green", "red", "blue"),
            ("3", "7", "90"),
            **with_background("green", "red", "blue"),
        ),
        COLOURS,
        OBJECTS,
    ),
    "chosen_coco": Raw(
        write_chosen_coco,
        LabelMap(("red", "blue"), ("7", "90"), **with_background("red", "blue")),
        {"red": "red", "blue": "blue"},
        OBJECTS,
        others=("green",),
    ),
    "coco_points": Raw(
        write_coco_points,
        LabelMap(("figure",), ("5",), keypoints=("tail", "left_eye", "nose", "right_eye"), mirrored=(0, 3, 2, 1)),
        {"red": "right_eye", "green": "nose", "blue": "left_eye", "yellow": "tail"},
        ("keypoints",),
        (4,),
    ),
    "voc": Raw(write_voc, same("blue", "green", "red"), COLOURS, ("boxes", "labels")),
    "dota": Raw(write_dota, same("blue", "green", "red"), COLOURS, ("corners", "labels")),
    "yolo": Raw(
        write_yolo, LabelMap(("green", "red", "yellow", "blue"), ("1", "4", "6", "9")), COLOURS, ("boxes", "labels")
    ),
    "yolo_polygons": Raw(
        partial(write_yolo, polygons=True),
        LabelMap(
            ("green", "red", "yellow", "blue"),
            ("1", "4", "6", "9"),
            **with_background("green", "red", "yellow", "blue"),
        ),
        COLOURS,
        OBJECTS,
    ),
    "mask_folder": Raw(
        write_mask_folder,
        LabelMap(("blue", "green", "background", "yellow", "red"), ("3", "17", "50", "90", "200")),
        COLOURS,
        ("semantic",),
    ),
    "instance_masks": Raw(
        write_instance_masks, LabelMap(("thing",), ("1",), **with_background("thing")), {"red": "thing"}, OBJECTS
    ),
    "via": Raw(
        write_via,
        same("2", "9", "10", **with_background("2", "9", "10")),
        {"red": "10", "green": "9", "blue": "2"},
        OBJECTS,
    ),
}


# Import.


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a project, in which the tests run."""
    root = tmp_path_factory.mktemp("project")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT", "DVC_STAGE"):
            patch.delenv(name, raising=False)
        patch.chdir(root)
        yield root
    torch.set_num_threads(threads)


def prepared(name: str) -> Path:
    """Return the prepared data set, made when it is first asked for."""
    folder = Path("data/prepared", name)
    if not folder.exists():
        raw = RAWS[name]
        section = raw.write(Path("data/raw", name), raw) | {"root": f"data/raw/{name}", "on_bad_sample": "fail"}
        prepare(name, TypeAdapter(Dataset).validate_python(section), folder)
    return folder


def class_of(sample: Sample, labels: LabelMap) -> Any:
    return [labels.classes[sample.label]]


def classes_of(sample: Sample, labels: LabelMap) -> Any:
    return sorted(labels.classes[label] for label in sample.labels)


def boxes_of(sample: Sample, labels: LabelMap) -> Any:
    assert sample.boxes is not None
    names = [labels.classes[label] for label in sample.box_labels]
    return sorted(zip(names, [tuple(np.rint(box).astype(int).tolist()) for box in sample.boxes], strict=True))


def turned_boxes_of(sample: Sample, labels: LabelMap) -> Any:
    assert sample.corners is not None
    return boxes_of(replace(sample, boxes=np.concatenate([sample.corners.min(1), sample.corners.max(1)], 1)), labels)


def pixels_by_name(sample: Sample, labels: LabelMap) -> Any:
    assert sample.semantic is not None
    inner = sample.semantic[1:]  # the first row may be ignored
    counts = {name: int((inner == value).sum()) for value, name in enumerate(labels.map_classes)}
    return {name: count for name, count in counts.items() if count and name != "background"}


def points_of(sample: Sample, labels: LabelMap) -> Any:
    assert sample.keypoints is not None
    [points] = sample.keypoints
    return {name: tuple(point[:2].tolist()) for name, point in zip(labels.keypoints, points, strict=True)}


def values_of(sample: Sample, labels: LabelMap) -> Any:
    return dict(zip(labels.values, sample.values, strict=True))


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


# How a field of a stored sample is read with the label map, and what it must then say of things and their names.
READ: dict[str, Callable[[Sample, LabelMap], Any]] = {
    "label": class_of,
    "labels": classes_of,
    "boxes": boxes_of,
    "corners": turned_boxes_of,
    "semantic": pixels_by_name,
    "keypoints": points_of,
    "values": values_of,
    "text": lambda sample, labels: list(sample.text),
}


def expected(field_name: str, things: list[tuple[str, Box]]) -> Any:
    """Return what a field says of things that are given with their names."""
    names = [name for name, _ in things]
    match field_name:
        case "label" | "labels" | "text":
            return sorted(set(names))
        case "boxes" | "corners":
            return sorted(things)
        case "semantic":
            return {name: sum(area(box) for other, box in things if other == name) for name in names}
        case "keypoints":
            return {name: middle(box) for name, box in things}
        case _:
            return {name: ends[name in names] for name, ends in NUMBERS.items()}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", RAWS)
def test_things_are_imported_under_their_names(name: str) -> None:
    raw, folder = RAWS[name], prepared(name)
    labels = load_labels(folder)
    assert labels == raw.labels
    stores = [SplitStore(folder / split) for split in SPLITS]
    samples = {own.image: own for store in stores for own in map(store.sample, range(len(store)))}
    assert len(samples) == COUNT
    for number in range(COUNT):
        sample = samples[picture(raw, number)]
        things = [(raw.called[colour], box) for colour, box in named_things(raw, number)]
        for field_name in raw.gives:
            assert READ[field_name](sample, labels) == expected(field_name, things), (number, field_name)


# Training, prediction, ONNX and MLflow.


@dataclass(frozen=True)
class Learner:
    """How a kind of task learns what things are called.

    Attributes:
        task: its section of params.yaml.
        size: of the input.
        epochs, lr: of training.
    """

    task: dict[str, Any]
    size: int = 32
    epochs: int = 6
    lr: float = 3e-3


CNN = {"architecture": "mnist_cnn"}
DETECTOR = {"backbone": "timm:test_resnet", "strides": [8, 16], "width": 32, "head_convs": 1, "max_objects": 10}
TWO_STAGES = DETECTOR | {"proposals": 20}
UNET = {"architecture": "unet", "depth": 2, "width": 8, "class_weights": "balanced"}
HEATMAPS = {"backbone": "timm:test_resnet", "backbone_stride": 8, "width": 32}
LEARNERS = {
    "classification": Learner({"kind": "classification", **CNN}),
    "multilabel": Learner({"kind": "multilabel", **CNN}, epochs=12, lr=1e-3),
    "regression": Learner({"kind": "regression", **CNN}),
    "localization": Learner({"kind": "localization", **CNN}, epochs=12, lr=1e-3),
    "fcos": Learner({"kind": "detection", "architecture": "fcos", **DETECTOR}, 64),
    "oriented": Learner({"kind": "detection", "boxes": "oriented", **DETECTOR}, 64),
    "retinanet": Learner({"kind": "detection", "architecture": "retinanet", **DETECTOR}, 64),
    "faster_rcnn": Learner({"kind": "detection", "architecture": "faster_rcnn", **TWO_STAGES}, 64, epochs=12),
    "sliding_window": Learner({"kind": "sliding_window", **CNN, "window": 24, "scales": [1.0]}, 64, epochs=4),
    "mask_rcnn": Learner({"kind": "instance_segmentation", **TWO_STAGES}, 64),
    "unet": Learner({"kind": "semantic_segmentation", **UNET}, lr=1e-2),
    "keypoints": Learner({"kind": "keypoints", **HEATMAPS}, 64),
    "text_recognition": Learner(
        {"kind": "text_recognition", "width": 8, "sequence": "none", "stride": 8}, epochs=15, lr=1e-2
    ),
}
# What is learned from which field; instances come with the maps that are made of them.
FROM = {
    "label": ("classification",),
    "labels": ("multilabel",),
    "values": ("regression",),
    "text": ("text_recognition",),
    "boxes": ("localization", "fcos", "retinanet", "faster_rcnn", "sliding_window"),
    "corners": ("oriented",),
    "semantic": ("unet",),
    "keypoints": ("keypoints",),
}
QUICK = (
    ("image_folder", "classification"),
    ("csv_labels", "multilabel"),
    ("csv_values", "regression"),
    ("text_list", "text_recognition"),
    ("idx", "classification"),
    ("coco", "faster_rcnn"),
    ("coco_points", "keypoints"),
    ("voc", "localization"),
    ("dota", "oriented"),
    ("yolo", "fcos"),
    ("yolo", "sliding_window"),
    ("mask_folder", "unet"),
    ("instance_masks", "unet"),
    ("via", "mask_rcnn"),
)


def every_pair() -> list[tuple[str, str]]:
    """Return each data set with each task that can learn from it."""
    pairs = [(name, learner) for name, raw in RAWS.items() for given in raw.gives for learner in FROM[given]]
    outlined = [(name, "mask_rcnn") for name, raw in RAWS.items() if {"boxes", "semantic"} <= set(raw.gives)]
    return pairs + outlined


def one_of(section: Any) -> set[str]:
    """Return the words that tell a section's schemas apart."""
    return set(TypeAdapter(section).json_schema()["discriminator"]["mapping"])


@pytest.mark.usefixtures("project")
def test_the_quick_pairs_are_of_every_format_and_kind_of_task() -> None:
    assert set(QUICK) <= set(every_pair())
    formats = {read_json(prepared(data) / "card.json")["format"] for data, _ in QUICK}
    embedded = {"digits", "scenes", "figures", "strings", "defects"}
    assert formats | embedded | {"mvtec"} == one_of(Dataset), "embedded ones have no files, mvtec one class to learn"
    kinds = {LEARNERS[learner].task["kind"] for _, learner in QUICK}
    assert kinds | {"autoencoder", "style_network"} == one_of(TaskConfig), "these know no classes"
    assert {learner for _, learner in every_pair()} == set(LEARNERS)


@dataclass(frozen=True)
class Learned:
    """A trained model, in the project's folder; `run` is MLflow's."""

    name: str
    raw: Raw
    task: dict[str, Any]
    model: Path
    run: str


def learn(data: str, learner: str) -> Learned:
    """Train as the stage `train` does, followed by MLflow."""
    name, raw, how = f"{data}-{learner}", RAWS[data], LEARNERS[learner]
    trainer = {"max_epochs": how.epochs, "batch_size": 8, "keep": "last", "precision": "32"}
    config = Model.model_validate(
        {
            "dataset": data,
            "task": how.task,
            "weights": "random",
            "augment": "none",
            "input": {"size": how.size, "channels": 1 if raw.grey else 3},
            "optimizer": {"name": "adam", "lr": how.lr},
            "schedule": {"name": "one_cycle"},
            "trainer": trainer | {"accelerator": "cpu", "threads": 1},
        }
    )
    model = Path("models", name)
    fitted = train(config, 0, prepared(data), model, logger=partial(training_logger, name, config.model_dump()))
    mark_trained(fitted.logger, fitted.card.weights_sha256)
    run = Runs(Connection(Path())).find(name, fitted.card.weights_sha256)
    assert run is not None
    return Learned(name, raw, how.task, model, run)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(pair, id="-".join(pair), marks=[] if pair in QUICK else pytest.mark.slow) for pair in every_pair()
    ],
)
def learned(request: pytest.FixtureRequest, project: Path) -> Learned:
    return learn(*request.param)


def probes(raw: Raw) -> list[tuple[int, list[Thing]]]:
    """Return pictures of as few things as the data set has, by their numbers, with what is on them."""
    return [(number, things_of(raw, number, min(raw.things))) for number in PROBES]


def probe_images(raw: Raw) -> list[bytes]:
    return [encode_png(pixels_of(number, things, raw.grey)) for number, things in probes(raw)]


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Return intersection over union."""
    left, top, right, bottom = (pick(a, b) for pick, a, b in zip((max, max, min, min), box, other, strict=True))
    common = max(0, right - left) * max(0, bottom - top)
    both = sum((own[2] - own[0]) * (own[3] - own[1]) for own in (box, other))
    return common / (both - common)


def is_there(found: dict[str, Any], box: Box) -> bool:
    """Tell whether a predicted object is the thing in a place."""
    if overlap(found["box"], box) < 0.2:
        return False
    x, y = middle(box)
    return "mask" not in found or bool(decode_rle(found["mask"])[int(y), int(x)])


def told(answer: dict[str, Any], box: Box) -> str:
    """Return what an answer calls the thing in a place."""
    x, y = middle(box)
    match answer:
        case {"label": label}:
            return str(label)
        case {"labels": labels}:
            return "|".join(labels)
        case {"text": text}:
            return str(text)
        case {"values": values}:
            return "|".join(name for name, value in values.items() if value > sum(NUMBERS[name]) / 2)
        case {"pixels": pixels}:
            return max(["nothing", *pixels.keys() - {"background"}], key=lambda name: int(pixels.get(name, 0)))
        case {"objects": [{"keypoints": points}]}:
            return min(points, key=lambda name: float(np.hypot(points[name][0] - x, points[name][1] - y)))
        case _:
            return next((str(one["label"]) for one in answer["objects"] if is_there(one, box)), "nothing")


def numbered(answer: dict[str, Any]) -> list[tuple[str, int]]:
    """Return every class that an answer names, with the id it gives it."""
    named = list(zip(answer.get("labels", ()), answer.get("label_ids", ()), strict=True))
    return named + [(one["label"], one["label_id"]) for one in (answer, *answer.get("objects", ())) if "label" in one]


def require_true_names(raw: Raw, labels: LabelMap, answers: Sequence[dict[str, Any]]) -> None:
    """Check what answers call the things on the probes, and that their ids are those of the label map."""
    assert labels == raw.labels
    called = []
    for (_, things), answer in zip(probes(raw), answers, strict=True):
        called += [(colour, told(answer, box)) for colour, box in things]
        assert all(labels.classes[label] == name for name, label in numbered(answer))
    require_most(raw, called)


def require_true_maps(raw: Raw, labels: LabelMap, predictions: Sequence[Prediction]) -> None:
    """Check, where there are maps, which class most pixels of each thing have."""
    called = []
    for (_, things), prediction in zip(probes(raw), predictions, strict=True):
        if prediction.semantic is not None:
            for colour, (left, top, right, bottom) in things:
                value = np.bincount(prediction.semantic[top:bottom, left:right].ravel()).argmax()
                called.append((colour, labels.map_classes[value]))
    if called:
        require_most(raw, called)


def require_most(raw: Raw, called: list[tuple[str, str]]) -> None:
    """Check that most things of each colour are called by the true name; a small network may err at times."""
    for colour, name in raw.called.items():
        names = Counter(own for other, own in called if other == colour)
        assert names[name] > names.total() / 2, (colour, names)


def test_a_loaded_model_calls_things_by_their_names(learned: Learned) -> None:
    predictor = load_predictor(learned.model)
    predictions = predictor.predictions(probe_images(learned.raw))
    labels = predictor.card.labels
    require_true_names(learned.raw, labels, [own.to_json(labels) for own in predictions])
    require_true_maps(learned.raw, labels, predictions)


def test_an_exported_network_calls_things_by_their_names(learned: Learned) -> None:
    predictor = load_predictor(learned.model)
    task, image, path = predictor.task, predictor.card.input, Path("onnx", f"{learned.name}.onnx")
    if not task.exports:
        with pytest.raises(UserError, match="no graph"):
            write_onnx(task, image.size, image.channels, path)
        return
    write_onnx(task, image.size, image.channels, path)
    network = OnnxNetwork(path)
    pixels, placements = decoded(probe_images(learned.raw), image.size, image.channels, image.resize)
    predictions = task.predictions(network(pixels), placements)
    require_true_names(learned.raw, network.labels, [own.to_json(network.labels) for own in predictions])
    require_true_maps(learned.raw, network.labels, predictions)


def test_a_registered_model_calls_things_by_their_names(learned: Learned) -> None:
    import mlflow

    versions = Versions(Connection(Path()))
    made = versions.create(learned.name, learned.run, learned.model, {"dvc.md5": learned.name})
    versions.set_alias(learned.name, "champion", made.number)
    model = mlflow.pyfunc.load_model(f"models:/{learned.name}@champion")
    answers = model.predict(pd.DataFrame({"image": probe_images(learned.raw)}))
    copied = Path(mlflow.artifacts.download_artifacts(f"models:/{learned.name}@champion"))
    [card] = copied.rglob("model.json")
    labels = LabelMap.from_json(json.loads(card.read_text())["labels"])
    require_true_names(learned.raw, labels, [json.loads(answer) for answer in answers["prediction"]])
    if learned.task["kind"] == "classification":
        assert [labels.classes[label] for label in answers["label_id"]] == answers["label"].tolist()
        assert answers["label"].tolist() == [json.loads(answer)["label"] for answer in answers["prediction"]]
