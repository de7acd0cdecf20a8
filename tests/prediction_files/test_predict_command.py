"""`sightline predict` on real files: every form, bad files, folders and patterns, and the engines."""

import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pydantic import TypeAdapter
from typer.testing import CliRunner, Result

from sightline.commands.cli import app
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.encoding import encode_png, encode_rle
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap, Prediction
from sightline.evaluation.predictor import load_predictor
from sightline.operations.prediction_files.sources import ImageFile, find_images
from sightline.operations.prediction_files.words import told
from sightline.operations.prediction_files.writers import Form, open_writer
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.artifact.onnx import OnnxNetwork

LABELS = LabelMap(("cat", "dog"), ("7", "9"), keypoints=("nose", "tail"), mirrored=(0, 1))
MAPS = LabelMap(("cat", "dog"), ("7", "9"), semantic=("background", "cat", "dog"))
MASK = np.zeros((60, 80), bool)
MASK[5:30, 10:40] = True
OBJECTS = Prediction(
    boxes=np.array([[10, 5, 40, 30], [50, 20, 70, 50], [0, 0, 9, 9]], np.float32),
    box_labels=[0, 1, 0],
    box_scores=np.array([0.9, 0.75, 0.1], np.float32),
    instances=[encode_rle(MASK)] * 3,
)
TURNED = Prediction(
    boxes=np.array([[10, 5, 40, 30]], np.float32),
    corners=np.array([[[20, 5], [40, 20], [30, 30], [10, 15]]], np.float32),
    box_labels=[0],
    box_scores=np.array([0.9], np.float32),
)
POSES = Prediction(keypoints=np.array([[[20, 20, 0.9], [60, 40, 0.2]]], np.float32))
SEMANTIC = np.where(MASK, 2, 0).astype(np.uint8)


@pytest.fixture
def images(digits: Path, tmp_path: Path) -> Path:
    """a.png, b.png, deep/c.png, and what is none."""
    test, folder = SplitStore(digits / "test"), tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.png", "deep/c.png")):
        (folder / name).write_bytes(bytes(test.image(index)))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def run(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], input=given)


def names(found: list[ImageFile]) -> list[str]:
    return [image.output for image in found]


def test_files_folders_patterns_and_a_list(images: Path) -> None:
    folder = str(images)
    assert names(find_images([folder], [], recursive=False)) == ["a.png", "b.png"]
    assert names(find_images([folder], [], recursive=True)) == ["a.png", "b.png", "deep/c.png"]
    assert names(find_images([f"{folder}/**/*.png"], [], recursive=False)) == ["a.png", "b.png", "c.png"]
    assert names(find_images([f"{folder}/b.png", folder], [], recursive=False)) == ["b.png", "a.png"]
    assert names(find_images(["-"], io.StringIO(f"{folder}/b.png\n\n{folder}\n"), recursive=False)) == [
        "b.png",
        "a.png",
    ]
    assert names(find_images([f"{folder}/notes.txt"], [], recursive=False)) == ["notes.txt"]
    assert names(find_images([f"{folder}/*.gif"], [], recursive=False)) == ["*.gif"]  # to be told as missing


