"""Formats with boxes, outlines, masks and key points: the same objects come out of each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import (
    COUNT,
    WIDTH,
    coco_values,
    height_of,
    mask_of,
    name_of,
    objects_of,
    write_coco,
    write_dota,
    write_images,
    write_instances,
    write_masks,
    write_via,
    write_voc,
    write_yolo,
)
from PIL import Image
from raw_folders import config

from sightline.data.encoding import decode_rle, encode_png, read_index_png
from sightline.data.images import decode
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.annotated import mirrored
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS, Sample

Writer = Callable[[Path], Any]
FORMATS: dict[str, tuple[Writer, bool]] = {  # and whether it has outlines
    "coco": (write_coco, True),
    "coco boxes": (lambda root: write_coco(root, coco_values(polygons=False)), False),
    "voc": (write_voc, False),
    "yolo": (write_yolo, False),
    "yolo polygons": (lambda root: write_yolo(root, polygons=True), True),
    "yolo oriented": (lambda root: write_yolo(root, polygons=True).model_copy(update={"boxes": "oriented"}), False),
    "dota": (write_dota, False),
    "via": (write_via, True),
    "via 1": (lambda root: write_via(root, 1), True),
}


def samples_of(dataset: Any) -> dict[int, Sample]:
    source = open_source(dataset)
    samples = [source.sample(index) for index in range(len(source))]
    return {int(Path(sample.source).stem): sample for sample in samples}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_objects(tmp_path: Path, out: Path, name: str) -> None:
    write, outlined = FORMATS[name]
    dataset = write(tmp_path / "raw")
    assert open_source(dataset).labels.classes == ("cat", "dog")
    card = prepare("tiny", dataset, out)
    assert load_labels(out).map_classes == (("background", "cat", "dog") if outlined else ("cat", "dog"))
    stores = [SplitStore(out / split) for split in SPLITS]
    stored = [store.sample(index) for store in stores for index in range(len(store))]
    assert sorted(sample.source for sample in stored) == sorted(
        open_source(dataset).sample(i).source for i in range(COUNT)
    )
    for sample in stored:
        number = int(Path(sample.source).stem)
        objects = objects_of(number)
        assert sample.boxes is not None
        np.testing.assert_allclose(sample.boxes, np.array([box for _, box in objects]).reshape(-1, 4), atol=1e-4)
        assert sample.box_labels == [label for label, _ in objects]
        assert sample.labels == sorted({label for label, _ in objects})
        assert sample.label == -1
        assert len(sample.instances) == (len(objects) if outlined else 0)
        for instance, (_, (left, top, right, bottom)) in zip(sample.instances, objects, strict=False):
            wanted = np.zeros((height_of(number), WIDTH), bool)
            wanted[top:bottom, left:right] = True
            np.testing.assert_array_equal(decode_rle(instance), wanted)
        if outlined:
            semantic = np.zeros((height_of(number), WIDTH), np.uint8)
            for label, (left, top, right, bottom) in reversed(objects):  # the second is larger, and so lies below
                semantic[top:bottom, left:right] = label + 1
            np.testing.assert_array_equal(sample.semantic, semantic)
        else:
            assert sample.semantic is None
    assert sum(card.objects[split]["dog"] for split in SPLITS) == 8
    assert sum(card.counts[split]["dog"] for split in SPLITS) == 6
    assert card.findings["unannotated"]["count"] == 4
    assert (card.quarantined, card.dropped) == (0, 0)


def test_class_ids_of_coco_are_kept_beside_ours(tmp_path: Path) -> None:
    labels = open_source(write_coco(tmp_path / "raw")).labels
    assert (labels.classes, labels.source_ids) == (("cat", "dog"), ("7", "90"))


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path: Path) -> None:
    """A box from 1 to the image's width covers all of it; one pixel has xmin = xmax (VOCevaldet.m)."""
    dataset = write_voc(tmp_path / "raw")
    objects = "".join(
        f"<object><name>cat</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in ((1, 1, WIDTH, 30), (5, 5, 5, 5))
    )
    (tmp_path / "raw/Annotations/000.xml").write_text(f"<annotation>{objects}</annotation>")
    sample = samples_of(dataset)[0]
    assert sample.boxes is not None
    assert sample.boxes.tolist() == [[0, 0, WIDTH, 30], [4, 4, 5, 5]]
    assert sample.area == [WIDTH * 30, 1]
    assert samples_of(dataset)[1].difficult == [True]


