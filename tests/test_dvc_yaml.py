"""What the stages of dvc.yaml read, apart from code."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]


@cache
def stages() -> dict[str, Any]:
    return YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def deps(stage: str) -> list[str]:
    found: list[str] = stages()[stage]["do"]["deps"]
    return found


@pytest.mark.parametrize("stage", ["train", "fit_head"])
def test_training_does_not_read_the_test_split(stage: str) -> None:
    read = deps(stage)
    assert not [dep for dep in read if "/test" in dep or dep.endswith("card.json") or dep == "data/prepared"]
    assert "data/features/${item.features}" not in read


@pytest.mark.parametrize("stage", ["train", "fit_head", "evaluate", "evaluate_head"])
def test_the_headline_of_one_model_neither_trains_nor_evaluates_another(stage: str) -> None:
    """`evaluation` as a whole would; `settings@NAME` hands on what concerns one model."""
    assert "evaluation" not in stages()[stage]["do"].get("params", [])
    if stage.startswith("evaluate"):
        assert "reports/${key}/settings.json" in deps(stage)


def test_only_the_last_stage_has_an_outside_effect() -> None:
    """The first one, `code`, always looks too, but changes nothing where nothing changed."""
    assert [name for name, stage in stages().items() if stage.get("always_changed")] == ["code", "register"]
    assert list(stages())[-1] == "register"
