"""Preflight: what is bad is left out and said, what is odd is kept and said."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from raw_folders import config, png, record, write_folder

from sightline.data.raw.duplicates import find_conflicts, find_copies, find_near_copies
from sightline.data.raw.preparation import prepare
from sightline.data.raw.signature import Signature, Signatures, sign
from sightline.system.errors import UserError


def photo(size: int = 64) -> Image.Image:
    rows, columns = np.mgrid[:size, :size] / size
    waves = np.stack([np.sin(9 * rows + 4 * columns), np.cos(13 * columns), np.sin(20 * rows * columns)], -1)
    return Image.fromarray(((waves + 1) * 127).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90, orientation: int | None = None) -> bytes:
    file = BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _truncated(path: Path) -> None:
    path.write_bytes(jpeg(photo())[:600])


def _bomb(path: Path) -> None:
    Image.new("1", (3000, 3000)).save(path)


def _dangling(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.parent / "nowhere")


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty": ("x.png", lambda path: path.write_bytes(b"")),
    "unreadable": ("x.png", lambda path: path.write_text("<html>not found</html>")),
    "dangling": ("x.png", _dangling),
    "truncated": ("x.jpg", _truncated),
    "truncated_png": ("x.png", lambda path: path.write_bytes(png(99, 40)[:2000])),
    "bomb": ("x.png", _bomb),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_sample_is_quarantined_or_stops_the_run(folder: Path, out: Path, kind: str) -> None:
    name, spoil = BAD[kind]
    spoil(folder / "class0" / name)
    code = {"dangling": "unreadable", "truncated_png": "truncated"}.get(kind, kind)
    values = {"format": "image_folder", "root": str(folder), "checks": {"max_pixels": 1_000_000}}
    card = prepare("tiny", config(**values), out)
    with (out / "quarantine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["source"], row["code"]) for row in rows] == [(f"class0/{name}", code)]
    assert card.findings[code]["count"] == card.quarantined == 1
    assert sum(card.total(split) for split in card.counts) == 24
    with pytest.raises(UserError) as error:
        prepare("tiny", config(**values, on_bad_sample="fail"), out)
    assert len(error.value.lines) == 1
    assert error.value.lines[0].startswith(f"{folder}/class0/{name}: ")


def test_odd_samples_are_kept_and_told(folder: Path, out: Path) -> None:
    (folder / "class0" / "turned.jpg").write_bytes(jpeg(photo(40).crop((0, 0, 40, 20)), orientation=6))
    (folder / "class0" / "named.png").write_bytes(jpeg(photo(48)))
    (folder / "class0" / "copy.png").write_bytes((folder / "class0" / "000.png").read_bytes())
    card = prepare("tiny", config(format="image_folder", root=str(folder)), out)
    told = {code: [first["source"] for first in found["first"]] for code, found in card.findings.items()}
    assert told["rotated"] == ["class0/turned.jpg"]
    assert told["wrong_suffix"] == ["class0/named.png"]
    assert told["duplicate"] == ["class0/copy.png"]
    assert card.quarantined == 0
    assert card.sizes["height"]["max"] == 48
    assert sum(card.total(split) for split in card.counts) == 27


def test_every_copy_with_another_label_goes(folder: Path, out: Path) -> None:
    (folder / "class1" / "copy.png").write_bytes((folder / "class0" / "000.png").read_bytes())
    card = prepare("tiny", config(format="image_folder", root=str(folder)), out)
    assert {first["source"] for first in card.findings["conflict"]["first"]} == {"class0/000.png", "class1/copy.png"}
    assert card.quarantined == 2


def test_copy_in_the_less_protected_split_goes(tmp_path: Path, out: Path) -> None:
    root = write_folder(tmp_path / "raw", parts=("train", "val", "test"), each=4)
    for part, name in (("train", "a"), ("val", "b")):
        (root / part / "class0" / f"{name}.png").write_bytes((root / "test/class0/000.png").read_bytes())
    card = prepare("tiny", config(format="image_folder", root=str(root)), out)
    assert {first["source"] for first in card.findings["leak"]["first"]} == {"train/class0/a.png", "val/class0/b.png"}
    assert card.total("test") == 8


def test_recompressed_and_scaled_copies_are_near(tmp_path: Path, out: Path) -> None:
    root = write_folder(tmp_path / "raw", parts=("train", "val", "test"), each=4)
    (root / "train/class0/photo.jpg").write_bytes(jpeg(photo(), 95))
    (root / "test/class0/photo.jpg").write_bytes(jpeg(photo().resize((48, 48)), 60))
    card = prepare("tiny", config(format="image_folder", root=str(root)), out)
    found = card.findings["near_duplicate"]["first"]
    assert [first["source"] for first in found] == ["test/class0/photo.jpg"]
    off = config(format="image_folder", root=str(root), checks={"near_duplicate_bits": -1})
    assert "near_duplicate" not in prepare("tiny", off, out).findings


def test_near_copies_agree_with_all_pairs() -> None:
    rng = np.random.default_rng(0)
    masters = [int(value) for value in rng.integers(0, 2**63, 20, np.uint64)]
    records, splits, own_of = [], [], []
    signatures = Signatures(300)
    for number in range(300):
        bits = masters[int(rng.integers(20))]
        for place in rng.integers(0, 64, int(rng.integers(0, 9))).tolist():
            bits ^= 1 << place
        grey = int(rng.integers(0, 3)) * 10
        records.append(record(number))
        own_of.append(Signature(bits, bytes([grey]) * 256))
        signatures.keep(number, own_of[-1])
        splits.append(("train", "val", "test")[int(rng.integers(3))])
    slow = set()
    rank = {"train": 0, "val": 1, "test": 2}
    for one, own in zip(records, splits, strict=True):
        for other, split in zip(records, splits, strict=True):
            mine, theirs = own_of[one.index], own_of[other.index]
            differing = (mine.bits ^ theirs.bits).bit_count()
            if rank[split] < rank[own] and differing <= 4 and mine.thumbnail == theirs.thumbnail:
                slow.add(one.source)
    assert {finding.source for finding in find_near_copies(records, splits, signatures, 4)} == slow  # type: ignore[arg-type]


def test_hash_ignores_size_and_notices_content() -> None:
    grey = cv2.cvtColor(np.asarray(photo()), cv2.COLOR_RGB2GRAY).astype(np.uint8)
    small = cv2.resize(grey, (40, 40), interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert (sign(grey).bits ^ sign(small).bits).bit_count() <= 4
    assert (sign(grey).bits ^ sign(np.ascontiguousarray(grey[:, ::-1])).bits).bit_count() > 8


def test_copies_in_groups_and_without_labels() -> None:
    copies = [record(0, sha256="a"), record(1, sha256="a"), record(2, sha256="a"), record(3)]
    found = find_copies(copies, ["train", "val", "val", "test"])
    assert [(finding.code, finding.source) for finding in found] == [("leak", "0000.png"), ("duplicate", "0002.png")]
    unlabelled = [record(0, sha256="a", label=-1), record(1, sha256="a", label=1)]
    assert len(find_conflicts(unlabelled, ["x", "y"])) == 2


def test_scarce_classes_are_told(folder: Path, out: Path) -> None:
    (folder / "rare").mkdir()
    (folder / "rare" / "one.png").write_bytes(png(500))
    (folder / "void").mkdir()
    card = prepare(
        "tiny", config(format="image_folder", root=str(folder), classes=["class0", "class1", "rare", "void"]), out
    )
    assert {first["source"] for first in card.findings["small_class"]["first"]} == {"class rare", "class void"}
    assert "class void" in {first["source"] for first in card.findings["class_without_train"]["first"]}
    assert "few samples of a class" in (out / "report.md").read_text().lower()


def test_group_in_several_predefined_splits_is_told(folder: Path, out: Path) -> None:
    rows = [f"class{n % 2}/{n:03}.png,{n % 2},{('train', 'val', 'test')[n // 2 % 3]},film{n}" for n in range(12)]
    rows += ["class0/001.png,0,train,film8", "class1/000.png,1,train,"]
    (folder / "labels.csv").write_text("\n".join(["path,label,split,group", *rows]))
    card = prepare("tiny", config(format="csv", root=str(folder)), out)
    told = {"source": "group film8", "reason": "class0/001.png in train, class0/008.png in val"}
    assert card.findings["divided_group"]["first"] == [told]


def test_links_that_lead_back_are_followed_once(folder: Path, out: Path) -> None:
    (folder / "class0" / "again").symlink_to(folder / "class0")
    card = prepare("tiny", config(format="image_folder", root=str(folder)), out)
    assert sum(card.total(split) for split in card.counts) == 24