def test_voc_lists_are_splits(tmp_path: Path, out: Path) -> None:
    dataset = write_voc(tmp_path / "raw")
    lists = tmp_path / "raw/ImageSets/Main"
    lists.mkdir(parents=True)
    for name, numbers in {"trainval": range(8), "test": range(8, 11), "cat_train": range(3)}.items():
        (lists / f"{name}.txt").write_text("".join(f"{name_of(number)}\n" for number in numbers))
    card = prepare("tiny", dataset.model_copy(update={"split": config(format="digits", root="x").split}), out)
    assert card.samples["test"] == 3
    assert card.samples["train"] + card.samples["val"] == 8
    assert [found["source"] for found in card.findings["ignored"]["first"]] == ["JPEGImages/011.png"]


def test_coco_files_per_split(tmp_path: Path, out: Path) -> None:
    root = tmp_path / "raw"
    files = {"train": range(6), "val": range(6, 9), "test": range(9, 12)}
    for split, numbers in files.items():
        write_images(root, f"{split}2017")
        (root / f"{split}.json").write_text(json.dumps(coco_values(numbers)))
    splits = {split: f"{split}.json" for split in files}
    folders = {split: f"{split}2017" for split in files}
    prepare("tiny", config(format="coco", root=str(root), annotations=splits, images=folders), out)
    for split, numbers in files.items():
        assert sorted(SplitStore(out / split).sources) == [f"{split}2017/{name_of(number)}.png" for number in numbers]


def test_run_lengths_and_crowds_of_coco(tmp_path: Path) -> None:
    values = coco_values()
    height = height_of(1)
    first = values["annotations"][0]  # of image 1: a box 3..15 x 3..20
    mask = np.zeros((height, WIDTH), bool)
    mask[4:9, 6:10] = True
    runs = [6 * height + 4, 5, *[height - 5, 5] * 3]
    first |= {"segmentation": {"size": [height, WIDTH], "counts": [*runs, height * WIDTH - sum(runs)]}, "iscrowd": 1}
    first["area"] = 12.5
    sample = samples_of(write_coco(tmp_path / "raw", values))[1]
    np.testing.assert_array_equal(decode_rle(sample.instances[0]), mask)
    assert sample.iscrowd == [True]
    assert sample.area == [12.5]
    assert sample.semantic is not None
    assert set(np.unique(sample.semantic)) == {0, 255}
    first["segmentation"] = sample.instances[0]
    again = samples_of(write_coco(tmp_path / "again", values))[1]
    assert again.instances == sample.instances


def test_key_points_of_coco(tmp_path: Path, out: Path) -> None:
    values = coco_values()
    for category in values["categories"]:
        category["keypoints"] = ["nose", "Left ear", "Right ear"]
    first, second = values["annotations"][:2]
    first["keypoints"] = [4, 5, 2, 6.5, 7, 1, 0, 0, 0]
    second["keypoints"] = [WIDTH + 3, 5, 2, 1, 1, 2, 2, 2, 2]
    dataset = write_coco(tmp_path / "raw", values)
    samples = samples_of(dataset)
    assert samples[1].keypoints is not None
    assert samples[2].keypoints is not None
    assert samples[0].keypoints is not None
    assert samples[1].keypoints.tolist() == [[[4, 5, 2], [6.5, 7, 1], [0, 0, 0]]]
    assert samples[2].keypoints[0].tolist() == [[0, 0, 0], [1, 1, 2], [2, 2, 2]]
    assert samples[2].keypoints[1].tolist() == [[0, 0, 0]] * 3
    assert samples[0].keypoints.shape == (0, 3, 3)
    prepare("tiny", dataset, out)
    labels = load_labels(out)
    assert (labels.keypoints, labels.mirrored) == (("nose", "Left ear", "Right ear"), (0, 2, 1))
    for split in SPLITS:
        store = SplitStore(out / split)
        for index, source in enumerate(store.sources):
            np.testing.assert_equal(store.sample(index).keypoints, samples[int(Path(source).stem)].keypoints)


