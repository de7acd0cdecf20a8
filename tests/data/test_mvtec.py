"""MVTec AD's layout, from files through `prepare` and back, and each of its mistakes."""

from pathlib import Path

import numpy as np
import pytest
from raw_folders import config

from sightline.data.encoding import encode_png
from sightline.data.raw.formats import open_source
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.system.errors import UserError

SIDE = 24


def write(path: Path, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))


def write_mvtec(root: Path, good: int = 20) -> Path:
    random = np.random.default_rng(0)
    for part, count in (("train", good), ("test", 6)):
        for number in range(count):
            write(root / part / "good" / f"{number:03}.png", random.integers(0, 255, (SIDE, SIDE, 3), np.uint8))
    for name, value in (("scratch", 255), ("bent", 1)):
        for number in range(4):
            write(root / "test" / name / f"{number:03}.png", random.integers(0, 255, (SIDE, SIDE, 3), np.uint8))
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[2:6, 3 : 5 + number] = value
            write(root / "ground_truth" / name / f"{number:03}_mask.png", mask)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_mvtec(tmp_path / "raw")


def test_validation_is_taken_from_good_train_images(root: Path, out: Path) -> None:
    card = prepare("tiny", config(format="mvtec", root=str(root)), out)
    assert card.classes == ["good", "bent", "scratch"]
    assert (
        card.counts["train"] | {"good": 0} == card.counts["val"] | {"good": 0} == {"good": 0, "bent": 0, "scratch": 0}
    )
    assert card.counts["train"]["good"] + card.counts["val"]["good"] == 20
    assert card.counts["val"]["good"] >= 3
    assert card.counts["test"] == {"good": 6, "bent": 4, "scratch": 4}
    assert not card.quarantined
    assert "class_without_train" not in card.findings
    labels, test = load_labels(out), SplitStore(out / "test")
    for index in range(len(test)):
        sample = test.sample(index)
        assert sample.semantic is not None
        name = labels.classes[sample.label]
        number = int(sample.source.split("/")[-1].split(".")[0])
        assert (sample.semantic == sample.label).all() == (name == "good")
        assert (sample.semantic > 0).sum() == (0 if name == "good" else 4 * (2 + number))
        assert set(np.unique(sample.semantic)) <= {0, sample.label}


def test_a_folder_of_validation_images_is_the_validation_split(root: Path, out: Path) -> None:
    (root / "train/good/000.png").rename(root / "moved.png")
    (root / "validation/good").mkdir(parents=True)
    (root / "moved.png").rename(root / "validation/good/000.png")
    card = prepare("tiny", config(format="mvtec", root=str(root)), out)
    assert (card.counts["train"]["good"], card.counts["val"]["good"]) == (19, 1)


def test_without_masks_pixels_are_not_known(root: Path, out: Path) -> None:
    import shutil

    shutil.rmtree(root / "ground_truth")
    card = prepare("tiny", config(format="mvtec", root=str(root)), out)
    assert card.findings["no_masks"]["count"] == 1
    test = SplitStore(out / "test")
    assert all(test.sample(index).semantic is None for index in range(len(test)))
    assert card.counts["test"] == {"good": 6, "bent": 4, "scratch": 4}


def test_masks_that_cannot_be_used_leave_their_image_out(root: Path, out: Path) -> None:
    (root / "ground_truth/bent/000_mask.png").rename(root / "ground_truth/bent/100_mask.png")
    write(root / "ground_truth/bent/001_mask.png", np.zeros((SIDE, SIDE), np.uint8))
    write(root / "ground_truth/bent/002_mask.png", (np.indices((SIDE, SIDE)).sum(0) % 3).astype(np.uint8))
    write(root / "ground_truth/scratch/000_mask.png", np.full((SIDE, SIDE + 1), 255, np.uint8))
    card = prepare("tiny", config(format="mvtec", root=str(root)), out)
    told = {first["source"]: first["reason"] for found in card.findings.values() for first in found["first"]}
    assert "it must be ground_truth/bent/000_mask.png" in told["test/bent/000.png"]
    assert "marks no pixel" in told["test/bent/001.png"]
    assert "values 0, 1, 2, must be 0 and one other" in told["test/bent/002.png"]
    assert "its mask is 25 x 24" in told["test/scratch/000.png"]
    assert told["ground_truth/bent/100_mask.png"] == "no image has this mask"
    assert (card.counts["test"]["bent"], card.counts["test"]["scratch"]) == (1, 3)


def test_mistakes_of_the_layout_are_told(root: Path, tmp_path: Path) -> None:
    def told(folder: Path) -> list[str]:
        with pytest.raises(UserError) as error:
            open_source(config(format="mvtec", root=str(folder)))
        return error.value.lines

    (root / "train/bent").mkdir()
    (root / "test/good").rename(root / "test/fine")
    lines = told(root)
    assert lines == [
        f"{root}/train/bent: train/ holds good images alone; move these to test/bent",
        f"{root}/test: has no good/; put good images there",
    ]
    assert "holds several objects (raw); make a data set of each" in told(tmp_path)[0]
    other = tmp_path / "other"
    write(other / "train/good/000.png", np.zeros((SIDE, SIDE), np.uint8))
    assert "has no test/; MVTec AD has train/good" in told(other)[0]
    write(other / "test/good/000.png", np.zeros((SIDE, SIDE), np.uint8))
    assert "has no folder of a defect" in told(other)[0]
    assert "no such folder" in told(tmp_path / "nowhere")[0]
