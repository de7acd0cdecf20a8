"""What is said below the table of models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sightline.registry.best_models import below_the_table
from sightline.registry.outcomes import Outcome
from sightline.system.files import write_json


def outcome(name: str, value: float, metric: str = "accuracy", task: str = "classification") -> Outcome:
    headline = {"name": metric, "value": value}
    return Outcome(name, task, headline, "m", "1", "champion", "promote", "first version", "first version")


def test_the_best_of_a_data_set_is_named_with_its_use(tmp_path: Path) -> None:
    models = [outcome("net", 0.85), outcome("head", 0.98), outcome("sizes", 3.0, "mae", "regression")]
    datasets = {"net": "photos", "head": "photos", "sizes": "photos"}
    assert below_the_table(models, datasets, tmp_path) == [
        "photos: head has the best score; to use it: sightline predict head@champion IMAGE"
    ]
    errors = [outcome("a", 3.0, "mae", "regression"), outcome("b", 2.0, "mae", "regression")]
    (told,) = below_the_table(errors, {"a": "photos", "b": "photos"}, tmp_path)
    assert told.startswith("photos: b has the best score"), "a smaller error is better"


def test_a_challenger_is_never_named_and_its_champion_counts(tmp_path: Path) -> None:
    challenger = replace(outcome("net", 0.99), alias="challenger")
    led = replace(outcome("other", 0.99), alias="challenger", leader=outcome("other", 0.7))
    models = [challenger, led, outcome("head", 0.8)]
    datasets = dict.fromkeys(("net", "other", "head"), "photos")
    assert below_the_table(models, datasets, tmp_path)[0].startswith("photos: head has the best score")
    assert below_the_table([challenger], datasets, tmp_path) == []


def test_scores_of_different_metrics_are_not_compared_and_one_model_is_used(tmp_path: Path) -> None:
    models = [outcome("net", 0.85), outcome("head", 0.9, "f1")]
    assert below_the_table(models, {"net": "photos", "head": "photos"}, tmp_path) == []
    assert below_the_table(models[:1], {"net": "photos"}, tmp_path) == [
        "to use it: sightline predict net@champion IMAGE"
    ]


@pytest.mark.parametrize(("count", "told"), [(39, "39 images of val or test are"), (1, "one image of val or test is")])
def test_copies_in_two_splits_are_a_caution(tmp_path: Path, count: int, told: str) -> None:
    card = {"findings": {"near_duplicate": {"count": count}}}
    write_json(tmp_path / "data/prepared/photos/card.json", card)
    lines = below_the_table([outcome("net", 0.85)], {"net": "photos"}, tmp_path)
    assert lines[1].startswith(f"photos: the score may be too good: {told} nearly the same as one of another split.")
    assert lines[1].endswith("data/prepared/photos/report.md names them.")
    (tmp_path / "data/prepared/photos/card.json").write_text("{")
    assert len(below_the_table([outcome("net", 0.85)], {"net": "photos"}, tmp_path)) == 1
