"""Advice from files as stages leave them: a learning curve, evaluations of heads and networks, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from sightline.commands.cli import main
from sightline.config import Params, load_params
from sightline.data.structures import LabelMap
from sightline.operations.advice import Advice, advise
from sightline.operations.advice.words import sentences
from sightline.registry.power import images_needed, smallest_difference
from sightline.system.errors import UserError
from sightline.system.files import write_json
from sightline.training.heads.curve_report import curve_values

CLASSES = [str(digit) for digit in range(10)]
COUNT = 400
LABEL = np.arange(COUNT) % 10
NETWORK = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "augment": "none",
    "input": {"size": 28, "channels": 1},
    "optimizer": {"name": "adam", "lr": 0.01},
}
DETECTOR = {**NETWORK, "dataset": "scenes", "task": {"kind": "detection", "architecture": "fcos"}}
HEAD = {"dataset": "digits", "features": "pixels", "kind": "linear_svm", "C": [0.01]}
PIXELS = {"dataset": "digits", "input": {"size": 8, "channels": 1}, "extractor": {"kind": "pixels"}}
OWN = {"dataset": "digits", "weights": {"model": "net"}, "extractor": {"kind": "model", "layers": ["2"]}}


def project(root: Path, models: dict[str, Any], heads: dict[str, Any], features: dict[str, Any]) -> Params:
    datasets = {name: {"format": name, "root": "data/embedded"} for name in ("digits", "scenes")}
    sections = {"datasets": datasets, "models": models, "heads": heads, "features": features}
    plain = json.loads(json.dumps({"seed": 0, "trainer": {}, "evaluation": {}, **sections}))
    YAML(typ="safe").dump(plain, root / "params.yaml")
    (root / "data/prepared/digits").mkdir(parents=True)
    write_json(root / "data/prepared/digits/labels.json", LabelMap(tuple(CLASSES), tuple(CLASSES)).to_json())
    return load_params(root / "params.yaml")


def evaluate(root: Path, name: str, right: np.ndarray, first: int = 0) -> None:
    """Write the evaluation of a model that is right on these images."""
    folder = root / "reports" / name / "evaluation"
    folder.mkdir(parents=True)
    predicted = np.where(right, LABEL, (LABEL + 1) % 10)
    ids = [f"{place:04d}" for place in range(first, first + COUNT)]
    rows = pd.DataFrame({"id": ids, "label": LABEL, "predicted": predicted, "rank": (~right).astype(int)})
    rows.assign(truth=LABEL.astype(str)).to_parquet(folder / "predictions.parquet", index=False)
    headline = {"name": "accuracy", "value": float(right.mean()), "low": 0.0, "high": 1.0}
    write_json(
        folder / "metrics.json",
        {"task": "classification", "headline": headline, "samples": COUNT, "confidence": 0.95},
    )


def learn(root: Path, params: Params, name: str) -> dict[str, Any]:
    vectors, labels = load_digits(return_X_y=True)
    head = params.head(name)
    values = curve_values(
        head, {"C": 0.01}, vectors[:300].astype(np.float32), labels[:300].astype(np.int64), CLASSES, 0
    )
    folder = root / "reports" / name / "training"
    folder.mkdir(parents=True)
    write_json(folder / "learning_curve.json", values)
    return values


def wrong_on(*places: range) -> np.ndarray:
    right = np.ones(COUNT, bool)
    for one in places:
        right[list(one)] = False
    return right


def run(root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["sightline", "advise", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_the_stored_curve_is_told_with_the_class_that_gains_most(tmp_path: Path) -> None:
    params = project(tmp_path, {}, {"pixel-svm": HEAD}, {"pixels": PIXELS})
    values = learn(tmp_path, params, "pixel-svm")
    for name in ("digits", "pixel-svm"):
        found = advise(tmp_path, params, name)
        assert found.doubling is not None
        assert found.doubling.points == pytest.approx(100 * values["twice_the_data"]["gain"])
        assert found.doubling.low <= found.doubling.points <= found.doubling.high
        assert found.doubling.most.points == max(one.points for one in found.doubling.classes)
        (told,) = sentences(found)
        assert "Twice the training data (600 images instead of 300)" in told
        assert f"{found.doubling.points:+.1f} points" in told
        assert "pixel-svm" in told


@pytest.mark.parametrize(
    ("network_errors", "better", "told"),
    [
        (range(10, 22), "", "no difference that 400 test images can show"),
        (range(2), "network", "the trained network is better"),
        (range(40, 120), "head", "the head over fixed features is better than the trained network, +0.160 ["),
    ],
)
def test_head_and_network_are_compared_on_the_same_images(
    tmp_path: Path, network_errors: range, better: str, told: str
) -> None:
    params = project(tmp_path, {"net": NETWORK}, {"pixel-svm": HEAD}, {"pixels": PIXELS})
    evaluate(tmp_path, "pixel-svm", wrong_on(range(16)))
    evaluate(tmp_path, "net", wrong_on(network_errors))
    found = advise(tmp_path, params, "digits").head_against_network
    assert found is not None
    assert found.better == better
    assert found.gain == pytest.approx((16 - len(network_errors)) / COUNT)
    assert told in sentences(advise(tmp_path, params, "net"))[0]


def test_a_head_over_a_network_of_the_same_data_is_no_evidence_for_frozen_features(tmp_path: Path) -> None:
    params = project(tmp_path, {"net": NETWORK}, {"own": {**HEAD, "features": "deep"}}, {"deep": OWN})
    for name in ("net", "own"):
        evaluate(tmp_path, name, wrong_on(range(10)))
    learn(tmp_path, params, "own")
    found = advise(tmp_path, params, "own")
    assert (found.head_against_network, found.doubling) == (None, None)


def test_the_smallest_difference_follows_from_how_two_models_differ(tmp_path: Path) -> None:
    params = project(tmp_path, {"one": NETWORK, "two": NETWORK}, {}, {})
    evaluate(tmp_path, "one", wrong_on(range(20)))
    alone = advise(tmp_path, params, "one").smallest_difference
    evaluate(tmp_path, "two", wrong_on(range(10, 30)))
    found = advise(tmp_path, params, "one").smallest_difference
    assert alone is not None
    assert alone.pair == ()
    assert alone.difference == pytest.approx(smallest_difference(0.05, COUNT, 0.95), rel=0.05)
    assert found is not None
    assert found.pair == ("one", "two")
    assert found.difference == pytest.approx(smallest_difference(20 / COUNT, COUNT, 0.95), rel=0.08)
    assert found.needed == pytest.approx(images_needed(20 / COUNT, 0.01, 0.95), rel=0.15)
    told = sentences(advise(tmp_path, params, "one"))[0]
    assert "400 test images" in told
    assert "for one point they would have to be about" in told


def test_models_that_were_tested_on_different_images_are_not_compared(tmp_path: Path) -> None:
    params = project(tmp_path, {"net": NETWORK}, {"pixel-svm": HEAD}, {"pixels": PIXELS})
    evaluate(tmp_path, "pixel-svm", wrong_on(range(16)))
    evaluate(tmp_path, "net", wrong_on(range(30)), first=100)
    found = advise(tmp_path, params, "digits")
    assert found.head_against_network is None
    assert found.smallest_difference is not None
    assert found.smallest_difference.pair == ()


def test_the_command_prints_sentences_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = project(tmp_path, {"net": NETWORK}, {"pixel-svm": HEAD}, {"pixels": PIXELS})
    learn(tmp_path, params, "pixel-svm")
    evaluate(tmp_path, "net", wrong_on(range(16)))
    assert run(tmp_path, monkeypatch) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Twice the training data (600 images instead of 300)" in shown
    assert "The 400 test images show a difference in accuracy of" in shown
    assert "gain, points" in shown


@pytest.mark.parametrize(
    ("models", "heads", "features", "words", "told"),
    [
        ({"net": NETWORK}, {}, {}, ["digits"], "digits-head: {dataset: digits, features: NAME, kind: logistic}"),
        ({"net": NETWORK}, {}, {"pixels": PIXELS}, ["net"], "features: pixels, kind: logistic}; then run `dvc repro`"),
        ({}, {"svm": HEAD}, {"pixels": PIXELS}, ["svm"], "no learning curve yet; run `dvc repro fit_head@svm`"),
        ({"det": DETECTOR}, {}, {}, ["scenes"], "it needs one class per image, and detection has none"),
        ({"net": NETWORK}, {}, {}, ["nett"], "nett: no data set, model or head of params.yaml"),
    ],
)
def test_without_anything_measured_the_command_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    models: dict[str, Any],
    heads: dict[str, Any],
    features: dict[str, Any],
    words: list[str],
    told: str,
) -> None:
    project(tmp_path, models, heads, features)
    assert run(tmp_path, monkeypatch, *words) == 2
    assert told in capsys.readouterr().err


def test_nothing_more_to_say_of_an_evaluated_model_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, {"det": DETECTOR}, {}, {})
    headline = {"name": "mAP50", "value": 0.5, "low": 0.4, "high": 0.6}
    folder = tmp_path / "reports/det/evaluation"
    folder.mkdir(parents=True)
    write_json(folder / "metrics.json", {"task": "detection", "headline": headline, "samples": 20, "confidence": 0.95})
    assert run(tmp_path, monkeypatch, "scenes") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "it needs one class per image, and detection has none" in shown
    assert "add a second model of this data set" in shown


def test_too_few_images_are_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, {}, {"svm": HEAD}, {"pixels": PIXELS})
    (tmp_path / "reports/svm/training").mkdir(parents=True)
    write_json(tmp_path / "reports/svm/training/learning_curve.json", {"reason": "too few train images"})
    assert run(tmp_path, monkeypatch, "digits") == 2
    assert "no learning curve: too few train images" in capsys.readouterr().err


def test_a_damaged_curve_is_named_with_its_stage(tmp_path: Path) -> None:
    params = project(tmp_path, {}, {"svm": HEAD}, {"pixels": PIXELS})
    (tmp_path / "reports/svm/training").mkdir(parents=True)
    (tmp_path / "reports/svm/training/learning_curve.json").write_text('{"train_images": 3}')
    with pytest.raises(UserError, match=r"damaged.*dvc repro --force fit_head@svm"):
        advise(tmp_path, params, "svm")


def test_nothing_known_is_empty() -> None:
    assert sentences(Advice("digits", "", None, None, None)) == []
