"""The schema: what is inherited, what is refused, and how it is told."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, load_params

ROOT = Path(__file__).parents[2]

GOOD: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {"max_epochs": 4, "batch_size": 16},
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
}


def write(tmp_path: Path, values: Any) -> Path:
    path = tmp_path / "params.yaml"
    if isinstance(values, str):
        path.write_text(values)
    else:
        YAML(typ="safe").dump(values, path)
    return path


def changed(path: str, value: Any) -> dict[str, Any]:
    values = deepcopy(GOOD)
    *parents, last = path.split(".")
    here = values
    for part in parents:
        here = here.setdefault(part, {})
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return values


def test_features_and_heads_need_no_models(tmp_path: Path) -> None:
    values = changed("models", {})
    values["features"] = {
        "plain": {
            "dataset": "digits",
            "input": {"size": 8, "channels": 1},
            "extractor": {"kind": "pixels"},
        }
    }
    values["heads"] = {"near": {"dataset": "digits", "features": "plain", "kind": "nearest_centroid"}}
    params = load_params(write(tmp_path, values))
    assert list(params.registered()) == ["near"]
    with pytest.raises(ConfigError, match=r"models\.cnn: no such entry \(there are none\)"):
        params.model("cnn")


def test_common_trainer_is_overridden_key_by_key(tmp_path: Path) -> None:
    params = load_params(write(tmp_path, changed("models.cnn.trainer", {"max_epochs": 9})))
    assert params.models["cnn"].trainer.max_epochs == 9
    assert params.models["cnn"].trainer.batch_size == 16


def test_seed_of_a_model_goes_before_the_common_one(tmp_path: Path) -> None:
    assert load_params(write(tmp_path, GOOD)).seed_of("cnn") == 1
    assert load_params(write(tmp_path, changed("models.cnn.seed", 5))).seed_of("cnn") == 5


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("lr: 0.003", "lr: 3e-3")
    assert load_params(write(tmp_path, text)).models["digit-cnn"].optimizer.lr == 3e-3


BROKEN = {
    "unknown key": (
        "models.cnn.trainer.batchsize",
        4,
        "models.cnn.trainer.batchsize: unknown key (did you mean batch_size?)",
    ),
    "unknown key in common trainer": (
        "trainer.max_epoch",
        4,
        "trainer.max_epoch: unknown key (did you mean max_epochs?)",
    ),
    "missing key": ("models.cnn.dataset", ..., "models.cnn.dataset: missing (a key of datasets)"),
    "missing section": ("datasets", ..., "datasets: missing"),
    "wrong type": ("trainer.batch_size", "many", "trainer.batch_size: 'many' is not allowed, must be integer"),
    "out of range": (
        "models.cnn.optimizer.lr",
        -1.0,
        "models.cnn.optimizer.lr: -1.0 is not allowed, must be greater than 0",
    ),
    "unknown word": (
        "models.cnn.augment",
        "lite",
        "models.cnn.augment: 'lite' is not allowed, use one of none, strip, light, medium, heavy, trivial, "
        "light_mirrored, trivial_mirrored, alexnet, tencrop (did you mean light?)",
    ),
    "unknown format": (
        "datasets.digits.format",
        "digit",
        "datasets.digits: format is 'digit', allowed: image_folder, csv, text_list, idx, "
        "coco, voc, yolo, dota, mask_folder, instance_masks, via, mvtec, digits, scenes, figures, strings, "
        "defects (did you mean digits?)",
    ),
    "name of the inbox's own folder": (
        "datasets.quarantine",
        {"format": "digits", "root": "data/embedded"},
        "datasets.quarantine: data/inbox/quarantine is used for the rejected files of other data sets; "
        "choose another name",
    ),
    "unknown data set": (
        "models.cnn.dataset",
        "digit",
        "models.cnn.dataset: 'digit' is not among datasets (did you mean digits?)",
    ),
    "fractions": (
        "datasets.digits.split",
        {"train": 0.5, "val": 0.1, "test": 0.1},
        "datasets.digits.split: train + val + test must be 1, got 0.7",
    ),
    "unknown network": (
        "models.cnn.task.architecture",
        "lenet",
        "models.cnn.task.architecture: 'lenet' is not allowed (neuron, perceptron, mlp, "
        "lenet5, alexnet, alexnet_small, mnist_cnn, lcn_cnn, torchvision:NAME or timm:NAME)",
    ),
    "misspelt weights": (
        "models.cnn.weights",
        "randm",
        "models.cnn.weights: 'randm' is neither pretrained, random nor a file in data/weights (did you mean random?)",
    ),
    "bad name": ("models.My Net", GOOD["models"]["cnn"], "models.My Net: 'My Net' is not allowed (lower-case letters"),
    "statistics": ("models.cnn.input.mean", [0.1, 0.2, 0.3], "models.cnn.input: mean has 3 values, but channels is 1"),
    "union": ("trainer.devices", "two", "trainer.devices: 'two' is not allowed, use one of auto, or integer, or list"),
    "freezing nothing": (
        "models.cnn.trainer.freeze_epochs",
        1,
        "models.cnn: trainer.freeze_epochs: 1 needs trained weights, but weights is random",
    ),
    "no models": (
        "models",
        {},
        "models: empty, and so is heads: nothing to evaluate and register; add a model or a head",
    ),
    "a list for a mapping": ("datasets", ["digits"], "datasets: ['digits'] is not allowed, must be"),
}


@pytest.mark.parametrize(("path", "value", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_each_mistake_is_one_line(tmp_path: Path, path: str, value: Any, told: str) -> None:
    file = write(tmp_path, changed(path, value))
    with pytest.raises(ConfigError) as error:
        load_params(file)
    assert len(error.value.lines) == 1, error.value.lines
    assert error.value.lines[0].startswith(f"{file}: {told}")


UNREADABLE = {
    "not yaml": ("models: [", "line 1: not YAML"),
    "further in": ("a:\n  b: 1\n   c: 2\n", "line 2 or 3: not YAML: compare the indentation with the lines above ("),
    "further out": ("a:\n  b: 1\n\n # c\n d: 2\n", "line 2 or 5: not YAML: compare the indentation with the lines"),
    "repeated key": ("seed: 1\nseed: 2\n", 'line 2: found duplicate key "seed"'),
    "a word": ("hello", "must be a mapping"),
    "empty": ("", "must be a mapping with the keys datasets and models, got nothing"),
}


@pytest.mark.parametrize(("text", "told"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_files_are_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_params(file)
    assert len(error.value.lines) == 1
    assert error.value.lines[0].startswith(f"{file}: {told}")


def test_several_mistakes_are_all_told(tmp_path: Path) -> None:
    values = changed("models.cnn.optimizer.lr", 0)
    values["trainer"]["layot"] = "auto"
    with pytest.raises(ConfigError) as error:
        load_params(write(tmp_path, values))
    assert len(error.value.lines) == 2


def test_the_command_line_ends_with_code_2(tmp_path: Path) -> None:
    file = write(tmp_path, changed("trainer.max_epoch", 4))
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "check", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{file}: trainer.max_epoch: unknown key (did you mean max_epochs?)"]


def test_every_shipped_params_file_is_good() -> None:
    files = [ROOT / "params.yaml", *sorted((ROOT / "examples").glob("*.yaml"))]
    assert len(files) >= 3
    for file in files:
        load_params(file)