def test_box_is_made_of_outline_or_key_points_where_it_is_missing(tmp_path: Path) -> None:
    values = coco_values()
    values["categories"][0]["keypoints"] = ["a", "b"]
    del values["annotations"][0]["bbox"]  # of image 1
    second = values["annotations"][1]  # of image 2
    del second["bbox"], second["segmentation"]
    second["keypoints"] = [3, 4, 2, 30, 25.5, 1]
    samples = samples_of(write_coco(tmp_path / "raw", values))
    assert samples[1].boxes is not None
    assert samples[2].boxes is not None
    assert samples[1].boxes.tolist() == [[3, 3, 15, 20]]
    assert samples[2].boxes[0].tolist() == [3, 4, 30, 25.5]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], (0, 2, 1)),
        (["RightKnee", "LeftKnee"], (1, 0)),
        (["left_eye", "nose"], ()),
        (["a", "b"], ()),
    ],
)
def test_mirrored_pairs_follow_the_names(names: list[str], pairs: tuple[int, ...]) -> None:
    assert mirrored(names) == pairs


def test_mask_values_become_classes(tmp_path: Path, out: Path) -> None:
    dataset = write_masks(tmp_path / "raw")
    labels = open_source(dataset).labels
    assert (labels.classes, labels.source_ids) == (("cat", "background", "dog"), ("1", "3", "9"))
    card = prepare("tiny", dataset, out)
    for split in SPLITS:
        store = SplitStore(out / split)
        for index, source in enumerate(store.sources):
            number = int(Path(source).stem)
            wanted = mask_of(number, tuple((0, 2)[label] for label, _ in objects_of(number)), 1)
            wanted[0] = 255
            np.testing.assert_array_equal(store.sample(index).semantic, wanted)
    assert load_labels(out).map_classes == ("cat", "background", "dog")
    pixels = sum(sum(card.pixels[split].values()) for split in SPLITS)
    assert pixels == sum((height_of(number) - 1) * WIDTH for number in range(COUNT))


def test_camvid_layout_is_read(tmp_path: Path, out: Path) -> None:
    root = tmp_path / "raw"
    folders = {"train": "train", "val": "val", "test": "test"}
    for split in folders:
        write_images(root, split)
        (root / f"{split}annot").mkdir()
    for number in range(COUNT):
        split = SPLITS[number % 3]
        for other in SPLITS:
            if other != split:
                (root / other / f"{name_of(number)}.png").unlink()
        (root / f"{split}annot" / f"{name_of(number)}_L.png").write_bytes(encode_png(mask_of(number, (1, 1))))
    masks = {split: f"{split}annot" for split in folders}
    values = {"masks": masks, "images": folders, "mask_suffix": "_L", "names": ["ground", "pet"]}
    card = prepare("tiny", config(format="mask_folder", root=str(root), **values), out)
    assert card.samples == {"train": 4, "val": 4, "test": 4}


