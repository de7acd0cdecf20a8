"""`explanations:` of params.yaml: which model, which data set."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, load_params

MODEL = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn"},
    "weights": "random",
    "augment": "none",
    "input": {"size": 28, "channels": 1},
    "optimizer": {"name": "adam", "lr": 1e-3},
}


def read(folder: Path, explanations: Any) -> Any:
    digits = {"format": "digits", "root": "data/embedded"}
    values = {
        "seed": 1,
        "datasets": {"digits": digits, "others": digits},
        "trainer": {},
        "evaluation": {},
        "models": {"cnn": MODEL},
        "explanations": explanations,
    }
    YAML(typ="safe").dump(values, folder / "params.yaml")
    return load_params(folder / "params.yaml")


def test_a_good_section(tmp_path: Path) -> None:
    params = read(tmp_path, {"cnn": {"dataset": "digits", "methods": ["grad_cam"], "samples": 4}})
    assert params.explanation("cnn").samples == 4
    assert read(tmp_path, {}).explanations == {}


@pytest.mark.parametrize(
    ("explanations", "told"),
    [
        ({"cnm": {"dataset": "digits"}}, "explanations.cnm: not among models (did you mean cnn?)"),
        ({"cnn": {"dataset": "others"}}, "explanations.cnn.dataset: 'others', but the model is trained on 'digits'"),
        ({"cnn": {"dataset": "digits", "methods": ["gradcam"]}}, "explanations.cnn.methods"),
        ({"cnn": {"dataset": "digits", "sample": 4}}, "explanations.cnn.sample: unknown key"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, explanations: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, explanations)
    [line] = error.value.lines
    assert told in line
