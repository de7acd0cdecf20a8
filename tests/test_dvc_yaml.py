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


@pytest.mark.parametrize("stage", ["train", "fit_head", "quantise"])
def test_training_does_not_read_the_test_split(stage: str) -> None:
    read = deps(stage)
    assert not [dep for dep in read if "/test" in dep or dep.endswith("card.json") or dep == "data/prepared"]
    assert "data/features/${item.features}" not in read


def test_no_stage_depends_on_settings_that_it_does_not_read() -> None:
    """Of params.yaml a stage names its own section, so that `dvc status` sees a change; its stamp has the rest."""
    for name, stage in stages().items():
        if "do" in stage:
            assert all(section.endswith(".${key}") for section in stage["do"].get("params", []))
            assert f".sightline/code/{name}/${{key}}.json" in deps(name)


def test_only_the_last_stage_has_an_outside_effect() -> None:
    """The first one, `code`, always looks too, but changes nothing where nothing changed."""
    assert [name for name, stage in stages().items() if stage.get("always_changed")] == ["code", "register"]
    assert list(stages())[-1] == "register"