@pytest.mark.parametrize("kind", ["palette", "palette of 2 bits", "grey", "one bit", "grey of 2 bits", "sixteen bits"])
def test_masks_are_read_by_index(kind: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    file = BytesIO()
    match kind:
        case "palette" | "palette of 2 bits":
            image = Image.fromarray(values, "P")
            image.putpalette([9, 200, 30] * 128 + [70, 80, 90] * 128)  # two indices have one colour
            image.save(file, "PNG", **({"bits": 2} if kind.endswith("bits") else {}))
        case "grey":
            Image.fromarray(values).save(file, "PNG")
        case "one bit":
            Image.fromarray(values.astype(bool)).save(file, "PNG")
        case "grey of 2 bits":
            file.write(_grey_of_two_bits())
        case "sixteen bits":
            values = values.astype(np.uint16) * 700
            Image.fromarray(values).save(file, "PNG")
    np.testing.assert_array_equal(read_index_png(file.getvalue()), values)


def _grey_of_two_bits() -> bytes:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"\0" + bytes([0b00_01_01_00]) + b"\0" + bytes([0b01_00_01_00])
    header = struct.pack(">IIBBBBB", 3, 2, 2, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_instance_masks_are_objects(tmp_path: Path) -> None:
    samples = samples_of(write_instances(tmp_path / "raw"))
    assert len(samples) == COUNT
    for number, sample in samples.items():
        mask = mask_of(number, (2, 5))
        wanted = [mask == value for value in np.unique(mask[mask > 0])]
        assert len(sample.instances) == len(wanted) == len(sample.box_labels)
        for instance, pixels in zip(sample.instances, wanted, strict=True):
            np.testing.assert_array_equal(decode_rle(instance), pixels)
        np.testing.assert_array_equal(sample.semantic, (mask > 0).astype(np.uint8))
    assert samples[1].boxes is not None
    assert samples[1].boxes.tolist() == [list(objects_of(1)[0][1])]


@pytest.mark.parametrize("shape", ["rect", "circle", "ellipse"])
def test_round_regions_of_via(tmp_path: Path, shape: str) -> None:
    root = tmp_path / "raw"
    dataset = write_via(root).model_copy(update={"attribute": None, "class_name": "spot"})
    given = {
        "rect": {"x": 10, "y": 5, "width": 20, "height": 20},
        "circle": {"cx": 20, "cy": 15, "r": 10},
        "ellipse": {"cx": 20, "cy": 15, "rx": 10, "ry": 5, "theta": np.pi / 2},
    }[shape]
    regions = [{"shape_attributes": {"name": shape, **given}, "region_attributes": {}}]
    (root / "via_region_data.json").write_text(json.dumps({"a": {"filename": "003.png", "regions": regions}}))
    sample = samples_of(dataset)[3]
    pixels = {"rect": 400, "circle": np.pi * 100, "ellipse": np.pi * 50}[shape]
    assert abs(sample.area[0] - pixels) < 15
    box = {"rect": [10, 5, 30, 25], "circle": [10, 5, 30, 25], "ellipse": [15, 5, 25, 25]}[shape]
    assert sample.boxes is not None
    np.testing.assert_allclose(sample.boxes[0], box, atol=1)
    assert open_source(dataset).labels.classes == ("spot",)


def test_annotations_fit_the_upright_image(tmp_path: Path) -> None:
    """A photograph taken on its side: 30 x 40 as stored, 40 x 30 as seen and as annotated."""
    values = coco_values()
    dataset = write_coco(tmp_path / "raw", values)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(decode((tmp_path / "raw/images/001.png").read_bytes(), 3))
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "raw/images/001.jpg", exif=exif, quality=95)
    values["images"][1]["file_name"] = "001.jpg"
    (tmp_path / "raw/annotations.json").write_text(json.dumps(values))
    sample = samples_of(dataset)[1]
    pixels = decode(sample.image, 3)
    assert pixels.shape[:2] == (height_of(1), WIDTH)
    assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 5
    assert sample.boxes is not None
    assert sample.boxes.tolist() == [list(objects_of(1)[0][1])]


def test_yolo_layouts(tmp_path: Path) -> None:
    flat = write_yolo(tmp_path / "flat")
    (tmp_path / "flat/data.yaml").unlink()
    (tmp_path / "flat/classes.txt").write_text("cat\ndog\n")
    for path in (tmp_path / "flat/labels").iterdir():
        path.rename(tmp_path / "flat/images" / path.name)  # beside the images, as LabelImg writes them
    nested = write_yolo(tmp_path / "nested")
    for kind in ("images", "labels"):
        (tmp_path / "nested" / kind).rename(tmp_path / "nested" / "moved")
        (tmp_path / "nested" / "train").mkdir(exist_ok=True)
        (tmp_path / "nested" / "moved").rename(tmp_path / "nested" / "train" / kind)
    split = write_yolo(tmp_path / "split")
    for kind in ("images", "labels"):
        (tmp_path / "split" / kind).rename(tmp_path / "split" / "val2017")
        (tmp_path / "split" / kind).mkdir()
        (tmp_path / "split" / "val2017").rename(tmp_path / "split" / kind / "val2017")
    for dataset, part in ((flat, None), (nested, "train"), (split, "val")):
        samples = samples_of(dataset)
        assert {sample.split for sample in samples.values()} == {part}
        assert [len(samples[number].box_labels) for number in range(COUNT)] == [number % 3 for number in range(COUNT)]


@pytest.mark.parametrize("name", ["coco", "masks", "instances"])
def test_two_runs_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    dataset = {"coco": write_coco, "masks": write_masks, "instances": write_instances}[name](tmp_path / "raw")
    written = []
    for folder in ("one", "two"):
        prepare("tiny", dataset, tmp_path / folder)
        written.append({path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*.*") if path.is_file()})
    assert written[0] == written[1]