def test_a_table_and_the_same_as_lines(model: Path, images: Path, tmp_path: Path) -> None:
    table = run(model, images, "-r", "--batch-size", 2)
    assert table.exit_code == 0, table.output
    lines = table.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(images / name) for name in ("a.png", "b.png", "deep/c.png")]
    written = run(model, "-", "--to", "jsonl", "--out", tmp_path / "out.jsonl", given=f"{images}\n{images}/deep\n")
    assert written.exit_code == 0, written.output
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == [line.split()[0] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert line.split("  ")[-1].startswith(f"{row['label']} {row['confidence']:.1%}, ")
    own = load_predictor(model, engine="torch").predict([(images / "a.png").read_bytes()])[0]
    assert rows[0]["label_id"] == own["label_id"]
    assert rows[0]["probabilities"] == pytest.approx(own["probabilities"], abs=1e-5)


def test_a_text_is_told_with_its_confidence_and_places(strings: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    section = {"kind": "text_recognition", "width": 8, "hidden": 16, "decoding": "beam"}
    config, image = TypeAdapter(TaskConfig).validate_python(section), Input(size=32, width=64)
    task = build(config, image, load_labels(strings)).eval()
    task.network.head.bias.data[1:] += 2  # type: ignore[union-attr, operator]  # else an untrained network reads nothing
    write_model(tmp_path / "reader", task, ModelCard(config, image, task.labels, "32", False, 1, "0" * 64))
    test = SplitStore(strings / "test")
    (tmp_path / "a.png").write_bytes(bytes(test.image(0)))
    [line] = run(tmp_path / "reader", tmp_path / "a.png").stdout.splitlines()
    [row] = [
        json.loads(own) for own in run(tmp_path / "reader", tmp_path / "a.png", "--to", "jsonl").stdout.splitlines()
    ]
    assert row["text"]
    assert line.split("  ")[-1] == f"{row['text']!r} {row['confidence']:.1%}"
    assert [one["character"] for one in row["characters"]] == list(row["text"])
    edges = [(one["left"], one["right"]) for one in row["characters"]]
    assert edges == sorted(edges)
    assert all(0 <= left <= right <= row["width"] for left, right in edges)
    coco = run(tmp_path / "reader", tmp_path / "a.png", "--to", "coco", "--out", tmp_path / "coco")
    assert isinstance(coco.exception, UserError)


def test_bad_files_are_skipped_and_told(model: Path, images: Path) -> None:
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:40])
    (images / "empty.jpg").write_bytes(b"")
    result = run(model, images, images / "gone.png")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 2
    told_at_end = result.stderr.splitlines()
    assert told_at_end == [
        f"{images / 'cut.png'}: PNG with a damaged header, or of an unsupported kind; convert it to PNG or JPEG",
        f"{images / 'empty.jpg'}: empty file; copy it again",
        f"{images / 'gone.png'}: no such file",
        "3 of 5 files skipped",
        f"1 file(s) ignored, without the suffix of an image: {images / 'notes.txt'}",
    ]
    assert run(model, images / "gone.png").exit_code == 3


def test_cut_images_and_other_formats_are_named(model: Path, images: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "JPEG")
    (images / "half.jpg").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    (images / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    told_at_end = run(model, images).stderr
    assert "half.jpg: cannot be read to its end" in told_at_end
    assert "phone.jpg: HEIC is not supported; convert it to PNG or JPEG" in told_at_end


def test_names_that_are_not_utf8_are_printed_escaped(model: Path, images: Path) -> None:
    (images / os.fsdecode(b"caf\xe9.png")).write_bytes((images / "a.png").read_bytes())
    result = run(model, images, "--to", "jsonl")
    assert result.exit_code == 0
    assert str(images / "caf\\xe9.png") in [json.loads(line)["file"] for line in result.stdout.splitlines()]


def test_no_picture_takes_the_name_of_another_or_of_a_class_map(tmp_path: Path) -> None:
    names = ("1.jpg", "1.png", "1.classes.png", "A.png", "a.png", "1-2.png")
    out, image = tmp_path / "out", encode_png(np.zeros((60, 80, 3), np.uint8))
    with open_writer("pictures", out, MAPS, 0.5) as writer:
        for name in names:
            writer.add(ImageFile(Path(name), name, name), image, (60, 80), Prediction(semantic=SEMANTIC))
    written = [path.name.casefold() for path in out.iterdir()]
    assert len(set(written)) == 2 * len(names)


def test_what_cannot_be_is_told_in_a_line(model: Path, images: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ((model, images / "deep" / "nothing*"), None),
        ((model, tmp_path, "--to", "table"), "no images there"),
        (("nowhere", images), "nowhere: no model there"),
        ((model, images, "--to", "pictures"), "--to pictures: writes a folder; give one with --out"),
        ((model, images, "--to", "coco", "--out", images), "exists and is not empty"),
        ((model, images, "--to", "coco", "--out", tmp_path / "coco"), "does not predict boxes, masks or key points"),
        ((model, images, "--engine", "onnx", "--device", "cuda"), "engine onnx runs on the CPU, not on cuda"),
    ):
        result = run(*arguments)
        if words is None:
            assert result.exit_code == 3
            continue
        assert isinstance(result.exception, UserError), result.output
        assert len(result.exception.lines) == 1
        assert words in result.exception.lines[0]
    assert not (tmp_path / "coco").exists()


def test_engines(model: Path, images: Path) -> None:
    encoded = [(images / "a.png").read_bytes()]
    auto, ours, theirs = (load_predictor(model, engine=engine) for engine in ("auto", "torch", "onnx"))
    assert isinstance(auto.onnx, OnnxNetwork)
    assert ours.onnx is None
    one, other = ours.predictions(encoded)[0], theirs.predictions(encoded)[0]
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)  # type: ignore[arg-type]


