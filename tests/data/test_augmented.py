"""The stage `augment`: copies, report, picture; and a training that uses the copies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.config.augmentations import Augmentation
from sightline.config.models import Model
from sightline.data.encoding import decode_rle, encode_rle
from sightline.data.images import decode
from sightline.data.store import SplitStore
from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.augmented import make_augmentation
from sightline.data.vary.geometry import Geometry
from sightline.data.vary.variants import close_sample, open_sample, vary
from sightline.system.errors import UserError
from sightline.training.datamodule import PreparedData

FAR: list[Any] = [{"Affine": {"translate_percent": [0.45, 0.5], "p": 1.0}}]


def make(prepared: Path, root: Path, **settings: Any) -> tuple[Path, Path]:
    """Run the stage; return the two folders it makes."""
    section = Augmentation(dataset=prepared.name, **settings)
    output, report = root / "data/augmented/own", root / "reports/own"
    make_augmentation("own", section, 3, prepared, output, report)
    return output, report


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["scenes", "figures"])
def test_copies_are_the_same_bytes_again_and_never_of_other_splits(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    prepared: Path = request.getfixturevalue(name)
    train_only = tmp_path / name  # the stage cannot read what is not there
    train_only.mkdir()
    for part in ("train", "labels.json"):
        (train_only / part).symlink_to(prepared / part)
    output, report = make(train_only, tmp_path / "a", policy="medium", copies=2)
    again, report_again = make(train_only, tmp_path / "b", policy="medium", copies=2)
    assert files(output) == files(again)
    assert (report / "sheet.png").read_bytes() == (report_again / "sheet.png").read_bytes()
    originals, copies = SplitStore(prepared / "train"), SplitStore(output / "copies")
    assert len(copies) == 2 * len(originals)
    everywhere = [own for split in ("train", "val", "test") for own in SplitStore(prepared / split).ids]
    assert len({*copies.ids, *everywhere}) == len(copies) + len(everywhere)
    assert {source.rsplit("#", 1)[0] for source in copies.sources} == set(originals.sources)
    assert {source.rsplit("#", 1)[1] for source in copies.sources} == {"0", "1"}


def test_copies_have_their_originals_labels_and_moved_annotations(scenes: Path, tmp_path: Path) -> None:
    output, _ = make(scenes, tmp_path, policy="heavy", copies=1)
    originals, copies = SplitStore(scenes / "train"), SplitStore(output / "copies")
    by_source = {source: index for index, source in enumerate(originals.sources)}
    moved = 0
    for index in range(len(copies)):
        sample = copies.sample(index)
        original = originals.sample(by_source[sample.source.split("#")[0]])
        assert sample.label == original.label
        assert sample.boxes is not None
        assert sample.semantic is not None
        pixels = decode(sample.image, 3)
        assert pixels.shape[:2] == sample.semantic.shape
        assert set(sample.labels) == set(sample.box_labels) <= set(original.box_labels)
        assert len(sample.iscrowd) == len(sample.area) == len(sample.instances) == len(sample.boxes)
        for box, one, area, label in zip(sample.boxes, sample.instances, sample.area, sample.box_labels, strict=True):
            mask = decode_rle(one)
            rows, columns = np.nonzero(mask)
            np.testing.assert_allclose(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert area == mask.sum()
            assert (sample.semantic[mask] == label + 1).mean() > 0.9
        moved += not np.array_equal(pixels, decode(original.image, 3))
    assert moved > 0.8 * len(copies)


def test_objects_without_a_mask_keep_their_boxes(scenes: Path) -> None:
    sample = SplitStore(scenes / "train").sample(0)
    assert sample.boxes is not None
    height, width = sample.instances[0]["size"]
    sample.instances[0] = encode_rle(np.zeros((height, width), bool))
    sample.area[0] = 100.0
    varied = close_sample(vary(open_sample(sample, 3), Augmenter([{"HorizontalFlip": {"p": 1.0}}], 0), 0, "a"))
    assert varied.boxes is not None
    flipped = [width - sample.boxes[0, 2], sample.boxes[0, 1], width - sample.boxes[0, 0], sample.boxes[0, 3]]
    np.testing.assert_allclose(varied.boxes[0], flipped)
    assert not decode_rle(varied.instances[0]).any()
    assert varied.area[0] == pytest.approx(100.0)


def test_images_keep_their_aspect_and_tiny_ones_are_enlarged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 150, 3), np.uint8)
    box = Geometry(np.array([[100, 10, 140, 50]], np.float32), np.array([0]))
    _, after = Augmenter([{"HorizontalFlip": {"p": 1.0}}], 0).with_geometry(image, box, 0, "a")
    np.testing.assert_allclose(after.boxes, [[10, 10, 50, 50]], atol=1e-4)
    changed, after = Augmenter([{"Transpose": {"p": 1.0}}], 0, keeps_size=False).with_geometry(image, box, 0, "a")
    assert changed.shape == (150, 60, 3)
    np.testing.assert_allclose(after.boxes, [[10, 100, 50, 140]], atol=1e-4)


def test_the_report_tells_of_lost_boxes(scenes: Path, tmp_path: Path) -> None:
    output, report = make(scenes, tmp_path, policy=FAR, max_lost_boxes=0.2)
    summary = json.loads((report / "summary.json").read_text())
    augment = Augmenter(FAR, 3)
    store = SplitStore(scenes / "train")
    before = after = 0
    for index, name in enumerate(store.ids):
        opened = open_sample(store.sample(index), 3)
        before += len(opened.geometry.boxes)
        after += len(vary(opened, augment, 0, name).geometry.boxes)
    assert summary["boxes"] == before
    assert summary["boxes_lost"] == pytest.approx(1 - after / before, abs=1e-4)
    assert 0.2 < summary["boxes_lost"] < 1
    page = (report / "report.md").read_text()
    assert f"**Warning: {summary['boxes_lost']:.1%} of the boxes leave the image" in page
    _, report = make(scenes, tmp_path, policy="light")
    assert "Warning" not in (report / "report.md").read_text()
    assert json.loads((output / "policy.json").read_text())["mixing"] == []


def test_the_report_tells_of_key_points_mixing_and_speed(figures: Path, tmp_path: Path) -> None:
    output, report = make(figures, tmp_path, policy=[*FAR, {"MixUp": {"alpha": 0.3}}])
    summary = json.loads((report / "summary.json").read_text())
    assert summary["images_per_second"] > 0
    assert 0.2 < summary["keypoints_lost"] < 0.9
    page = (report / "report.md").read_text()
    assert "key points left the image" in page
    assert "MixUp" in page
    policy = json.loads((output / "policy.json").read_text())
    assert policy["mixing"] == [{"MixUp": {"alpha": 0.3, "p": 0.5}}]
    assert policy["transforms"]["transform"]["transforms"][0]["__class_fullname__"] == "Affine"
    with Image.open(report / "sheet.png") as sheet:
        assert sheet.width > 6 * 192


def test_policies_that_fail_on_some_image_end_in_one_line(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the policy fails on .*, 96 x 96 pixels: Crop size") as error:
        make(digits, tmp_path, policy=[{"RandomCrop": {"height": 300, "width": 300, "p": 1.0}}])
    assert len(error.value.lines) == 1
    assert not (tmp_path / "data/augmented/own").exists()


def test_a_training_takes_copies_as_they_are(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.training.fit import train

    monkeypatch.chdir(tmp_path)
    section = Augmentation(dataset="digits", policy="light", copies=1)
    make_augmentation("own", section, 3, digits, Path("data/augmented/own"), Path("reports/own"))
    copies = Path("data/augmented/own/copies")
    settings: dict[str, Any] = {"channels": 1, "resize": "letterbox", "batch_size": 32, "num_workers": 0, "seed": 0}
    data = PreparedData(digits, ("label",), size=16, augment="light", copies=copies, **settings)
    count = len(SplitStore(digits / "train"))
    assert len(data.data["train"]) == 2 * count
    assert len(data.data["val"]) == len(SplitStore(digits / "val"))
    drawn = [data.data["train"].__getitems__([(epoch, 0), (epoch, count)]).images for epoch in range(2)]
    assert (drawn[0] == drawn[1]).all()
    model = Model.model_validate(
        {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mlp"},
            "weights": "random",
            "input": {"size": 8, "channels": 1},
            "augment": "own",
            "optimizer": {"name": "adam", "lr": 2e-3},
            "trainer": {"max_epochs": 2},
        }
    )
    with_copies = train(model, 1, digits, tmp_path / "with", augmentation=section)
    without = train(model, 1, digits, tmp_path / "without", augmentation=Augmentation(dataset="digits", policy="none"))
    assert with_copies.card.data_sha256 != without.card.data_sha256
    assert with_copies.curves[-1]["train_loss"] < without.curves[-1]["train_loss"]  # twice the steps
    shutil.rmtree(copies)
    with pytest.raises(UserError, match=r"copies: no prepared samples; run dvc repro augment@own"):
        train(model, 2, digits, tmp_path / "missing", augmentation=section)
    with pytest.raises(UserError, match="augment: 'own' is not one of none, strip, light"):
        train(model, 2, digits, tmp_path / "missing")
