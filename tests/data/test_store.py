"""The store gives back what was put in, in bytes that depend on nothing else."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from raw_folders import config, contents, record, write_folder

from sightline.data import rows
from sightline.data.raw.division import last_division
from sightline.data.raw.formats import open_source
from sightline.data.raw.preparation import prepare
from sightline.data.raw.shards import sample_id
from sightline.data.rows import bucket_bits
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS
from sightline.system.errors import UserError


def test_two_runs_give_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    dataset = config(format="image_folder", root=str(folder))
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    prepare("tiny", dataset, tmp_path / "one")
    prepare("tiny", dataset.model_copy(update={"root": str(moved)}), tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {
        *(f"{split}/00.arrow" for split in SPLITS),
        *("labels.json", "card.json", "division.json", "quarantine.csv", "report.md", "samples.png", "averages.png"),
    }


def test_growth_rewrites_few_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_SHARD_SAMPLES", 4)
    root = write_folder(tmp_path / "raw", each=30)
    dataset = config(format="image_folder", root=str(root))
    prepare("tiny", dataset, tmp_path / "one")
    write_folder(root, classes=1, each=1, first=900)
    prepare("tiny", dataset, tmp_path / "two", last=last_division(tmp_path / "one", None, ran=False))
    before, after = contents(tmp_path / "one"), contents(tmp_path / "two")
    arrows = {name for name in before if name.endswith(".arrow")}
    assert len(arrows) > 10
    assert sum(before[name] != after.get(name) for name in arrows) <= 1


def test_shards_hold_what_the_source_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(rows, "_SHARD_SAMPLES", 3)
    prepare("tiny", config(format="image_folder", root=str(folder)), tmp_path / "one")
    for split in SPLITS:
        store = SplitStore(tmp_path / "one" / split)
        assert store.ids == sorted(store.ids)
        assert len(set(store.ids)) == len(store) == len(store.labels) == len(store.sources)
        assert store.labels.dtype == np.int64
        for index, source in enumerate(store.sources):
            assert bytes(store.image(index)) == (folder / source).read_bytes()
            assert store.labels[index] == int(source[5])
        with pytest.raises(IndexError):
            store.image(len(store))
        again = pickle.loads(pickle.dumps(store))  # noqa: S301 - as worker processes do
        assert again.ids == store.ids
        assert again.digest == store.digest


@pytest.mark.parametrize("data_format", ["scenes", "figures"])
def test_every_field_comes_back(tmp_path: Path, data_format: str) -> None:
    split = {"train": 0.5, "val": 0.25, "test": 0.25, "by": "order"}
    dataset = config(format=data_format, root="x", count=30, split=split)
    source = open_source(dataset)
    prepare("tiny", dataset, tmp_path / "tiny")
    store = SplitStore(tmp_path / "tiny" / "train")
    for index, name in enumerate(store.sources):
        wanted, got = source.sample(int(name.split("/")[1])), store.sample(index)
        for field in vars(wanted):
            if field != "split":
                np.testing.assert_equal(getattr(got, field), getattr(wanted, field), err_msg=field)


def test_images_are_views_of_the_file(tmp_path: Path, folder: Path) -> None:
    prepare("tiny", config(format="image_folder", root=str(folder)), tmp_path / "tiny")
    first, second = (SplitStore(tmp_path / "tiny" / "train").image(0) for _ in range(2))
    assert first == second
    assert first.readonly
    import pyarrow as pa

    held = pa.total_allocated_bytes()
    store = SplitStore(tmp_path / "tiny" / "train")
    views = [store.image(index) for index in range(len(store))]
    assert pa.total_allocated_bytes() - held < min(map(len, views))


def test_bucket_bits() -> None:
    assert [bucket_bits(count, 0) for count in (1, 2048, 2049, 4097, 1_000_000)] == [0, 0, 1, 2, 9]
    assert bucket_bits(10, 200 * 2**20) == 2


def test_ids_tell_place_and_bytes() -> None:
    assert sample_id(record(1)) == sample_id(record(1, index=7, label=3))
    assert len({sample_id(one) for one in (record(1), record(1, source="x"), record(1, sha256="y"))}) == 3


def test_missing_and_damaged_stores_name_the_remedy(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match=r"no prepared samples; run dvc repro prepare@nothing"):
        SplitStore(tmp_path / "nothing" / "train")
    with pytest.raises(UserError, match=r"no prepared data set; run dvc repro prepare@nothing"):
        load_labels(tmp_path / "nothing")
    prepare("tiny", config(format="image_folder", root=str(folder)), tmp_path / "tiny")
    shard = tmp_path / "tiny" / "train" / "00.arrow"
    for damaged in (shard.read_bytes()[:-200], b"", b"nonsense" * 100):
        shard.write_bytes(damaged)
        with pytest.raises(UserError, match=r"00.arrow: damaged .*; run dvc repro prepare@tiny"):
            SplitStore(tmp_path / "tiny" / "train")
    (tmp_path / "tiny" / "labels.json").write_text("{}")
    with pytest.raises(UserError, match=r"labels.json: damaged .*; run dvc repro prepare@tiny"):
        load_labels(tmp_path / "tiny")