def test_a_model_is_converted(model: Path, tmp_path: Path) -> None:
    for to, name in (("onnx", "x.onnx"), ("torch-export", "x.pt2")):
        result = CliRunner().invoke(app, ["convert", str(model), "--to", to, "--out", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "x.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    program = torch.export.load(tmp_path / "x.pt2").module()
    pixels = torch.randint(0, 256, (3, 28, 28, 1), dtype=torch.uint8)
    [said] = program(pixels)
    torch.testing.assert_close(said, load_predictor(model, engine="torch").outputs(pixels.numpy()))


def test_a_model_is_converted_to_openvino(model: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="openvino is no dependency: pip install openvino")
    result = CliRunner().invoke(app, ["convert", str(model), "--to", "openvino", "--out", str(tmp_path / "x.xml")])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.bin", "x.xml"]
    graph = openvino.Core().read_model(tmp_path / "x.xml")
    labels = LabelMap.from_json(json.loads(graph.get_rt_info("sightline.labels").value))
    assert labels == load_predictor(model).card.labels
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    [said] = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"images": pixels}).values()
    np.testing.assert_allclose(said, load_predictor(model, engine="torch").outputs(pixels), atol=1e-4)


def test_openvino_is_asked_for(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = CliRunner().invoke(app, ["convert", str(model), "--to", "openvino", "--out", str(tmp_path / "x.xml")])
    assert isinstance(result.exception, UserError)
    assert "pip install openvino" in str(result.exception)
    assert not list(tmp_path.iterdir())


def written(form: Form, labels: LabelMap, prediction: Prediction, folder: Path) -> Path:
    """Write the same prediction for two images of one name."""
    noise = np.random.default_rng(0).integers(100, 156, (60, 80, 3), dtype=np.uint8)
    encoded = cv2.imencode(".png", noise)[1].tobytes()
    with open_writer(form, folder, labels, 0.5) as writer:
        for place in ("one", "two"):
            writer.add(ImageFile(Path(place, "x.png"), f"{place}/x.png", "x.png"), encoded, (60, 80), prediction)
    return folder


def test_coco_files_are_read_by_its_own_tools(tmp_path: Path) -> None:
    folder = written("coco", LABELS, OBJECTS, tmp_path / "coco")
    truth = COCO(str(folder / "images.json"))
    found = truth.loadRes(str(folder / "results.json"))
    assert [image["file_name"] for image in truth.loadImgs(truth.getImgIds())] == ["one/x.png", "two/x.png"]
    assert [category["name"] for category in truth.loadCats([7, 9])] == ["cat", "dog"]
    results = found.loadAnns(found.getAnnIds(imgIds=[2]))
    assert [result["category_id"] for result in results] == [7, 9, 7]
    assert results[1]["score"] == pytest.approx(0.75)
    np.testing.assert_array_equal(found.annToMask(results[0]), MASK)
    values: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())
    assert values[0]["bbox"] == [10, 5, 30, 25]
    poses = json.loads((written("coco", LABELS, POSES, tmp_path / "poses") / "results.json").read_text())
    assert poses[0]["keypoints"] == pytest.approx([20, 20, 0.9, 60, 40, 0.2], abs=1e-3)
    turned = json.loads((written("coco", LABELS, TURNED, tmp_path / "turned") / "results.json").read_text())
    assert turned[0]["bbox"] == [10, 5, 30, 25]
    assert turned[0]["corners"] == [20, 5, 40, 20, 30, 30, 10, 15]
    maps = json.loads(
        (written("coco", MAPS, Prediction(semantic=SEMANTIC), tmp_path / "m") / "results.json").read_text()
    )
    assert [result["category_id"] for result in maps] == [9, 9]


