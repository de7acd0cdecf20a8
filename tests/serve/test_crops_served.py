"""A served model that sees crops: it finds, cuts, answers, and lays its heat map where it looked."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from chained import write_finder
from served import Start, encoded, photograph, write_random_model

from sightline.config.crop_by import CropBy
from sightline.evaluation.predictor import load_predictor
from sightline.training.artifact.detector import add_detector


def write_chain(folder: Path, scenes: Path, **crop: object) -> Path:
    finder = write_finder(folder / "finder", scenes)
    model = write_random_model(folder / "namer", {"kind": "classification", "architecture": "mnist_cnn"}, 28, 3)
    add_detector(model, finder, CropBy(model="finder", **{"least_score": 0.0} | crop))  # type: ignore[arg-type]
    return model


def test_answers_tell_the_crop(scenes: Path, tmp_path: Path, start: Start) -> None:
    model = write_chain(tmp_path, scenes)
    some = [encoded(photograph(seed=seed), ".png") for seed in range(3)]
    answers = start(model).send(*some).json()["predictions"]
    expected = load_predictor(model).predict(some)
    for answer, own in zip(answers, expected, strict=True):
        assert answer["label"] == own["label"]
        assert answer["crop"]["region"] == own["crop"]["region"]
        assert (answer["height"], answer["width"]) == (40, 60)


def test_a_heat_map_lies_where_the_model_looked(scenes: Path, tmp_path: Path, start: Start) -> None:
    model, image = write_chain(tmp_path, scenes), encoded(photograph(), ".png")
    server = start(model)
    answer = server.send(image, path="/explain")
    assert answer.status_code == 200, answer.text
    png = base64.b64decode(answer.json()["heat_png"])
    heat = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert heat.shape == (40, 60)
    [said] = server.send(image).json()["predictions"]
    left, top, right, bottom = (max(edge, 0) for edge in said["crop"]["region"])
    assert heat[top:bottom, left:right].any()
    heat[top:bottom, left:right] = 0
    assert not heat.any()


@pytest.mark.parametrize("otherwise", ["refuse", "whole_image"])
def test_an_image_in_which_nothing_is_found(otherwise: str, scenes: Path, tmp_path: Path, start: Start) -> None:
    model = write_chain(tmp_path, scenes, least_score=1.0, otherwise=otherwise)
    [said] = start(model).send(encoded(photograph(), ".png")).json()["predictions"]
    assert said["crop"] == {"box": None, "region": [0, 0, 60, 40]}
    assert ("label" in said) == (otherwise == "whole_image")
    assert ("refused" in said) == (otherwise == "refuse")
