"""Images with texts: generated strips, lists and tables, from files through `prepare` and back."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from raw_folders import config, png, write_idx

from sightline.data.export import export_coco
from sightline.data.images import Resize, fit, place, sides
from sightline.data.raw.builtin_strings import StringsSource, of_mnist, scanned
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.batches import AddedBatch
from sightline.data.raw.formats.source import Source, Unreadable
from sightline.data.raw.formats.text_list import read_text_list
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS
from sightline.system.errors import UserError

FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


def write_images(root: Path, count: int = 12) -> Path:
    (root / "word images").mkdir(parents=True)
    for number in range(count):
        (root / "word images" / f"{number:02}.png").write_bytes(png(number))
    return root


# Generated strips.


def source(seed: int = 0, count: int = 60) -> StringsSource:
    return StringsSource(scanned(FRACTIONS, seed), FRACTIONS, count, 32, (3, 8), seed)  # type: ignore[arg-type]


def test_strips_depend_on_seed_and_number_alone() -> None:
    one, same, other = source(), source(count=200), source(1)
    assert [one.sample(9).text, one.sample(9).image] == [same.sample(9).text, same.sample(9).image]
    assert one.sample(9).image != other.sample(9).image


def test_each_digit_is_in_one_split_and_shows_what_the_text_says() -> None:
    digits = scanned(FRACTIONS, 0)  # type: ignore[arg-type]
    pictures = {split: {picture.tobytes() for picture in own.pictures} for split, own in digits.items()}
    assert sum(len(own.classes) for own in digits.values()) == 1797
    assert sum(map(len, pictures.values())) == len(set().union(*pictures.values()))
    for split, own in digits.items():
        share = np.bincount(own.classes, minlength=10) / np.bincount(
            np.concatenate([each.classes for each in digits.values()])
        )
        assert np.abs(share - FRACTIONS[split]).max() < 0.01, split


def test_strips_are_as_asked_for(strings: Path) -> None:
    labels = load_labels(strings)
    assert labels.characters == tuple("0123456789")
    assert labels.classes == ()
    counts = []
    for split in SPLITS:
        store = SplitStore(strings / split)
        counts.append(len(store))
        assert {len(text) for text in store.column("text")} <= {2, 3}
        assert set(store.column("height")) == {32}
        assert max(store.column("width")) <= 128
    assert counts == [42, 9, 9]
    card = json.loads((strings / "card.json").read_text())
    texts = "".join(SplitStore(strings / "train").column("text"))
    assert card["characters"]["train"] == {one: texts.count(one) for one in labels.characters}
    assert "## Characters" in (strings / "report.md").read_text()
    sheet = np.asarray(Image.open(strings / "samples.png").convert("RGB"))
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 200


def test_an_export_has_the_texts(strings: Path, tmp_path: Path) -> None:
    export_coco(strings, "test", tmp_path / "out")
    images = json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]
    assert sorted(one["text"] for one in images) == sorted(SplitStore(strings / "test").column("text"))


def test_digits_of_mnist_keep_their_split(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [digit % 10 for digit in range(100)])
    write_idx(tmp_path, "t10k", [digit % 10 for digit in range(20)])
    found = of_mnist(tmp_path, FRACTIONS, 0)  # type: ignore[arg-type]
    assert {split: len(own.classes) for split, own in found.items()} == {"train": 80, "val": 20, "test": 20}
    section = config(format="strings", digits="mnist", root=str(tmp_path), count=20, longest=4)
    assert {open_source(section).sample(number).split for number in range(20)} == {"train", "val", "test"}


def test_what_strips_cannot_be_made_of_is_told(tmp_path: Path) -> None:
    split = {"train": 0.999, "val": 0.0005, "test": 0.0005}
    with pytest.raises(UserError, match=r"split\.val: 0\.0005: not one digit is left"):
        open_source(config(format="strings", root="data/embedded", split=split))
    write_idx(tmp_path, "train", list(range(12)) * 4)
    with pytest.raises(UserError, match="has the class 11, but strings are made of the digits 0 to 9"):
        open_source(config(format="strings", digits="mnist", root=str(tmp_path)))


# Lists and tables.

WORDS = ['say "hi"', "two words", "naïve", "a,b", "100%", "ends."]


def listed(root: Path, name: str, lines: list[str], mark: str = "\n") -> Path:
    (root / name).write_bytes((mark.join(lines) + mark).encode("utf-8-sig"))
    return root / name


@pytest.mark.parametrize("way", ["tab", "quoted", "blank"])
def test_each_way_of_writing_a_list_is_read(way: str, tmp_path: Path) -> None:
    root = write_images(tmp_path)
    lines = []
    for number in range(12):
        path, word = f"word images/{number:02}.png", WORDS[number % len(WORDS)]
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        lines.append({"tab": f"{path}\t{word}", "quoted": f'{path}, "{escaped}"', "blank": f"{path} {word}"}[way])
    listed(root, "labels.txt", lines, "\r\n")
    found = open_source(config(format="text_list", root=str(root)))
    assert [found.sample(number).text for number in range(12)] == [WORDS[n % len(WORDS)] for n in range(12)]
    assert found.labels.characters == tuple(sorted(set("".join(WORDS))))


def test_lists_per_split_beside_their_images(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 50)):
        folder = tmp_path / split
        folder.mkdir()
        for number in range(10):
            (folder / f"{number}.png").write_bytes(png(first + number))
        listed(folder, "gt.txt", [f'{number}.png, "t{number % 4}"' for number in range(10)])
    section = config(
        format="text_list",
        root=str(tmp_path),
        lists={"train": "train/gt.txt", "test": "test/gt.txt"},
        split={"train": 0.7, "val": 0.3, "test": 0.0},
    )
    card = prepare("words", section, tmp_path / "out")
    assert card.samples == {"train": 7, "val": 3, "test": 10}
    assert set(SplitStore(tmp_path / "out" / "test").column("text")) == {"t0", "t1", "t2", "t3"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "labels.txt: is empty; write PATH TEXT for each image"),
        (["word images/00.png one", "two"], "line 2: 'two': is no path and text, divided by a blank behind the suffix"),
        (["word images/00.png\t"], r"line 1: 'word images/00.png', '': is empty; give the text"),
        (["word images/00.png\ta\x02b"], r"has the character U\+0002, which nobody sees"),
        (["../secret.png x"], r"line 1: '../secret.png', 'x': is outside"),
        (["word images/00.png x", "word images/00.png y"], "line 2: .* is listed before with 'x'; keep one"),
    ],
)
def test_mistakes_in_a_list_are_told(lines: list[str], told: str, tmp_path: Path) -> None:
    root = write_images(tmp_path)
    (root / "labels.txt").write_text("\n".join(lines))
    with pytest.raises(UserError, match=told):
        open_source(config(format="text_list", root=str(root)))


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gt\.txt: no such list; add it, or set `lists`"):
        read_text_list(tmp_path / "gt.txt")


def test_accents_are_one_character_however_they_are_written(tmp_path: Path) -> None:
    root = write_images(tmp_path, 2)
    words = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    listed(root, "labels.txt", [f"word images/{n:02}.png {word}" for n, word in enumerate(words)])
    assert open_source(config(format="text_list", root=str(root))).labels.characters == ("é",)


def write_table(root: Path, header: str, rows: list[str]) -> Path:
    write_images(root, len(rows))
    cells = [f"word images/{number:02}.png,{row}" for number, row in enumerate(rows)]
    (root / "labels.csv").write_text("\n".join([f"path,{header}", *cells]))
    return root


def test_a_column_text_is_read_where_nothing_else_is_to_be_learned(tmp_path: Path) -> None:
    root = write_table(tmp_path / "a", "text,camera", ['"007",1', '"a, b",2'])
    found = open_source(config(format="csv", root=str(root)))
    assert [found.sample(number).text for number in (0, 1)] == ["007", "a, b"]
    assert found.sample(0).attributes == {"camera": "1"}
    root = write_table(tmp_path / "b", "label,text", ["x,one", "y,two"])
    labelled = open_source(config(format="csv", root=str(root)))
    assert (labelled.sample(0).text, labelled.sample(0).attributes) == ("", {"text": "one"})
    chosen = open_source(config(format="csv", root=str(root), text="text"))
    assert (chosen.sample(0).text, chosen.labels.characters) == ("one", tuple("enotw"))


@pytest.mark.parametrize(
    ("options", "told"),
    [({}, "line 3: text '': is empty; give the text"), ({"text": "word"}, "column 'word' is missing, got path, text")],
)
def test_mistakes_in_a_table_are_told(options: dict[str, str], told: str, tmp_path: Path) -> None:
    root = write_table(tmp_path, "text", ["one", '""'])
    with pytest.raises(UserError, match=told):
        open_source(config(format="csv", root=str(root), **options))


# What becomes of characters.


def test_a_character_that_train_lacks_is_found(tmp_path: Path) -> None:
    root = write_table(tmp_path / "raw", "text,split", ["ab,train"] * 8 + ["ab,val", "a,val", "bq,test", "b,test"])
    prepare("words", config(format="csv", root=str(root)), tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    [found] = card["findings"]["character_without_train"]["first"]
    assert found["source"] == "character 'q'"
    assert found["reason"] == "in no training text, but in word images/10.png in test"


def test_a_batch_with_a_new_character_is_rejected(tmp_path: Path) -> None:
    def opened(name: str, rows: list[str]) -> Source:
        return open_source(config(format="csv", root=str(write_table(tmp_path / name, "text", rows))))

    batch = AddedBatch(opened("b", ["ba", "xa"]), opened("a", ["ab", "b"]), "new", None)
    assert batch.sample(0).text == "ba"
    with pytest.raises(Unreadable, match="'x' in 'xa': not a character of this data set") as told:
        batch.sample(1)
    assert told.value.code == "new_character"


def test_shards_without_texts_are_written_as_before_there_were_any(digits: Path, strings: Path) -> None:
    names = [pa.ipc.open_file(str(next((folder / "val").glob("*.arrow")))).schema.names for folder in (digits, strings)]
    assert ["text" in own for own in names] == [False, True]
    assert set(SplitStore(digits / "val").column("text")) == {""}


# Inputs that are no squares.


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (32, 128), (31, 200)])
def test_pixels_of_a_strip_are_where_their_placement_says(resize: Resize, shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 1), np.uint8)
    row, column = shape[0] // 2, shape[1] // 2
    image[row - 8 : row + 8, column - 6 : column + 6] = 255
    size = (32, 128)
    seen, spot = fit(image, size, resize), place(*shape, size, resize)
    assert seen.shape == (*size, 1)
    expected = spot.into_input(np.array([[column - 6, row - 8, column + 6, row + 8]], np.float32))[0]
    expected = expected.clip(0, [size[1], size[0]] * 2)
    rows, columns = (np.flatnonzero((seen[..., 0] > 160).any(axis)) for axis in (1, 0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(found, expected, atol=1.6)
    corners = np.array([[0.0, 0.0], [shape[1], shape[0]]], np.float32)
    np.testing.assert_allclose(spot.into_original(spot.into_input(corners)), corners, atol=1e-3)


def test_a_square_is_the_same_by_one_side_or_by_two() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 61, 3), np.uint8)
    for resize in ("letterbox", "stretch", "crop"):
        np.testing.assert_array_equal(fit(image, 32, resize), fit(image, (32, 32), resize))
        one, two = (place(40, 61, size, resize) for size in (32, (32, 32)))  # type: ignore[arg-type]
        assert (one.scale_x, one.scale_y, one.left, one.top) == (two.scale_x, two.scale_y, two.left, two.top)
        assert sides(one.size) == two.size