def test_pictures_show_objects_maps_points_and_made_images(tmp_path: Path) -> None:
    folder = written("pictures", LABELS, OBJECTS, tmp_path / "objects")
    assert sorted(path.name for path in folder.iterdir()) == ["x-2.png", "x.png"]
    drawn = cv2.imread(str(folder / "x.png"))
    assert drawn.shape == (288 + 24, 384, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 100
    folder = written("pictures", MAPS, Prediction(semantic=SEMANTIC), tmp_path / "maps")
    assert sorted(path.name for path in folder.iterdir()) == ["x-2.classes.png", "x-2.png", "x.classes.png", "x.png"]
    np.testing.assert_array_equal(cv2.imread(str(folder / "x.classes.png"), cv2.IMREAD_UNCHANGED), SEMANTIC)
    made = np.arange(60 * 80, dtype=np.uint32).reshape(60, 80, 1).astype(np.uint8)
    folder = written("pictures", LABELS, Prediction(image=made), tmp_path / "made")
    np.testing.assert_array_equal(cv2.imread(str(folder / "x.png"), cv2.IMREAD_UNCHANGED), made[..., 0])
    assert written("pictures", LABELS, POSES, tmp_path / "poses").is_dir()


def test_words() -> None:
    assert told(OBJECTS, LABELS, 0.5, 3) == "2 objects: 1 x cat, 1 x dog"
    assert told(OBJECTS, LABELS, 0.95, 3) == "0 objects"
    assert told(Prediction(semantic=SEMANTIC), MAPS, 0.5, 3) == "background 84.4%, dog 15.6%"
    assert told(POSES, LABELS, 0.5, 3) == "1 of 2 key points"
    assert told(Prediction(labels=[1]), LABELS, 0.5, 3) == "dog"
    assert told(Prediction(labels=[]), LABELS, 0.5, 3) == "nothing"
    numbers = Prediction(values=np.array([1.5], np.float32))
    assert told(numbers, LabelMap((), (), values=("size",)), 0.5, 3) == "size 1.5"


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_writer("coco", tmp_path / "coco", LABELS, 0.5):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of two styles."""
    torch.manual_seed(0)
    section = {"kind": "style_network", "paintings": "p", "styles": ["sea.png", "night.png"], "width": 4, "blocks": 1}
    config, image = TypeAdapter(TaskConfig).validate_python(section), Input(size=32, channels=3)
    task, folder = build(config, image, LABELS).eval(), tmp_path_factory.mktemp("models") / "painter"
    write_model(folder, task, ModelCard(config, image, task.labels, "32", False, 1, "0" * 64))
    return folder


def test_a_style_network_writes_a_picture_for_each_style_or_a_mix(painter: Path, images: Path, tmp_path: Path) -> None:
    assert run(painter, images, "--to", "pictures", "--out", tmp_path / "all").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        f"{name}.{style}.png" for name in "ab" for style in ("night", "sea")
    ]
    mix = ("--style", "sea=1", "--style", "night=1")
    assert run(painter, images, *mix, "--to", "pictures", "--out", tmp_path / "mix").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "mix").iterdir()) == [
        f"{name}.sea-50+night-50.png" for name in "ab"
    ]
    assert "pictures: sea-50+night-50" in run(painter, images, *mix).stdout


def test_styles_that_are_not_there_are_reported(painter: Path, model: Path, images: Path) -> None:
    for folder, word, told_so in (
        (painter, "see=1", "style: see: no such style (did you mean sea?)"),
        (painter, "sea", "--style: sea: must be NAME=WEIGHT"),
        (model, "sea=1", "this model has no styles"),
    ):
        failed = run(folder, images, "--style", word)
        assert isinstance(failed.exception, UserError)
        assert told_so in str(failed.exception)
