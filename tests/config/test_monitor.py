"""`monitor:` of params.yaml: data sets, models and limits that fit."""

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


def read(folder: Path, monitor: Any) -> Any:
    values = {
        "seed": 1,
        "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
        "trainer": {},
        "evaluation": {},
        "models": {"cnn": MODEL},
        "monitor": monitor,
    }
    YAML(typ="safe").dump(values, folder / "params.yaml")
    return load_params(folder / "params.yaml", policies=False)


@pytest.mark.parametrize("model", ["cnn", "cnn@champion", "cnn/3"])
def test_a_good_section(tmp_path: Path, model: str) -> None:
    own = read(tmp_path, {"digits": {"model": model, "recent": "data/recent"}}).monitor["digits"]
    assert (own.model, own.alpha, own.flag_after, own.clear_after) == (model, 0.01, 2, 2)
    assert read(tmp_path, {"digits": {}}).monitor["digits"].recent is None
    assert read(tmp_path, {}).monitor == {}


@pytest.mark.parametrize(
    ("monitor", "told"),
    [
        ({"digit": {}}, "monitor.digit: not among datasets (did you mean digits?)"),
        ({"digits": {"model": "cnm"}}, "monitor.digits.model: 'cnm' is not among models and heads (did you mean cnn?)"),
        ({"digits": {"features": "hog"}}, "monitor.digits.features: 'hog' is not among features (there are none)"),
        ({"digits": {"model": "cnn", "features": "hog"}}, "has both model and features; keep one"),
        ({"digits": {"alpha": 0.0}}, "monitor.digits.alpha"),
        ({"digits": {"alpha": 0.001}}, "permutations: 1999: with alpha 0.001 the kernel test could never find drift"),
        ({"digits": {"min_samples": 600}}, "max_samples (500) must not be less than min_samples (600)"),
        ({"digits": {"flagafter": 2}}, "monitor.digits.flagafter: unknown key (did you mean flag_after?)"),
        ({"digits": {"flag_after": 0}}, "monitor.digits.flag_after"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, monitor: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, monitor)
    [line] = error.value.lines
    assert told in line
