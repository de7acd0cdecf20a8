"""Every field of a prediction is told and compared: a new one that is forgotten is named here."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from sightline.data.structures import Crop, LabelMap, Prediction
from sightline.evaluation.parity import is_same
from sightline.operations.prediction_files.words import told

LABELS = LabelMap(("a", "b"), ("a", "b"), values=("x",), keypoints=("nose",))
BOX = {"boxes": np.array([[0, 0, 10, 10]], np.float32), "box_labels": [0], "box_scores": np.array([0.9], np.float32)}
FLAT = np.array([[[0, 3], [10, 3], [10, 7], [0, 7]]], np.float32)
TURNED = np.array([[[0, 3], [10, 5], [10, 7], [0, 7]]], np.float32)
MAP = np.zeros((4, 4), np.uint8)
# Field: what a prediction says, and what another says that differs in it.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "label": ({"label": 0}, {"label": 1}),
    "labels": ({"labels": [0]}, {"labels": [1]}),
    "values": ({"values": np.array([1.0], np.float32)}, {"values": np.array([2.0], np.float32)}),
    "boxes": (BOX, BOX | {"boxes": np.array([[0, 0, 3, 3]], np.float32)}),
    "corners": (BOX | {"corners": FLAT}, BOX | {"corners": TURNED}),
    "box_labels": (BOX, BOX | {"box_labels": [1]}),
    "keypoints": (
        {"keypoints": np.array([[[1, 1, 0.9]]], np.float32)},
        {"keypoints": np.array([[[90, 90, 0.9]]], np.float32)},
    ),
    "semantic": ({"semantic": MAP}, {"semantic": MAP + 1}),
    "crop": ({"crop": Crop((0, 0, 9, 9))}, {"crop": Crop((0, 0, 9, 20))}),
    "text": ({"text": "one"}, {"text": "ore"}),
    "pictures": ({"pictures": {"sea": MAP[..., None]}}, {"pictures": {"sea": MAP[..., None] + 100}}),
    "image": ({"image": MAP[..., None]}, {"image": MAP[..., None] + 100}),
    "anomaly": ({"anomaly": 0.5}, {"anomaly": 1.5}),
    "heat": ({"anomaly": 0.5, "heat": MAP * np.float32(1)}, {"anomaly": 0.5, "heat": MAP + np.float32(2)}),
}
# Sureness may differ, masks are compared by their boxes, and characters by what they are, not where they stand.
BESIDE = {"probabilities", "box_scores", "instances", "text_score", "text_spans"}


def test_this_file_tries_every_field() -> None:
    assert set(CASES) | BESIDE == {field.name for field in fields(Prediction)}


@pytest.mark.parametrize("name", CASES)
def test_predictions_that_differ_are_not_the_same(name: str) -> None:
    one, other = (Prediction(**one) for one in CASES[name])
    assert is_same(one, one)
    assert not is_same(one, other), "evaluation.parity.is_same"


@pytest.mark.parametrize("name", CASES)
def test_what_was_predicted_is_told(name: str) -> None:
    said = told(Prediction(**CASES[name][0]), LABELS, least=0.5, top=2)
    assert said != "nothing", "operations.prediction_files.words"
    if name != "image":  # which is a file beside the rest
        assert Prediction(**CASES[name][0]).to_json(LABELS), "Prediction.to_json"
