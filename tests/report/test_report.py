"""All pictures of an evaluation, drawn from the files that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Prediction
from sightline.evaluation.report import draw_evaluation, read_table
from sightline.system.files import write_json
from sightline.tasks.metrics import detection

CURVES = pd.DataFrame({"epoch": [0, 1], "lr": 0.1, "train_loss": [2, 1], "val_loss": [2, 1.5], "val_found": [0, 0.5]})


def predictions(store: SplitStore) -> list[Prediction]:
    """Return the true objects a little off, the first of each image of another class."""
    generator = np.random.default_rng(0)
    said = []
    for index in range(len(store)):
        sample = store.sample(index)
        assert sample.boxes is not None
        boxes = sample.boxes + generator.normal(0, 2, sample.boxes.shape).astype(np.float32)
        labels = [(label + (place == 0)) % 10 for place, label in enumerate(sample.box_labels)]
        scores = np.sort(generator.random(len(labels)))[::-1].astype(np.float32)
        said.append(Prediction(boxes=boxes, box_labels=labels, box_scores=scores, instances=sample.instances))
    return said


@pytest.fixture(params=["boxes", "masks"])
def evaluated(request: pytest.FixtureRequest, scenes: Path, tmp_path: Path) -> tuple[Path, Any]:
    store = SplitStore(scenes / "test")
    said = predictions(store)
    names = ("id", "source", "boxes", "box_labels", "instances", "iscrowd", "difficult", "area")
    truth = pd.DataFrame({name: store.column(name) for name in names})
    shapes: Any = {"": "boxes"} if request.param == "boxes" else {"mask_": "instances", "box_": "boxes"}
    values, rows, tables = detection.measure(said, truth, load_labels(scenes).classes, shapes)
    headline = next(iter(values))
    interval = {headline: {"low": 0.1, "high": 0.9}}
    write_json(
        tmp_path / "metrics.json", {"headline": {"name": headline}, **values, "confidence": 0.9, "interval": interval}
    )
    rows.to_parquet(tmp_path / "predictions.parquet", index=False)
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False, float_format="%.6g")
    by_image = {bytes(store.image(index)): one for index, one in enumerate(said)}
    return tmp_path, lambda images: [by_image[bytes(image)] for image in images]


def test_known_tables_become_pictures_of_the_same_bytes(evaluated: tuple[Path, Any], scenes: Path) -> None:
    folder, predict = evaluated
    (folder / "unknown_table.csv").write_text("a,b\n1,2\n")
    draw_evaluation(folder, scenes, CURVES, predict)
    pictures = {path.stem: path.read_bytes() for path in folder.glob("*.png")}
    assert set(pictures) == {"average_precision", "curves", "per_class", "precision_recall", "quality", "worst"}
    assert all(min(Image.open(path).size) > 150 for path in folder.glob("*.png"))
    draw_evaluation(folder, scenes, CURVES, predict)
    assert {path.stem: path.read_bytes() for path in folder.glob("*.png")} == pictures


def test_names_stay_text_and_empty_numbers_are_nan(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("class,AP50,n\nNA,,3\n01,0.5,4\nnull,nan,\n")
    table = read_table(tmp_path / "table.csv", ("class",))
    assert table["class"].tolist() == ["NA", "01", "null"]
    np.testing.assert_array_equal(table["AP50"].to_numpy(float), [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(table["n"].to_numpy(float), [3, 4, np.nan])
    (tmp_path / "empty.csv").write_text("class,recall\n")
    assert read_table(tmp_path / "empty.csv", ("class",)).empty
