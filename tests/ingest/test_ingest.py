"""New files become batches: once, checked, and without moving what was there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from delivery import Site
from raw_folders import contents, pixels, png

from sightline.data.encoding import encode_png
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS
from sightline.system.errors import UserError


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write_first()
    return site


def test_good_files_become_a_batch_and_the_inbox_is_empty(site: Site) -> None:
    first = site.samples()
    site.drop("class1/new.png", 100)
    site.drop("class1/sub/more.png", 101)
    (batch,) = site.ingest()
    assert (batch.dataset, batch.samples, batch.quarantined) == ("tiny", 2, 0)
    added = {f".batches/{batch.name}/class1/{name}": ("class1", batch.name) for name in ("new.png", "sub/more.png")}
    assert site.samples() == first | added
    assert site.waiting() == []
    assert site.record() == [(batch.name, "accept")]
    assert not site.quarantine.exists()


def test_the_same_files_are_taken_once(site: Site) -> None:
    site.drop("class0/new.png", 100)
    site.drop("class0/again.png", 100)  # twice in one delivery
    site.drop("class1/old.png", 15)  # as an image of the first data
    (batch,) = site.ingest()
    assert (batch.samples, batch.known) == (1, 2)
    before = contents(site.raw)
    site.drop("class0/renamed.png", 100)
    assert site.ingest() == []
    assert site.ingest() == []
    assert contents(site.raw) == before
    assert site.waiting() == []
    assert site.told[-1] == "tiny: 1 image is in the data set already, not added again"


def test_bad_files_go_to_quarantine_with_the_reason(site: Site) -> None:
    site.drop("class0/good.png", 100)
    site.drop("class0/half.png", png(101)[:-40])
    site.drop("class0/none.png", b"")
    site.drop("class1/contradicts.png", 0)  # an image of class0
    site.drop("class0/both.png", 102)
    site.drop("class1/both.png", 102)
    site.drop("class7/unknown.png", 103)
    site.drop("notes.txt", b"from camera 3")
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (1, 6)
    assert site.findings(batch.name) == {
        "class0/half.png": "truncated",
        "class0/none.png": "empty",
        "class1/contradicts.png": "conflict",
        "class0/both.png": "conflict",
        "class1/both.png": "conflict",
        "class7/unknown.png": "new_class",
        "notes.txt": "ignored",
    }
    left_out = {name for name in contents(site.quarantine / batch.name) if name != "findings.csv"}
    assert left_out == set(site.findings(batch.name))
    assert {path for path in site.samples() if batch.name in path} == {f".batches/{batch.name}/class0/good.png"}
    assert site.waiting() == []


def test_an_image_without_a_class_is_told_where_to_go_and_every_file_is_counted(site: Site) -> None:
    site.drop("class0/good.png", 100)
    site.drop("class0/half.png", png(101)[:-40])
    site.drop("loose.jpg", 102)
    (batch,) = site.ingest()
    assert site.told[0] == "tiny: 3 new files in data/inbox/tiny"
    assert "2 files in quarantine (1 bad sample and 1 other file), see data/inbox/" in site.told[1]
    assert site.told[2] == f"tiny: batch {batch.name}: 1 image added"
    rows = (site.quarantine / batch.name / "findings.csv").read_text().splitlines()
    assert "loose.jpg,file,loose,is in no class folder,move it into the folder of its class" in rows


def test_a_delivery_of_bad_files_alone_makes_no_batch(site: Site) -> None:
    before = contents(site.raw)
    site.drop("class0/none.png", b"")
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (0, 1)
    assert contents(site.raw) == before
    assert not (site.raw / ".batches").exists()
    assert site.record() == []
    site.drop("class0/none.png", b"")
    assert site.ingest() == [batch]  # the same name, so quarantine does not grow
    assert [path.name for path in site.quarantine.iterdir()] == [batch.name]


def test_files_that_cannot_be_read_as_a_whole_are_quarantined(site: Site) -> None:
    site.drop("train/class0/a.png", 100)
    site.drop("class0/b.png", 101)
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (0, 2)
    text = (site.quarantine / batch.name / "findings.csv").read_text()
    assert "data/inbox/tiny: mixed layout: train/ next to class0/" in text
    assert (site.quarantine / batch.name / "train/class0/a.png").read_bytes() == png(100)
    assert site.waiting() == []


@pytest.mark.parametrize("by", ["stratified", "hash", "order"])
def test_old_samples_keep_id_and_split(tmp_path: Path, by: str) -> None:
    split = {"train": 0.5, "val": 0.25, "test": 0.25, "by": by}
    site = Site(tmp_path, split=split)
    site.write_first()
    dataset = site.params.datasets["tiny"].model_copy(update={"root": str(site.raw)})

    def placed(name: str) -> dict[str, str]:
        card = prepare("tiny", dataset, tmp_path / name)
        stores = {part: SplitStore(tmp_path / name / part) for part in SPLITS}
        assert {one for store in stores.values() for one in store.column("batch")} == {"", *card.batches}
        return {one: part for part, store in stores.items() for one in store.ids}

    before = placed("one")
    for number in range(12):
        site.drop(f"class{number % 2}/{number}.png", 100 + number)
    site.ingest()
    after = placed("two")
    assert len(after) == len(before) + 12
    assert {one: after[one] for one in before} == before
    site.drop("train/class0/x.png", 200)  # a batch with parts of its own
    site.drop("test/class1/y.png", 201)
    (batch,) = site.ingest()
    last = placed("three")
    assert {one: last[one] for one in after} == after
    report = (tmp_path / "three/report.md").read_text()
    assert f"| {batch.name} |" in report


def test_classes_are_told_by_name(site: Site) -> None:
    site.drop("class1/only.png", 100)  # the only class of the delivery is class 0 there
    (batch,) = site.ingest()
    assert site.samples()[f".batches/{batch.name}/class1/only.png"] == ("class1", batch.name)
    assert site.source().sample_labels.count(1) == 13


def test_files_in_progress_and_folders_of_no_data_set_are_left_alone(site: Site) -> None:
    site.drop(".copying/class0/a.png", 100)
    site.drop("../tiny2/class0/a.png", 100)
    assert site.ingest() == []
    assert site.waiting() == [".copying/class0/a.png"]
    assert site.told == [
        "data/inbox/tiny2: ignored: no data set that takes new files has this name (did you mean tiny?)"
    ]


def test_a_linked_folder_loses_its_link_alone(site: Site, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "camera").mkdir(exist_ok=True)
        (tmp_path / "camera" / f"{name}.png").write_bytes(png(ord(name)))
    site.inbox.mkdir(parents=True)
    (site.inbox / "class0").symlink_to(tmp_path / "camera", target_is_directory=True)
    assert site.ingest()[0].samples == 2
    assert sorted(path.name for path in (tmp_path / "camera").iterdir()) == ["a.png", "b.png"]
    assert list(site.inbox.iterdir()) == []


def test_a_made_data_set_takes_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, format="digits", root="data/embedded")
    with pytest.raises(
        UserError, match=r"^datasets.tiny.format: digits is generated, not read; it does not take new files$"
    ):
        site.ingest(["tiny"])
    with pytest.raises(UserError, match=r"datasets.tyni: no such entry"):
        site.ingest(["tyni"])


def test_first_data_must_be_there(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.drop("class0/a.png", 100)
    with pytest.raises(UserError, match=r"no such folder; put the raw files there"):
        site.ingest()
    assert site.waiting() == ["class0/a.png"]


def test_strict_data_sets_quarantine_bad_annotations_too(tmp_path: Path) -> None:
    table = "path,label\na.png,x\nb.png,y\n"
    site = Site(tmp_path, format="csv", on_bad_sample="fail")
    site.raw.mkdir(parents=True)
    (site.raw / "labels.csv").write_text(table)
    for number, name in enumerate("ab"):
        (site.raw / f"{name}.png").write_bytes(png(number))
    site.drop("labels.csv", b"path,label\nc.png,y\nd.png,x\nlost.png,x\n")
    site.drop("c.png", 2)
    site.drop("d.png", png(3)[:-30])
    site.drop("unlisted.png", 4)
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (1, 2)
    assert site.findings(batch.name) == {
        "d.png": "truncated",
        "lost.png": "unreadable",
        "unlisted.png": "ignored",
    }
    assert {"d.png", "labels.csv", "unlisted.png"} <= set(contents(site.quarantine / batch.name))
    assert site.samples()[f".batches/{batch.name}/c.png"] == ("y", batch.name)


def test_names_that_are_not_utf8_are_quarantined_under_one_that_can_be_read(site: Site) -> None:
    site.drop(os.fsdecode(b"class0/caf\xe9.png"), 900)
    site.drop("class0/good.png", 901)
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (1, 1)
    folder = site.quarantine / batch.name
    assert (folder / "class0/caf\\xe9.png").is_file()
    assert "class0/caf\\xe9.png,sample,bad_name" in (folder / "findings.csv").read_text(encoding="utf-8")


def test_of_the_data_set_only_files_as_large_as_new_ones_are_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (site.raw / f"class0/larger{number}.png").write_bytes(encode_png(pixels(200 + number, 20)))
    site.drop("class1/old.png", 15)
    site.drop("class1/new.png", 100)
    sizes = {path.stat().st_size for path in site.inbox.rglob("*.png")}
    old = {path: path.stat().st_size for path in site.raw.rglob("*.png")}
    alike = {path for path, size in old.items() if size in sizes}
    assert 0 < len(alike) < len(old)
    read: list[Path] = []
    original = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    (batch,) = site.ingest()
    assert (batch.samples, batch.known) == (1, 1)
    assert {path for path in read if path in old} == alike
