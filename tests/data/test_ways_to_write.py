"""Folders and tables as others write them: read as they are meant, or told."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_folders import config, png, write_folder

from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.batches import AddedBatch
from sightline.data.raw.formats.source import FileSource
from sightline.data.raw.formats.split_words import split_called
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS
from sightline.system.errors import UserError

WORDS = {
    "train": ["train", "Training", "TRAIN", "training_set", "train-set", "trainset", "train2017", "train_data"],
    "val": ["Val", "valid", "VALIDATION", "validation set", "dev", "val2017", "valid_images"],
    "test": ["Test", "Testing", "TEST", "test_set", "testset", " test "],
}


@pytest.mark.parametrize(("part", "word"), [(part, word) for part, words in WORDS.items() for word in words])
def test_words_for_splits(part: str, word: str) -> None:
    assert split_called(word) == part


@pytest.mark.parametrize("word", ["trains", "tester", "value", "contest", "train station", "", "2017"])
def test_other_words_are_none(word: str) -> None:
    assert split_called(word) is None


def opened(root: Path, **values: Any) -> FileSource:
    source = open_source(config(root=str(root), **values))
    assert isinstance(source, FileSource)
    return source


def codes(source: FileSource) -> list[tuple[str, str]]:
    return [(finding.code, finding.source) for finding in source.findings]


def write_images(root: Path, paths: Sequence[str]) -> Path:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(number))
    return root


def test_folders_called_like_splits_are_splits(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "raw", parts=("Training", "Valid", "TEST_set"), each=2)
    source = opened(root, format="image_folder")
    assert source.labels.classes == ("class0", "class1")
    wanted = {"Training": "train", "Valid": "val", "TEST_set": "test"}
    assert all(entry.split == wanted[entry.path.split("/")[0]] for entry in source.entries)


def test_splits_below_the_classes_are_followed(tmp_path: Path) -> None:
    root = write_images(tmp_path / "raw", [f"{name}/{part}/1.png" for name in "ab" for part in ("Train", "test")])
    source = opened(root, format="image_folder")
    assert [(entry.label, entry.split) for entry in source.entries] == [
        (0, "train"),
        (0, "test"),
        (1, "train"),
        (1, "test"),
    ]


def test_a_class_called_like_a_split_is_named(tmp_path: Path) -> None:
    root = write_images(tmp_path / "raw", ["bus/1.png", "car/1.png", "train/1.png"])
    with pytest.raises(UserError, match=r"`classes: \[bus, car, train\]`"):
        opened(root, format="image_folder")
    named = {"format": "image_folder", "classes": ["bus", "car", "train"]}
    assert open_source(config(root=str(root), **named)).labels.classes == ("bus", "car", "train")
    inner = write_images(
        tmp_path / "inner", [f"{part}/{name}/1.png" for part in ("train", "test") for name in ("bus", "train")]
    )
    divided = open_source(config(root=str(inner), format="image_folder", classes=["bus", "train"]))
    assert [divided.sample(index).split for index in range(4)] == ["test", "test", "train", "train"]


def test_what_systems_leave_behind_is_nothing(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "raw", each=2)
    left = ["__MACOSX/class0/._0.png", "@eaDir/x.png", ".ipynb_checkpoints/a.png", "lost+found/y.png", "class0/._1.png"]
    write_images(root, [*left, "class0/Thumbs.db", "class0/.DS_Store", "class1/@eaDir/000.png", "#recycle/a.png"])
    source = opened(root, format="image_folder")
    assert (source.labels.classes, len(source), source.ignored) == (("class0", "class1"), 4, [])


def test_an_empty_folder_is_no_class_unless_it_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "raw", each=2)
    (root / "zebra").mkdir()
    source = opened(root, format="image_folder")
    assert source.labels.classes == ("class0", "class1")
    assert codes(source) == [("empty_class", "zebra")]
    named = open_source(config(root=str(root), format="image_folder", classes=["class0", "class1", "zebra"]))
    assert named.labels.classes == ("class0", "class1", "zebra")


def test_accents_in_two_spellings_are_one_class(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    root = write_images(tmp_path / "raw", [f"train/{composed}/1.png", f"val/{apart}/1.png", "train/b/1.png"])
    assert opened(root, format="image_folder").labels.classes == ("b", composed)
    chosen = open_source(config(root=str(root), format="image_folder", classes=[apart, "b"]))
    assert len(chosen) == 3
    table = root / "labels.csv"
    table.write_text(f"path,label\ntrain/{apart}/1.png,{composed}\nval/{apart}/1.png,{apart}\ntrain/b/1.png,b\n")
    source = opened(root, format="csv")
    assert source.labels.classes == ("b", composed)
    assert all(source.sample(index).image for index in range(3))


def test_names_that_may_be_slips_are_told(tmp_path: Path) -> None:
    root = write_images(tmp_path / "raw", [f"{name}/1.png" for name in ("Cat", "cat", "nan", "none")])
    assert codes(opened(root, format="image_folder")) == [
        ("doubtful_class", "class Cat"),
        ("doubtful_class", "class nan"),
    ]


def table(root: Path, text: str | bytes, count: int = 4) -> FileSource:
    write_images(root, [f"im/{number}.png" for number in range(count)])
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return opened(root, format="csv")


ROWS = "path,label\nim/0.png,a\nim/1.png,b\nim/2.png,a\nim/3.png,b\n"
SAME = {
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "declared separator": "sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n"),
    "byte order mark": ROWS.encode("utf-8-sig"),
    "UTF-16": ROWS.encode("utf-16"),
    "UTF-16 without mark": ROWS.encode("utf-16-le"),
    "quotes and blanks": ROWS.replace("im/0.png,a", '"im/0.png", a').replace("path,label", " path , label "),
    "empty lines and columns": ROWS.replace("\n", ",\n") + ",,\n\n",
    "other names": ROWS.replace("path,label", "filename,class"),
    "names in capitals": ROWS.replace("path,label", "Image ID,Target"),
    "no suffix": ROWS.replace(".png", ""),
    "names alone": ROWS.replace("im/", ""),
    "names alone without suffix": ROWS.replace("im/", "").replace(".png", ""),
    "backslashes": ROWS.replace("im/", "im\\"),
    "from the folder": ROWS.replace("im/", "./im/"),
}


@pytest.mark.parametrize("case", SAME)
def test_ways_to_write_the_same_table(tmp_path: Path, case: str) -> None:
    source = table(tmp_path, SAME[case])
    assert source.labels.classes == ("a", "b")
    assert [(entry.path, entry.label, entry.attributes) for entry in source.entries] == [
        (f"im/{number}.png", number % 2, None) for number in range(4)
    ]


def test_the_only_other_column_is_the_label_if_it_repeats_words(tmp_path: Path) -> None:
    def rows(words: list[str]) -> str:
        return "image,kind\n" + "".join(f"im/{n}.png,{word}\n" for n, word in enumerate(words))

    source = table(tmp_path / "few", rows(["cat", "dog"] * 4), count=8)
    assert source.labels.classes == ("cat", "dog")
    assert "its column 'kind' is read as label" in [finding.reason for finding in source.findings]
    for name, words in {"names": list("abcdefgh"), "splits": ["train", "val"] * 4, "numbers": ["1", "2"] * 4}.items():
        with pytest.raises(UserError, match="column 'label' is missing, got image, kind"):
            table(tmp_path / name, rows(words), count=8)


def test_words_for_splits_in_a_table(tmp_path: Path) -> None:
    rows = zip(("Train", "valid", "TEST", "training"), ROWS.splitlines()[1:], strict=True)
    text = "path,label,Split\n" + "".join(f"{row},{word}\n" for word, row in rows)
    assert [entry.split for entry in table(tmp_path, text).entries] == ["train", "val", "test", "train"]
    kept = table(tmp_path, text.replace("Split", "subset"))
    assert [entry.split for entry in kept.entries] == [None] * 4
    assert [finding.reason for finding in kept.findings] == [
        "its column 'subset' looks like splits, but is kept as an attribute; rename it to split to use it"
    ]


SEVERAL = {
    "|": ["a|b", "b", "", "a"],
    "commas": ['"a, b"', "b", "", "a"],
    "semicolons": ["a;b", "b", "", "a"],
    "blanks": ["a b", "b", "", "a"],
    "lists": ["\"['a', 'b']\"", "['b']", "[]", "['a']"],
    "lists of NumPy": ["['a' 'b']", "['b']", "[]", "['a']"],
    "lists without quotes": ['"[a, b]"', "[b]", "[]", "[a]"],
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_labels_in_a_cell(tmp_path: Path, case: str) -> None:
    cells = SEVERAL[case]
    source = table(tmp_path, "path,labels\n" + "".join(f"im/{n}.png,{cell}\n" for n, cell in enumerate(cells)))
    assert source.labels.classes == ("a", "b")
    assert [entry.labels for entry in source.entries] == [(0, 1), (1,), (), (0,)]


def test_a_column_for_each_class(tmp_path: Path) -> None:
    rows = ["im/0.png,1,1,sun", "im/1.png,0,1,rain", "im/2.png,0,0,sun", "im/3.png,1,0,sun"]
    source = table(tmp_path, "\n".join(["path,cat,dog,weather", *rows]))
    assert source.labels.classes == ("cat", "dog")
    assert [entry.labels for entry in source.entries] == [(0, 1), (1,), (), (0,)]
    assert {entry.label for entry in source.entries} == {-1}
    assert source.entries[1].attributes == {"weather": "rain"}
    one = table(tmp_path, "\n".join(["image,cat,dog", "0,1.0,0.0", "1,0.0,1.0", "2,1.0,0.0", "3,0.0,1.0"]))
    assert [entry.label for entry in one.entries] == [0, 1, 0, 1]


def test_a_line_for_each_label(tmp_path: Path) -> None:
    rows = ["im/0.png,a", "im/0.png,b", "im/1.png,b", "im/2.png,a", "im/2.png,c", "im/3.png,c"]
    source = table(tmp_path, "\n".join(["path,label", *rows]))
    assert [(entry.label, entry.labels) for entry in source.entries] == [
        (-1, (0, 1)),
        (-1, (1,)),
        (-1, (0, 2)),
        (-1, (2,)),
    ]
    assert [finding.code for finding in source.findings] == ["table"]


def test_a_batch_means_the_same_as_the_first_files(tmp_path: Path) -> None:
    first = table(tmp_path / "first", "path,labels\n" + "".join(f"im/{n}.png,a|b\n" for n in range(4)))
    one = table(tmp_path / "one", ROWS)
    batch = AddedBatch(one, first, "", None)
    assert [(batch.sample(index).label, batch.sample(index).labels) for index in range(2)] == [(-1, [0]), (-1, [1])]
    with pytest.raises(UserError, match="several classes per image, but the data set has one; use a column label"):
        AddedBatch(first, one, "", None)


def test_whole_numbers_as_programs_write_them(tmp_path: Path) -> None:
    rows = [f"im/{n}.png,{label}" for n, label in enumerate(["0.0", "1.0", "10.0", "2.0"])]
    source = table(tmp_path, "\n".join(["path,label", *rows]))
    assert source.labels.classes == ("0", "1", "2", "10")
    assert [entry.label for entry in source.entries] == [0, 1, 3, 2]
    text = table(tmp_path, "\n".join(["path,label", "im/0.png,~", "im/1.png,true", "im/2.png,1.5", "im/3.png,1.0"]))
    assert text.labels.classes == ("1.0", "1.5", "true", "~")


@pytest.mark.parametrize(
    ("cells", "joint"),
    [
        (["a", "b", '"a,b"', "a"], ["a,b"]),
        (["a", "b", "a|b", "a;b"], ["a|b", "a;b"]),
        (["a", "b", "\"['a', 'b']\"", "a"], ["['a', 'b']"]),
        (['"cat, big"', "dog", "dog", "dog"], []),
    ],
)
def test_joint_labels_are_told(tmp_path: Path, cells: list[str], joint: list[str]) -> None:
    source = table(tmp_path, "path,label\n" + "".join(f"im/{n}.png,{cell}\n" for n, cell in enumerate(cells)))
    assert codes(source) == [("joint_label", f"class {label}") for label in joint]


def test_what_is_found_stands_on_the_page(tmp_path: Path, out: Path) -> None:
    root = write_folder(tmp_path / "raw")
    (root / "zebra").mkdir()
    shutil.copytree(root / "class0", root / "CLASS0")
    for path in (root / "CLASS0").iterdir():
        path.write_bytes(png(int(path.stem) + 500))
    prepare("tiny", config(format="image_folder", root=str(root)), out)
    page = (out / "report.md").read_text()
    assert "- `zebra`: no images in it" in page
    assert "- `class CLASS0`: differs from class0 only in upper and lower case" in page
    assert sum(len(SplitStore(out / part)) for part in SPLITS) == 36
