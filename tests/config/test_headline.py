"""The metric by which a model is judged, and those that guard it: what may be chosen, and how mistakes are told."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, Params, load_params
from sightline.config.evaluation import Evaluation, Gate
from sightline.config.metrics import smaller_is_better

MODEL: dict[str, Any] = {
    "dataset": "digits",
    "weights": "random",
    "augment": "none",
    "input": {"size": 28, "channels": 1},
    "optimizer": {"name": "adam", "lr": 1e-3},
}
GOOD: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {},
    "evaluation": {},
    "models": {
        "cnn": {**MODEL, "task": {"kind": "classification", "architecture": "mnist_cnn"}},
        "counter": {**MODEL, "task": {"kind": "regression", "architecture": "mnist_cnn"}},
    },
    "features": {
        "pixels": {
            "dataset": "digits",
            "input": {"size": 8, "channels": 1},
            "extractor": {"kind": "pixels"},
        }
    },
    "heads": {"svm": {"dataset": "digits", "features": "pixels", "kind": "linear_svm"}},
}


def load(folder: Path, evaluation: Any = None, gate: Any = None) -> Params:
    values = deepcopy({**GOOD, "evaluation": evaluation or {}, "gate": gate or {}})
    path = folder / "params.yaml"
    YAML(typ="safe").dump(values, path)
    return load_params(path, policies=False)


def test_models_and_heads_choose_their_headline(tmp_path: Path) -> None:
    chosen = {"cnn": "recall_of_3", "counter": "mae", "svm": "macro_f1"}
    evaluation = load(tmp_path, {"headline": chosen, "resamples": 500}).evaluation
    assert evaluation.headline == chosen
    assert evaluation.of("cnn").headline == {"cnn": "recall_of_3"}
    assert evaluation.of("other") == Evaluation(resamples=500), "another model's headline changes nothing for it"


def test_guards_are_of_all_models_or_of_one(tmp_path: Path) -> None:
    gate = load(tmp_path, gate={"guards": {"recall_of_defect": 0.98, "counter": {"mae": 2}}}).gate
    assert gate.common_guards() == {"recall_of_defect": 0.98}
    assert (gate.guards_of("counter"), gate.guards_of("cnn")) == ({"mae": 2}, {})
    assert load(tmp_path).gate == Gate()


@pytest.mark.parametrize(
    ("evaluation", "gate", "told"),
    [
        (
            {"headline": {"cnn": "acuracy"}},
            {},
            "evaluation.headline.cnn: no metric 'acuracy' (did you mean accuracy?); there are accuracy, top5, "
            "balanced_accuracy, macro_f1, log_loss, recall_of_CLASS, precision_of_CLASS, f1_of_CLASS",
        ),
        ({"headline": {"cn": "accuracy"}}, {}, "evaluation.headline.cn: no such model or head (did you mean cnn?)"),
        ({"headline": {"svm": "mAP"}}, {}, "evaluation.headline.svm: no metric 'mAP'; there are accuracy, "),
        ({"headline": {"counter": "iou_of_3"}}, {}, "evaluation.headline.counter: no metric 'iou_of_3'"),
        (
            {},
            {"guards": {"recal_of_3": 0.9}},
            "gate.guards.recal_of_3: no metric 'recal_of_3' (did you mean recall_of_",
        ),
        ({}, {"guards": {"counter": {"rmsee": 0.9}}}, "gate.guards.counter: no metric 'rmsee' (did you mean rmse?)"),
        ({}, {"guards": {"conter": {"r2": 0.9}}}, "gate.guards.conter: no such model or head (did you mean counter?)"),
        ({}, {"guards": {"accuracy": "high"}}, "gate.guards.accuracy: 'high' is not allowed, must be number"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, evaluation: Any, gate: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, evaluation, gate)
    assert len(error.value.lines) == 1
    assert error.value.lines[0].startswith(f"{tmp_path / 'params.yaml'}: {told}")


def test_the_direction_of_a_metric_is_known() -> None:
    assert all(map(smaller_is_better, ("mae", "rmse", "mse", "mean_error", "log_loss", "mae_of_width")))
    assert not any(map(smaller_is_better, ("accuracy", "mAP50", "recall_of_mae", "psnr", "r2_of_mae")))
