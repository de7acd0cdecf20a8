"""Features and heads in params.yaml: what goes together, and what is told when it does not."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, load_params

GOOD: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {},
    "evaluation": {},
    "models": {
        "cnn": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mnist_cnn"},
            "weights": "random",
            "augment": "none",
            "input": {"size": 28, "channels": 1},
            "optimizer": {"name": "adam", "lr": 1e-3},
        }
    },
    "features": {
        "deep": {
            "dataset": "digits",
            "weights": {"model": "cnn"},
            "extractor": {"kind": "model", "layers": ["pool2", "head"]},
        },
        "hog": {
            "dataset": "digits",
            "input": {"size": 28, "channels": 1},
            "extractor": {"kind": "hog", "cell": 4},
        },
    },
    "heads": {
        "svm": {"dataset": "digits", "features": "deep", "kind": "linear_svm", "layers": ["pool2"]},
        "near": {"dataset": "digits", "features": "hog", "kind": "nearest_centroid"},
    },
}
NETWORK = {"kind": "network", "architecture": "timm:resnet10t", "layers": ["fc"]}


def read(folder: Path, **changes: Any) -> Any:
    values = deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        here = values
        for part in parents:
            here = here[part]
        here[last] = value
    path = folder / "params.yaml"
    YAML(typ="safe").dump(values, path)
    return load_params(path)


def test_heads_are_registered_beside_models(tmp_path: Path) -> None:
    params = read(tmp_path)
    assert set(params.registered()) == {"cnn", "svm", "near"}
    assert params.dataset_of("near") == "digits"
    assert params.features_of("hog").layers() == ["hog"]
    assert params.head("near").standardize is False
    assert read(tmp_path, features={}, heads={}).heads == {}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("features__deep__weights", "none", "extractor.kind: model needs {model: NAME}"),
        (
            "features__deep__weights",
            {"model": "cmn"},
            "'cmn' is not among models (did you mean cnn?)",
        ),
        ("features__deep__input", {"size": 28, "channels": 1}, "input: defined by the model; leave it out"),
        (
            "features__deep__dataset",
            "digit",
            "features.deep.dataset: 'digit' is not among datasets (did you mean digits?)",
        ),
        ("features__hog__weights", "random", "weights: hog has no weights; leave it out"),
        ("features__hog__input", None, "input: hog needs size and channels"),
        ("features__hog__extractor", {"kind": "hog", "cell": 5}, "extractor.cell: 5: must divide input.size (28)"),
        ("features__hog__extractor", {"kind": "hogs"}, "(did you mean hog?)"),
        ("features__hog__extractor", NETWORK, "weights: a network needs pretrained, random, or a file in data/weights"),
        ("features__deep__extractor", {"kind": "model", "layers": ["head", "head"]}, "layers has a layer twice"),
        (
            "features__deep__extractor",
            {"kind": "model", "layers": ["head"], "pyramid": [2, 1]},
            "pyramid: [2, 1]: list each level once, the coarsest first",
        ),
        (
            "features__deep__extractor",
            {"kind": "model", "layers": ["head"], "pooling": "flatten", "pyramid": [1, 2]},
            "pyramid: pooling: flatten keeps all positions",
        ),
        ("features__deep__pooling", "avg", "features.deep.pooling: unknown key"),
        ("heads__svm__features", "deeep", "heads.svm.features: 'deeep' is not among features (did you mean deep?)"),
        ("heads__svm__layers", ["pool"], "'pool' is not among the layers of features.deep (did you mean pool2?)"),
        ("heads__svm__kind", "linear", "did you mean linear_svm?"),
        ("heads__svm__copies", 3, "copies needs dropout greater than 0"),
        ("heads__svm__C", [0.0], "heads.svm.C"),
        ("heads__near__calibrate", "sigmoid", "heads.near.calibrate: unknown key"),
        (
            "heads__cnn",
            {"dataset": "digits", "features": "hog", "kind": "knn"},
            "heads.cnn: there is a model of the same name",
        ),
        ("heads__svm__dataset", "other", "heads.svm.dataset: 'other', but features.deep are of 'digits'"),
    ],
)
def test_mistakes_are_told_in_one_line(path: str, value: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, **{path: value})
    assert len(error.value.lines) == 1, error.value.lines
    assert told in error.value.lines[0]
