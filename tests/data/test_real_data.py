"""Real data sets in the public formats, where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from raw_folders import config

from sightline.data.raw.formats import open_source
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import SPLITS

DATA = Path(__file__).parents[3] / "shared/data"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project"),
]
CAMVID = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]


def test_bccd(out: Path) -> None:
    """Figures counted by hand from the XML files: 4,155 RBC, 372 WBC, 361 platelets; two boxes of a single pixel."""
    card = prepare("tiny", config(format="voc", root=str(DATA / "bccd/BCCD")), out)
    assert card.samples == {"train": 205, "val": 87, "test": 72}
    total = {name: sum(card.objects[split][name] for split in SPLITS) for name in card.classes}
    assert total == {"Platelets": 361, "RBC": 4155, "WBC": 372}
    assert (card.quarantined, card.dropped, card.findings["tiny"]["count"]) == (0, 0, 2)


def test_camvid(out: Path) -> None:
    splits = {split: split for split in SPLITS}
    masks = {split: f"{split}annot" for split in SPLITS}
    values = {"images": splits, "masks": masks, "names": CAMVID, "ignore_index": 11}
    card = prepare("tiny", config(format="mask_folder", root=str(DATA / "camvid"), **values), out)
    assert card.samples == {"train": 60, "val": 20, "test": 20}
    assert card.quarantined == 0
    store = SplitStore(out / "test")
    for index, source in enumerate(store.sources[:5]):
        raw = np.asarray(Image.open(DATA / "camvid" / source.replace("test/", "testannot/")))
        np.testing.assert_array_equal(store.sample(index).semantic, np.where(raw == 11, 255, raw))


@pytest.mark.parametrize(
    ("folder", "file", "points", "people"),
    [
        ("coco", "test_coco.json", 17, 14),
        ("aic", "test_aic.json", 14, 9),
        ("crowdpose", "test_crowdpose.json", 14, 5),
        ("ochuman", "test_ochuman.json", 17, 5),
        ("jhmdb", "test_jhmdb_sub1.json", 15, 3),
        ("mpii", "test_mpii_trb.json", 40, 5),
    ],
)
def test_pose_samples(folder: str, file: str, points: int, people: int) -> None:
    dataset: Any = config(format="coco", root=str(DATA / "pose_samples" / folder), annotations=file, images=".")
    source = open_source(dataset)
    assert len(source.labels.keypoints) == points
    assert source.labels.mirrored == () or len(source.labels.mirrored) == points
    found = [source.examined(index) for index in range(len(source))]
    assert sum(len(sample.box_labels) for sample, _ in found) == people
    for sample, _ in found:
        assert sample.keypoints is not None
        assert sample.keypoints.shape == (len(sample.box_labels), points, 3)
        assert sample.keypoints[..., 2].max() > 0


def test_one_class_of_coco128(out: Path) -> None:
    values = {"annotations": "annotations/instances_train2017.json", "images": "train2017", "classes": ["person"]}
    card = prepare("tiny", config(format="coco", root=str(DATA / "coco128"), **values), out)
    assert load_labels(out).source_ids == ("1",)
    assert sum(card.samples.values()) == 128
    assert sum(card.objects[split]["person"] for split in SPLITS) == 259  # annotations of category 1 in the file
