"""A delivery in every format that is made of image files, with one damaged image among the new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import annotated_folders
import pytest
from annotated_folders import (
    coco_values,
    name_of,
    picture,
    write_coco,
    write_instances,
    write_masks,
    write_via,
    write_voc,
    write_yolo,
)
from delivery import Site
from raw_folders import config

from sightline.data.raw.checks import inspect
from sightline.data.raw.formats import open_source

FIRST, ALL, BAD = 8, 12, 10


def write_csv(root: Path) -> Any:
    annotated_folders.write_images(root)
    count = annotated_folders.COUNT
    rows = [f"images/{name_of(number)}.png,{'cat' if number % 2 else 'dog'}" for number in range(count)]
    (root / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    return config(format="csv", root=str(root))


def write_some_coco(root: Path) -> Any:
    return write_coco(root, coco_values(range(annotated_folders.COUNT)))


@pytest.mark.parametrize(
    ("write", "image", "beside"),
    [
        (write_csv, "images/010.png", {"labels.csv"}),
        (write_some_coco, "images/010.png", {"annotations.json"}),
        (write_voc, "JPEGImages/010.png", {"Annotations/010.xml"}),
        (write_yolo, "images/010.png", {"labels/010.txt", "data.yaml"}),
        (write_via, "images/010.png", {"via_region_data.json"}),
        (write_masks, "images/010.png", {"masks/010.png"}),
        (write_instances, "PNGImages/010.png", {"PedMasks/010_mask.png"}),
    ],
)
def test_a_data_set_grows_in_its_own_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Any], image: str, beside: set[str]
) -> None:
    whole = open_source(write(tmp_path / "whole"))
    wanted = {record.sha256: record for place in range(ALL) if (record := inspect(whole, place, 10**6)[0])}
    monkeypatch.setattr(annotated_folders, "COUNT", FIRST)
    plain = write(tmp_path / "data/raw/tiny")
    monkeypatch.setattr(annotated_folders, "COUNT", ALL)
    site = Site(tmp_path, **plain.model_dump(exclude={"root"}, exclude_unset=True), root="data/raw/tiny")
    write(site.inbox)
    (site.inbox / image).write_bytes(picture(BAD)[:-30])
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined, batch.known) == (ALL - FIRST - 1, 1, FIRST)
    left_out = {str(path.relative_to(site.quarantine / batch.name)) for path in site.quarantine.rglob("*.*")}
    assert left_out - {batch.name, "../findings.csv"} == {image, "findings.csv", *beside}
    source = site.source()
    records = [inspect(source, place, 10**6)[0] for place in range(len(source))]
    assert len(records) == ALL - 1
    for record in records:
        assert record is not None
        same = wanted[record.sha256]
        assert (record.label, record.truth, record.present) == (same.label, same.truth, same.present)
        assert record.batch == (batch.name if record.source.startswith(".batches/") else "")
    assert sum(record.batch == batch.name for record in records if record) == ALL - FIRST - 1
    assert site.ingest() == []


def test_ids_of_another_export_are_mapped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotated_folders, "COUNT", FIRST)
    site = Site(tmp_path, format="coco")
    write_coco(site.raw, coco_values(range(FIRST)))
    monkeypatch.setattr(annotated_folders, "COUNT", ALL)
    values = coco_values(range(FIRST, ALL))
    swapped = {7: 1, 90: 0}  # dog comes first in this export
    for category in values["categories"]:
        category["id"] = swapped[category["id"]]
    for annotation in values["annotations"]:
        annotation["category_id"] = swapped[annotation["category_id"]]
    values["categories"].append({"id": 5, "name": "bird"})
    values["annotations"].append({**values["annotations"][0], "image_id": FIRST + 2, "category_id": 5, "id": 999})
    write_coco(site.inbox, values)
    (batch,) = site.ingest()
    assert (batch.samples, batch.quarantined) == (3, 1)
    assert site.findings(batch.name)["images/009.png"] == "new_class"
    monkeypatch.undo()
    whole = open_source(write_coco(tmp_path / "whole"))
    source = site.source()
    assert source.labels == whole.labels
    (place,) = (one for one in range(len(source)) if source.sample(one).source.endswith("/011.png"))
    record, same = inspect(source, place, 10**6)[0], inspect(whole, 11, 10**6)[0]
    assert record is not None
    assert same is not None
    assert (record.truth, record.objects) == (same.truth, same.objects)
    semantic = source.sample(place).semantic
    assert semantic is not None
    assert (semantic == whole.sample(11).semantic).all()


def test_a_delivery_without_class_names_takes_those_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, format="yolo")
    monkeypatch.setattr(annotated_folders, "COUNT", FIRST)
    write_yolo(site.raw)
    monkeypatch.setattr(annotated_folders, "COUNT", ALL)
    write_yolo(site.inbox)
    (site.inbox / "data.yaml").unlink()
    assert site.ingest()[0].samples == ALL - FIRST


def test_a_delivery_takes_the_class_names_and_not_the_split_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are in none of the folders that the data set's own data.yaml names."""
    site = Site(tmp_path, format="yolo")
    monkeypatch.setattr(annotated_folders, "COUNT", FIRST)
    write_yolo(site.raw)
    for folder in ("images", "labels"):
        (site.raw / folder).rename(site.raw / "main")
        (site.raw / folder).mkdir()
        (site.raw / "main").rename(site.raw / folder / "main")
    (site.raw / "data.yaml").write_text("train: images/main\nnames: [cat, dog]\n")
    monkeypatch.setattr(annotated_folders, "COUNT", ALL)
    write_yolo(site.inbox)
    (site.inbox / "data.yaml").unlink()
    assert site.ingest()[0].samples == ALL - FIRST
    assert len(site.source()) == ALL
    batch = next((site.raw / ".batches").glob("[!.]*"))
    (batch / "data.yaml").write_text((site.raw / "data.yaml").read_text())  # as batches of before have it
    assert len(site.source()) == ALL
