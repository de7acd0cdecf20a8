"""Oriented boxes: from the files of DOTA and YOLO and the embedded scenes, through augmentation, into batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated_folders import CLASSES, WIDTH, height_of, name_of, write_dota, write_images, write_yolo
from raw_folders import config

from sightline.config.augmentations import Mosaic
from sightline.config.datasets import Scenes
from sightline.data.encoding import decode_rle
from sightline.data.export import export_coco
from sightline.data.images import place
from sightline.data.overlay import draw_truth
from sightline.data.raw.builtin_scenes import ScenesSource, rectangle_of
from sightline.data.raw.formats import open_source
from sightline.data.raw.preparation import prepare
from sightline.data.rectangles import areas, corners_of, hulls, overlaps, rectangles_of, upright_corners
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Sample
from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.geometry import Annotations, Geometry, within
from sightline.system.errors import UserError
from sightline.training.datamodule import PreparedData
from sightline.training.mixing import Mixer

FIELDS = ("boxes", "box_labels", "corners")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def turned_box(number: int) -> np.ndarray:
    """Return 4 x 2 corners of one turned box on an image."""
    return corners_of(np.array([[20, height_of(number) / 2, 18 + number, 9, 0.3 * number - 1]]))[0]


def write_rows(root: Path, kind: str, rows: dict[int, list[str]]) -> Any:
    """Write the twelve images with rows of text, in DOTA's or YOLO's layout."""
    write_images(root)
    folder = root / ("labelTxt" if kind == "dota" else "labels")
    folder.mkdir()
    for number in range(12):
        (folder / f"{name_of(number)}.txt").write_text("\n".join(rows.get(number, [])))
    if kind == "yolo":
        (root / "data.yaml").write_text("names: [cat, dog]\n")
        return config(format="yolo", root=str(root), boxes="oriented")
    return config(format="dota", root=str(root))


def row_of(kind: str, number: int, corners: np.ndarray) -> str:
    shares = corners / [WIDTH, height_of(number)] if kind == "yolo" else corners
    numbers = " ".join(map(str, shares.ravel().tolist()))
    return f"{number % 2} {numbers}" if kind == "yolo" else f"{numbers} {CLASSES[number % 2]} {int(number == 3)}"


def samples_of(dataset: Any) -> dict[int, Sample]:
    source = open_source(dataset)
    samples = [source.sample(index) for index in range(len(source))]
    return {int(Path(sample.source).stem): sample for sample in samples}


def findings_of(dataset: Any) -> list[str]:
    source = open_source(dataset)
    own = [one for index in range(len(source)) for one in source.examined(index)[1]]
    return [one.reason for one in (*source.findings, *own)]


@pytest.mark.parametrize("kind", ["dota", "yolo"])
def test_turned_boxes_are_read_in_any_order_of_their_corners(kind: str, tmp_path: Path, out: Path) -> None:
    order = np.random.default_rng(0)
    rows = {}
    for number in range(12):
        corners = np.roll(turned_box(number), int(order.integers(4)), 0)[:: 1 if number % 3 else -1]
        rows[number] = [row_of(kind, number, corners)]
    dataset = write_rows(tmp_path / "raw", kind, rows)
    for number, sample in samples_of(dataset).items():
        assert sample.corners is not None
        assert sample.boxes is not None
        assert overlaps(sample.corners, turned_box(number)[None])[0, 0] > 0.999
        wanted = hulls(turned_box(number)[None])[0].clip(0, [WIDTH, height_of(number)] * 2)
        np.testing.assert_allclose(sample.boxes[0], wanted, atol=1e-2)
        assert sample.area == pytest.approx([(18 + number) * 9], rel=1e-3)
        assert sample.difficult == [kind == "dota" and number == 3]
        assert not sample.instances
        (x1, y1), (x2, y2) = np.diff(sample.corners[0], axis=0)[:2]
        assert x1 * y2 > x2 * y1, "clockwise on the image"
    card = prepare("tiny", dataset, out)
    assert card.quarantined == 0
    assert load_labels(out).classes == CLASSES
    assert SplitStore(out / "train").sample(0).corners is not None


def test_upright_rows_of_an_oriented_data_set_are_rectangles_too(tmp_path: Path) -> None:
    dataset = write_yolo(tmp_path / "raw").model_copy(update={"boxes": "oriented"})
    for sample in samples_of(dataset).values():
        assert sample.boxes is not None
        assert sample.corners is not None
        np.testing.assert_array_equal(sample.corners, upright_corners(sample.boxes))


BROKEN = {
    "dota numbers": ("dota", "1 2 3 4 5 6 7 cat 0", "labelTxt/004.txt: line 2: 'cat' is not a number, expected x1 y1"),
    "dota few": ("dota", "1 2 3 4", "labelTxt/004.txt: line 2: 4 values, expected x1 y1 x2 y2"),
    "dota class": ("dota", "1 2 9 2 9 8 1 8 3 0", "labelTxt/004.txt: line 2: '3' is a number where the class"),
    "dota difficult": ("dota", "1 2 9 2 9 8 1 8 cat hard", "labelTxt/004.txt: line 2: difficult is 'hard', expected"),
    "dota infinite": ("dota", "1 2 nan 2 9 8 1 8 cat 0", "labelTxt/004.txt: line 2: 'nan' is not a number"),
    "dota flat": ("dota", "1 2 9 2 9 2 1 2 cat 0", "labelTxt/004.txt: line 2: box 1, 2, 9, 2 (left, top, right, bott"),
    "dota line": (
        "dota",
        "1 2 5 6 9 10 3 4 cat 0",
        "labelTxt/004.txt: line 2: corners 1, 2, 5, 6, 9, 10, 3, 4 have",
    ),
    "dota outside": ("dota", "81 2 89 2 89 9 81 9 cat 0", "labelTxt/004.txt: line 2: box 81, 2, 89, 9"),
    "yolo corners": ("yolo", "1 .1 .1 .5 .1 .5 .5", "labels/004.txt: line 2: 7 values, expected 9: class and x y of f"),
    "yolo class": ("yolo", "7 .1 .1 .5 .1 .5 .5 .1 .5", "labels/004.txt: line 2: class 7 is not one of the names"),
    "yolo word": ("yolo", "1 .1 .1 .5 .1 .5 .5 .1 a", "labels/004.txt: line 2: '1 .1 .1 .5 .1 .5 .5 .1 a' contains"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_told_by_file_and_line(case: str, tmp_path: Path) -> None:
    kind, row, message = BROKEN[case]
    rows = {number: [row_of(kind, number, turned_box(number))] for number in range(12)}
    rows[4].append(row)
    dataset = write_rows(tmp_path / "raw", kind, rows)
    told = [reason for reason in findings_of(dataset) if reason.startswith(message)]
    assert len(told) == 1, findings_of(dataset)
    sample = samples_of(dataset)[4]
    assert len(sample.box_labels) == 1, "the other object of the image stays"


def test_headers_split_folders_and_images_without_a_file(tmp_path: Path, out: Path) -> None:
    dataset = write_dota(tmp_path / "raw")
    for number in range(12):
        part = "train" if number < 6 else "val" if number < 9 else "test"
        for kind, suffix in (("images", "png"), ("labelTxt", "txt")):
            folder = tmp_path / "raw" / part / kind
            folder.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / kind / f"{name_of(number)}.{suffix}").rename(folder / f"{name_of(number)}.{suffix}")
    samples = samples_of(dataset)
    assert [samples[number].split for number in (0, 7, 11)] == ["train", "val", "test"]
    assert samples[5].difficult == [True, True]
    assert samples[3].corners is not None
    assert samples[3].corners.shape == (0, 4, 2)
    prepare("tiny", dataset, out)
    for number in (9, 10, 11):  # as in the public test split, whose annotations are withheld
        (tmp_path / "raw/test/labelTxt" / f"{name_of(number)}.txt").unlink()
    with pytest.raises(UserError, match="none of the 3 images of test has an object"):
        prepare("tiny", dataset, out)


def test_a_data_set_that_is_none_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "raw")
    dataset = config(format="dota", root=str(tmp_path / "raw"))
    with pytest.raises(UserError, match="no text files; a DOTA data set has images/ and labelTxt/"):
        open_source(dataset)
    (tmp_path / "raw/labelTxt").mkdir()
    (tmp_path / "raw/labelTxt/000.txt").write_text("gsd:1\n")
    with pytest.raises(UserError, match="no labelled objects"):
        open_source(dataset)
    other = write_yolo(tmp_path / "yolo").model_copy(update={"boxes": "oriented"})
    (tmp_path / "yolo/data.yaml").write_text("names: [cat, dog]\nkpt_shape: [2, 3]\n")
    with pytest.raises(UserError, match=r"data.yaml: kpt_shape names key points, which oriented boxes have not"):
        open_source(other)


def test_turned_scenes_have_tight_rectangles_and_the_others_stay_as_they_were() -> None:
    turned, plain = ScenesSource(12, 96, 4, 3, turn=180.0), ScenesSource(12, 96, 4, 3)
    angles = []
    for index in range(12):
        sample = turned.sample(index)
        assert sample.corners is not None
        assert sample.boxes is not None
        np.testing.assert_array_equal(sample.boxes, hulls(sample.corners).clip(0, 96))
        angles += rectangles_of(sample.corners)[:, 4].tolist()
        for corners, instance in zip(sample.corners, sample.instances, strict=True):
            mask = decode_rle(instance).astype(bool)
            rows, columns = np.nonzero(mask)
            for point in np.stack([columns + 0.5, rows + 0.5], -1):
                assert cv2.pointPolygonTest(corners, point.tolist(), True) > 0.45
            assert mask.sum() / areas(corners[None])[0] > 0.3
            np.testing.assert_allclose(corners, rectangle_of(mask))
        assert plain.sample(index).corners is None
    assert np.ptp(angles) > 2.5
    same, other = ScenesSource(2, 96, 4, 3, turn=20.0).sample(1), plain.sample(1)
    assert same.image == other.image, "20 degrees are what scenes without oriented boxes are turned by"
    assert Scenes(format="scenes", root="data/embedded").turn is None


def discs(seed: int) -> tuple[Any, np.ndarray]:
    """Return an image with three turned bars whose grey level is their number, and their corners."""
    draw = np.random.default_rng(seed)
    image = np.zeros((96, 96, 1), np.uint8)
    sides = np.column_stack([draw.uniform(18, 26, 3), draw.uniform(6, 10, 3), draw.uniform(-2, 2, 3)])
    corners = corners_of(np.column_stack([[24, 70, 45], [26, 30, 70], sides]))
    for number, own in enumerate(corners):
        cv2.fillPoly(image, [np.round((own - 0.5) * 16).astype(np.int32)], 80 * (number + 1), shift=4)
    return image, corners


@pytest.mark.parametrize("policy", ["flip", "affine", "crop", "light"])
def test_rectangles_stay_on_their_objects(policy: str) -> None:
    moves: dict[str, Any] = {
        "flip": [{"HorizontalFlip": {"p": 1.0}}],
        "affine": [{"Affine": {"rotate": [-90, 90], "scale": [0.8, 1.0], "interpolation": 0, "p": 1.0}}],
        "crop": [{"RandomResizedCrop": {"size": [96, 96], "scale": [0.5, 0.9], "interpolation": 0, "p": 1.0}}],
        "light": "light",
    }
    seen = 0
    for seed in range(8):
        image, corners = discs(seed)
        geometry = Geometry(hulls(corners), np.arange(3), corners=corners)
        moved, after = Augmenter(moves[policy], seed).with_geometry(image, geometry, 0, "a")
        assert after.corners is not None
        np.testing.assert_allclose(after.boxes, hulls(after.corners).clip(0, 96), atol=1e-4)
        for label, own in zip(after.box_labels, after.corners, strict=True):
            if (own < 2).any() or (own > 94).any() or policy == "light":
                continue
            bar = (np.abs(moved[..., 0].astype(int) - 80 * (int(label) + 1)) < 8).astype(np.uint8)
            points = cv2.findNonZero(bar)[:, 0] + 0.5
            found = cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32)))
            assert overlaps(own[None], found[None].astype(np.float32))[0, 0] > 0.7
            seen += 1
    assert policy == "light" or seen >= 8


def test_objects_of_which_hardly_anything_is_in_the_image_are_left_out() -> None:
    """A turned one of which much less is in the image than of the upright box around it."""
    corners = corners_of(np.array([[-2, -2, 40, 4, -np.pi / 4], [40, 40, 10, 5, 0.2], [-3, 50, 20, 6, 0.0]]))
    boxes = hulls(corners)
    left = within(Geometry(boxes, np.arange(3), corners=corners), 96, 96)
    assert left.box_labels.tolist() == [1, 2]
    assert left.corners is not None
    np.testing.assert_array_equal(left.corners, corners[1:])
    assert left.boxes.min() >= 0


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "crop"])
def test_rectangles_come_to_the_input_with_their_images(turned: Path, resize: Any) -> None:
    store = SplitStore(turned / "train")
    annotations = Annotations(store, FIELDS, 64, resize)
    for index in range(5):
        sample, geometry = store.sample(index), annotations[index]
        assert sample.corners is not None
        assert geometry.corners is not None
        moved = place(96, 96, 64, resize).into_input(sample.corners)
        np.testing.assert_allclose(geometry.corners, moved, atol=1e-3)


def test_batches_carry_corners_and_mosaics_too(turned: Path) -> None:
    data = PreparedData(
        turned, FIELDS, size=64, channels=3, resize="letterbox", augment="light", batch_size=8, num_workers=0, seed=0
    )
    batch = data.data["train"].__getitems__([(0, index) for index in range(8)])
    for boxes, labels, corners in zip(*(batch.targets[name] for name in FIELDS), strict=True):
        assert corners.shape == (len(labels), 4, 2)
        np.testing.assert_allclose(boxes, hulls(corners.numpy()).clip(0, 64), atol=1e-4)
    plain = Annotations(SplitStore(turned / "train"), FIELDS, 64, "letterbox")
    images = batch.images.numpy()
    _, mixed = Mixer([Mosaic(p=1.0)], 0).drawn(images, [plain[index] for index in range(8)], 0, "a")
    assert sum(len(one.box_labels) for one in mixed) > 8
    for one in mixed:
        assert one.corners is not None
        assert len(one.corners) == len(one.boxes)
        around = hulls(one.corners)
        assert (around[:, 2:] > one.boxes[:, :2]).all()
        assert (around[:, :2] < one.boxes[:, 2:]).all()


def test_they_are_drawn_and_exported(turned: Path, tmp_path: Path) -> None:
    sample = SplitStore(turned / "train").sample(0)
    bare = Sample("a", sample.image, boxes=sample.boxes, corners=sample.corners, box_labels=sample.box_labels)
    upright = Sample("a", sample.image, boxes=sample.boxes, box_labels=sample.box_labels)
    assert (draw_truth(bare, 192) != draw_truth(upright, 192)).any()
    out = tmp_path / "raw"
    corners = {number: [row_of("dota", number, turned_box(number))] for number in range(12)}
    prepare("tiny", write_rows(out, "dota", corners), tmp_path / "tiny")
    export_coco(tmp_path / "tiny", "train", tmp_path / "coco")
    [file] = (tmp_path / "coco").rglob("annotations.json")
    values = json.loads(file.read_text())
    assert all(len(one["segmentation"][0]) == 8 for one in values["annotations"])
