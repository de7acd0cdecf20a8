"""Broken raw data: one clear line that names place, value and remedy, and the earlier result untouched."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from raw_folders import config, contents, png, write_folder, write_idx
from warm_python import warm_python

from sightline.data.raw.preparation import prepare
from sightline.system.errors import UserError

PROJECT = Path(__file__).parents[2]


def _table(text: str, **values: Any) -> Callable[[Path], dict[str, Any]]:
    def make(root: Path) -> dict[str, Any]:
        write_folder(root)
        (root / "labels.csv").write_bytes(text.encode("latin-1"))
        return {"format": "csv", **values}

    return make


def _images(spoil: Callable[[Path], object], **values: Any) -> Callable[[Path], dict[str, Any]]:
    def make(root: Path) -> dict[str, Any]:
        write_folder(root)
        spoil(root)
        return {"format": "image_folder", **values}

    return make


def _idx(spoil: Callable[[Path], object], gz: bool = False) -> Callable[[Path], dict[str, Any]]:
    def make(root: Path) -> dict[str, Any]:
        write_idx(root, "train", [0, 1] * 20, gz)
        write_idx(root, "t10k", [0, 1] * 5, gz)
        spoil(root)
        return {"format": "idx"}

    return make


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(change((root / name).read_bytes()))


def _move(old: Path, new: Path) -> None:
    new.parent.mkdir(exist_ok=True)
    old.rename(new)


def _all_bad(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")


def _contradict(root: Path) -> None:
    for path in (root / "class0").iterdir():
        (root / "class1" / path.name).write_bytes(path.read_bytes())


def _file_as_root(root: Path) -> dict[str, Any]:
    root.write_text("x")
    return {"format": "image_folder"}


def _splits_as_images(root: Path) -> None:
    for folder in list(root.iterdir()):
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(root / f"{folder.name}{number}.png")
        folder.rmdir()


def _two_valid(root: Path) -> None:
    shutil.rmtree(root)
    write_folder(root, parts=("train", "val", "validation"))


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "home folder": (
        lambda _: {"format": "image_folder", "root": "~/x"},
        r"~/x: ~ is not expanded here",
    ),
    "root missing": (lambda _: {"format": "image_folder"}, r"raw: no such folder; put the raw files there, or correct"),
    "root is a file": (_file_as_root, r"raw: is a file, not a folder; put"),
    "no class folders": (
        _images(_splits_as_images),
        r"raw: no class folders, but 24 images outside of them",
    ),
    "no images": (
        _images(lambda root: [path.unlink() for path in root.rglob("*.png")]),
        r"raw: no images in the class folders \(class0/, class1/\); expected",
    ),
    "one class": (
        _images(lambda root: shutil.rmtree(root / "class1")),
        r"raw: only one class \(class0\); classification needs two",
    ),
    "mixed layout": (
        _images(lambda root: (root / "train").mkdir()),
        r"mixed layout: train/ next to class0/, class1/; .* in params.yaml: `classes: \[class0, class1, train\]`",
    ),
    "mixed inside": (
        _images(lambda root: _move(root / "class0/000.png", root / "class0/test/000.png")),
        r"mixed layout: class0/test/000.png is in the folder of a split, class0/001.png is not; put all",
    ),
    "a folder around all": (
        _images(lambda root: [_move(root / name, root / "archive" / name) for name in ("class0", "class1")]),
        r"raw: only the class 'archive', with class0/, class1/ inside; .* set `root: .*raw/archive`",
    ),
    "one split twice": (_images(_two_valid), r"raw: train/, val/, validation/ are the same split; merge them"),
    "empty image, strict": (
        _images(lambda root: (root / "class0" / "000.png").write_bytes(b""), on_bad_sample="fail"),
        r"raw/class0/000.png: has 0 bytes; copy the file again",
    ),
    "contradiction, strict": (
        _images(lambda root: (root / "class0" / "000.png").write_bytes(png(12)), on_bad_sample="fail"),
        r"raw/class0/000.png: labelled 'class0', but its copy class1/000.png 'class1'; decide.*\n.*raw/class1/000.png",
    ),
    "all bad": (_images(_all_bad), r"raw: all 24 samples are bad; the first: .*raw/class0/000.png: has 0 bytes; copy"),
    "nothing but contradictions": (
        _images(_contradict),
        r"raw: all 24 samples are bad; the first: .*raw/class0/000.png: labelled 'class0', but its copy class1/000.png",
    ),
    "empty part": (
        _images(lambda _: None, split={"train": 0.8, "val": 0.2, "test": 0.0}),
        r"datasets.tiny.split.test: none of the 24 good samples is in test; raise datasets.tiny.split.test",
    ),
    "table missing": (_table("", table="other.csv"), r"raw/other.csv: no such table; add it, or set `ta"),
    "table empty": (_table(""), r"labels.csv: line 1: column 'path' is missing, got nothing; name it"),
    "table without rows": (_table("path,label\n"), r"labels.csv: has no rows below its header; list one image per"),
    "column missing": (
        _table("path,lable\nclass0/000.png,a\n"),
        r"labels.csv: line 1: column 'label' is missing, got path, lable \(did you mean lable\?\); name it in .* class",
    ),
    "two columns for the label": (
        _table("image,class,target\nclass0/000.png,a,b\n"),
        r"several columns \('class', 'target'\) may be the label; rename one of them to label",
    ),
    "numbers without values": (
        _table("path,age\nclass0/000.png,31\n"),
        r"column 'label' is missing.* to learn numbers, set `values: \[age\]` in params.yaml",
    ),
    "decimal comma": (
        _table("path;age\nclass0/000.png;1,78\n", values=["age"]),
        r"line 2: age '1,78': is not a finite number; write 1.78, with a point",
    ),
    "name of several files": (
        _table("path,label\n000,a\n"),
        r"line 2: path '000': may be class0/000.png or class1/000.png; give the full path below .*raw",
    ),
    "drive letter": (
        _table("path,label\nC:\\x.png,a\n"),
        r"line 2: path 'C:.*': is outside .*raw; give "
        r"a path below it",
    ),
    "box of each line": (
        _table("path,label,xmin\nclass0/000.png,a,1\nclass0/000.png,b,2\n"),
        r"line 3: path 'class0/000.png': is on line 2 too, with another xmin; keep one",
    ),
    "label empty": (_table("path,label\nclass0/000.png,\n"), r"line 2: label '': is empty; give the class"),
    "value is no number": (
        _table("path,age\nclass0/000.png,old\n", values=["age"]),
        r"labels.csv: line 2: age 'old': is not a finite number; correct it",
    ),
    "value is not finite": (
        _table("path,age\nclass0/000.png,nan\n", values=["age"]),
        r"labels.csv: line 2: age 'nan': is not a finite number",
    ),
    "value column missing": (
        _table("path,age\nclass0/000.png,1\n", values=["aeg"]),
        r"labels.csv: line 1: column 'aeg' is missing, got path, age \(did you mean age\?\)",
    ),
    "unknown split": (
        _table("path,label,split\nclass0/000.png,a,trian\n"),
        r"line 2: split 'trian': is not a split, use one of train, val, test \(did you mean train\?\)",
    ),
    "path leaves root": (
        _table("path,label\n../x.png,a\n"),
        r"line 2: path '../x.png': is outside .*raw; give a path",
    ),
    "path twice": (
        _table("path,label\nclass0/000.png,a\nclass0/001.png,b\nclass0/./000.png,b\n"),
        r"line 4: path 'class0/000.png': is on line 2 too; keep one",
    ),
    "cells missing": (_table("path,label,split\nclass0/000.png,a\n"), r"line 2: fewer cells than the header has col"),
    "cells too many": (_table("path,label\nclass0/000.png,a,b\n"), r"line 2: more cells than the header has columns"),
    "open quote": (_table('path,label\n"class0/000.png,a\n'), r"line \d: not CSV: .*; check quotes and commas"),
    "not UTF-8": (_table("path,label\nclass0/000.png,caf\xe9\n"), r"labels.csv: not UTF-8 text \(byte 29\); save"),
    "idx missing": (
        _idx(lambda root: [(root / name).unlink() for name in (IMAGES, LABELS)]),
        r"raw: no train-images-idx3-ubyte and train-labels-idx1-ubyte",
    ),
    "idx partner missing": (
        _idx(lambda root: (root / LABELS).unlink()),
        rf"raw/{IMAGES}: {LABELS}, which belongs to it, is missing; put both",
    ),
    "idx magic": (
        _idx(_edit(IMAGES, lambda data: b"\x89PNG" + data[4:])),
        rf"raw/{IMAGES}: begins with 89504e47, expected 00000803",
    ),
    "idx truncated": (
        _idx(_edit(IMAGES, lambda data: data[:-1])),
        rf"raw/{IMAGES}: is truncated: its header says 40 x 6 x 6 = 1440 bytes, but 1439 follow; download",
    ),
    "idx too long": (
        _idx(_edit(LABELS, lambda data: data + b"x")),
        rf"raw/{LABELS}: has too many bytes: its header says 40 = 40 bytes, but 41 follow; download",
    ),
    "idx counts differ": (
        _idx(_edit(LABELS, lambda data: data[:4] + (39).to_bytes(4, "big") + data[8:-1])),
        rf"raw/{LABELS}: 39 labels, but {IMAGES} has 40 images; take both",
    ),
    "idx gzip damaged": (
        _idx(_edit(f"{IMAGES}.gz", lambda data: data[: len(data) // 2]), gz=True),
        rf"raw/{IMAGES}.gz: damaged gzip file \(.*\); download it again",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_told_in_one_line_and_nothing_touched(tmp_path: Path, out: Path, case: str) -> None:
    prepare("tiny", config(format="image_folder", root=str(write_folder(tmp_path / "good"))), out)
    before = contents(out)
    make, told = CASES[case]
    values = make(tmp_path / "raw")
    with pytest.raises(UserError) as error:
        prepare("tiny", config(**{"root": str(tmp_path / "raw"), **values}), out)
    assert re.search(told, str(error.value)), str(error.value)
    assert len(error.value.lines) == 1 + told.count(r"\n")
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


def test_many_mistakes_are_cut(tmp_path: Path, out: Path) -> None:
    write_folder(tmp_path / "raw")
    rows = "".join(f"class0/{number:03}.png,\n" for number in range(12))
    (tmp_path / "raw" / "labels.csv").write_text("path,label\n" + rows)
    with pytest.raises(UserError) as error:
        prepare("tiny", config(format="csv", root=str(tmp_path / "raw")), out)
    assert len(error.value.lines) == 11
    assert error.value.lines[-1].endswith("labels.csv: and 2 more errors")
    _all_bad(tmp_path / "raw" / "class0")
    values = {"format": "image_folder", "root": str(tmp_path / "raw"), "on_bad_sample": "fail"}
    with pytest.raises(UserError) as error:
        prepare("tiny", config(**values), out)
    assert len(error.value.lines) == 11
    assert error.value.lines[-1].endswith("raw: and 2 more bad samples or annotations")


PARAMS = """
seed: 1
trainer: {}
evaluation: {}
datasets:
  cells: {format: image_folder, root: raw}
models:
  cell-classifier:
    dataset: cells
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    input: {size: 28, channels: 1}
    augment: none
    optimizer: {name: adam}
"""


def run_script(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [warm_python(), str(PROJECT / "pipelines" / "prepare.py"), *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_script_ends_with_code_2_and_lines(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    missing = run_script(tmp_path, "cells")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == (
        "datasets.cells.root: raw: no such folder; put the raw files there, or correct `root` in params.yaml\n"
    )
    unknown = run_script(tmp_path, "cell")
    assert unknown.returncode == 2
    assert unknown.stderr == "'cell' is not in datasets of params.yaml (did you mean cells?)\n"
    write_folder(tmp_path / "raw")
    done = run_script(tmp_path, "cells")
    assert (done.returncode, done.stderr) == (0, "")
    assert "class0" in done.stdout
    assert "data/prepared/cells/report.md" in done.stdout
    assert (tmp_path / "data/prepared/cells/card.json").is_file()
