"""Every format, from files in its public layout through `prepare` and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated_folders import write_coco, write_masks
from raw_folders import config, pixels, write_folder, write_idx

from sightline.data.images import decode
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.table_labels import sorted_classes
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS, Sample
from sightline.system.errors import UserError

BY_ORDER = {"train": 0.5, "val": 0.25, "test": 0.25, "by": "order"}  # so that no part of a few is empty


def stored(out: Path) -> dict[str, tuple[str, Sample]]:
    stores = {split: SplitStore(out / split) for split in SPLITS}
    samples = [(split, store.sample(index)) for split, store in stores.items() for index in range(len(store))]
    return {sample.source: (split, sample) for split, sample in samples}


def test_image_folder_round_trip(folder: Path, out: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden").write_text("x")
    nested = folder / "class1" / "deeper"
    nested.mkdir()
    (folder / "class1" / "000.png").rename(nested / "000.png")
    card = prepare("tiny", config(format="image_folder", root=str(folder)), out)
    samples = stored(out)
    assert len(samples) == 24
    assert load_labels(out).source_ids == ("class0", "class1")
    for source, (_, sample) in samples.items():
        assert sample.image == (folder / source).read_bytes()
        assert sample.label == int(source[5])
    assert "class1/deeper/000.png" in samples
    assert [found["source"] for found in card.findings["ignored"]["first"]] == ["notes.txt"]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_predefined_splits_are_kept(tmp_path: Path, out: Path, val: str) -> None:
    root = write_folder(tmp_path / "raw", parts=("train", val, "test"), each=5)
    prepare("tiny", config(format="image_folder", root=str(root)), out)
    wanted = {"train": "train", val: "val", "test": "test"}
    assert all(split == wanted[source.split("/")[0]] for source, (split, _) in stored(out).items())


def test_val_is_carved_from_train(tmp_path: Path, out: Path) -> None:
    root = write_folder(tmp_path / "raw", parts=("train", "test"), each=10)
    split = {"train": 0.8, "val": 0.2, "test": 0.0, "by": "order"}
    card = prepare("tiny", config(format="image_folder", root=str(root), split=split), out)
    assert [card.total(part) for part in SPLITS] == [16, 4, 20]
    last = {source for source, (part, _) in stored(out).items() if part == "val"}
    assert last == {f"train/class1/{number:03}.png" for number in (6, 7, 8, 9)}


def test_csv_round_trip(folder: Path, out: Path) -> None:
    lines = ["path,label,split,group,weather"]
    for number in range(12):
        split = ("train", "val", "test")[number % 3]
        lines.append(f"class0/{number:03}.png,{10 if number % 2 else 9},{split},film{number % 3},sunny")
    (folder / "labels.csv").write_text("\n".join(lines))
    prepare("tiny", config(format="csv", root=str(folder)), out)
    assert load_labels(out).classes == ("9", "10")
    for source, (split, sample) in stored(out).items():
        number = int(source[7:10])
        assert split == ("train", "val", "test")[number % 3]
        assert (sample.label, sample.group) == (number % 2, f"film{number % 3}")
        assert sample.attributes == {"weather": "sunny"}


@pytest.mark.parametrize(("separator", "second"), [("|", "big dog"), (" ", "dog")])
def test_csv_of_several_labels(folder: Path, out: Path, separator: str, second: str) -> None:
    cells = ["", "cat", second, f"{second}{separator}cat"]
    lines = [f"class0/{number:03}.png,{cells[number % 4]}" for number in range(12)]
    (folder / "labels.csv").write_text("\n".join(["path,labels", *lines]))
    card = prepare("tiny", config(format="csv", root=str(folder), split=BY_ORDER), out)
    assert load_labels(out).classes == tuple(sorted(["cat", second]))
    for source, (_, sample) in stored(out).items():
        number = int(source[7:10]) % 4
        names = [load_labels(out).classes[label] for label in sample.labels]
        assert sorted(names) == [[], ["cat"], [second], sorted(["cat", second])][number]
        assert sample.label == -1
    assert sum(card.counts[split]["cat"] for split in SPLITS) == 6
    assert sum(card.samples.values()) == 12


def test_csv_of_values(folder: Path, out: Path) -> None:
    lines = [f"class0/{number:03}.png,{number / 2},{-number},sun" for number in range(12)]
    (folder / "labels.csv").write_text("\n".join(["path,age,height,weather", *lines]))
    card = prepare("tiny", config(format="csv", root=str(folder), values=["height", "age"], split=BY_ORDER), out)
    labels = load_labels(out)
    assert (labels.classes, labels.values) == ((), ("height", "age"))
    for source, (_, sample) in stored(out).items():
        number = int(source[7:10])
        assert sample.values == [-number, number / 2]
        assert sample.attributes == {"weather": "sun"}
    assert card.values["height"] == {"min": -11, "mean": -5.5, "max": 0}
    assert "| height | -11 | -5.5 | 0 |" in (out / "report.md").read_text()


def test_csv_of_everything_at_once(folder: Path, out: Path) -> None:
    lines = [f"class0/{number:03}.png,{'ab'[number % 2]},c|a,{number}" for number in range(12)]
    (folder / "labels.csv").write_text("\n".join(["path,label,labels,size", *lines]))
    prepare("tiny", config(format="csv", root=str(folder), values=["size"], split=BY_ORDER), out)
    assert load_labels(out).classes == ("a", "b", "c")
    for source, (_, sample) in stored(out).items():
        number = int(source[7:10])
        assert (sample.label, sample.labels, sample.values) == (number % 2, [0, 2], [number])


@pytest.mark.parametrize("chosen", [["5", "3"], ["8", "3"]])
def test_chosen_classes_keep_their_samples_in_the_given_order(tmp_path: Path, out: Path, chosen: list[str]) -> None:
    write_idx(tmp_path / "raw", "train", [3, 5, 8] * 10)
    prepare("tiny", config(format="idx", root=str(tmp_path / "raw"), classes=chosen, split=BY_ORDER), out)
    assert load_labels(out).classes == load_labels(out).source_ids == tuple(chosen)
    samples = stored(out)
    assert len(samples) == 20
    for source, (_, sample) in samples.items():
        assert chosen[sample.label] == "358"[int(source.split("/")[1]) % 3]


def test_chosen_classes_keep_their_boxes_and_pixels() -> None:
    whole = open_source(config(format="scenes", root="x", count=20))
    cut = open_source(config(format="scenes", root="x", count=20, classes=["7", "2"]))
    assert len(cut) == 20
    assert cut.labels.values == whole.labels.values
    assert cut.labels.map_classes == ("background", "7", "2")
    for index in range(20):
        old, new = whole.sample(index), cut.sample(index)
        kept = [place for place, label in enumerate(old.box_labels) if label in (7, 2)]
        assert new.box_labels == [[7, 2].index(old.box_labels[place]) for place in kept]
        assert new.instances == [old.instances[place] for place in kept]
        assert old.boxes is not None
        np.testing.assert_array_equal(new.boxes, old.boxes[kept])
        assert new.label == {7: 0, 2: 1}.get(old.label, -1)
        np.testing.assert_array_equal(new.semantic, np.select([old.semantic == 8, old.semantic == 3], [1, 2], 0))


def test_pixels_of_other_classes_are_ignored(tmp_path: Path) -> None:
    dataset = write_masks(tmp_path / "raw")
    whole, cut = open_source(dataset), open_source(dataset.model_copy(update={"classes": ["dog", "background"]}))
    for index in range(len(whole)):
        old, new = whole.sample(index).semantic, cut.sample(index).semantic  # cat, background, dog
        np.testing.assert_array_equal(new, np.select([old == 2, old == 1], [0, 1], 255))


def test_one_class_suffices_for_boxes_but_not_for_labels(tmp_path: Path, out: Path) -> None:
    prepare("tiny", write_coco(tmp_path / "coco").model_copy(update={"classes": ["dog"]}), out)
    assert load_labels(out).classes == ("dog",)
    write_idx(tmp_path / "raw", "train", [3, 5, 8] * 10)
    with pytest.raises(UserError, match=r"raw: only one class \(3\); classification needs two or more"):
        open_source(config(format="idx", root=str(tmp_path / "raw"), classes=["3"]))


def test_classes_are_sorted_by_number_or_by_name() -> None:
    assert sorted_classes(["10", "9", "-1"]) == ("-1", "9", "10")
    assert sorted_classes(["10", "9", "b"]) == ("10", "9", "b")


@pytest.mark.parametrize(("gz", "mark", "test"), [(True, "-", "t10k"), (False, ".", "test"), (False, "-", "t10k")])
def test_idx_round_trip(tmp_path: Path, out: Path, gz: bool, mark: str, test: str) -> None:
    root = tmp_path / "raw"
    labels = [3, 5, 8] * 10
    write_idx(root, "train", labels, gz, mark)
    write_idx(root, test, labels[:6], gz, mark)
    prepare("tiny", config(format="idx", root=str(root)), out)
    assert load_labels(out).classes == ("3", "5", "8")
    samples = stored(out)
    assert len(samples) == 36
    for source, (split, sample) in samples.items():
        file, number = source.split("/")
        prefix = "train" if file == "train" else test
        wanted = pixels(int(number) + len(prefix) * 1000, 6)[..., 0]
        assert (split == "test") == (file == "test")
        assert sample.label == int(number) % 3
        np.testing.assert_array_equal(decode(sample.image, 1)[..., 0], wanted)


def test_order_is_that_of_the_paths(folder: Path) -> None:
    source = open_source(config(format="image_folder", root=str(folder)))
    names = [source.sample(index).source for index in range(len(source))]
    assert names == sorted(names)
    assert names == [source.sample(index).source for index in range(len(source))]
