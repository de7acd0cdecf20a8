"""`crop_by` of a model: its forms, and what is told of one that cannot be."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.config.crop_by import CropBy
from sightline.config.errors import ConfigError
from sightline.config.full import full_text
from sightline.pipeline.dag import dag

FINDER = {"dataset": "scenes", "task": {"kind": "detection", "backbone": "timm:test_resnet"}, "weights": "random"}
NAMER = {"dataset": "scenes", "task": {"kind": "classification", "architecture": "mlp"}}
PARAMS: dict[str, Any] = {
    "datasets": {
        "digits": {"format": "digits", "root": "data/embedded"},
        "scenes": {"format": "scenes", "root": "data/embedded"},
    },
    "models": {"finder": FINDER, "namer": {**NAMER, "crop_by": "finder"}},
}


def written(folder: Path, **changes: Any) -> Path:
    """Write the params with other keys of the model, or other models (`models`) and sections."""
    values = json.loads(json.dumps(PARAMS))
    values["models"] |= changes.pop("models", {})
    sections = {key: changes.pop(key) for key in ("features", "augmentations") if key in changes}
    values["models"]["namer"] |= changes
    path = folder / "params.yaml"
    YAML(typ="safe").dump(json.loads(json.dumps(values | sections)), path)
    return path


def test_a_name_is_short_for_a_mapping(tmp_path: Path) -> None:
    crop = load_params(written(tmp_path)).models["namer"].crop_by
    assert crop == CropBy(model="finder", classes="any", margin=0.1, least_score=0.3, otherwise="whole_image")
    long = {"model": "finder", "classes": "7", "margin": 0.25, "otherwise": "refuse"}
    crop = load_params(written(tmp_path, crop_by=long)).models["namer"].crop_by
    assert crop is not None
    assert (crop.classes, crop.margin, crop.otherwise) == (["7"], 0.25, "refuse")


def test_a_full_file_says_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    params = load_params(path)
    text = full_text(path, params)
    path.write_text(text)
    assert re.search(r"margin: 0\.1 +# default: added on each side", text)
    assert re.search(r"model: finder\n", text)
    assert load_params(path).models == params.models


def test_the_detector_is_trained_first_and_again_when_it_changes(tmp_path: Path) -> None:
    trained = dag(load_params(written(tmp_path)), tmp_path)["train"]
    assert trained["namer"]["crop_by"] == "models/finder"
    assert trained["finder"]["crop_by"] == ".sightline/code/train/finder.json"


LOCALIZER = {**NAMER, "task": {"kind": "localization", "architecture": "mlp"}}
DEEP = {"deep": {"dataset": "scenes", "weights": {"model": "namer"}, "extractor": {"kind": "model", "layers": ["h"]}}}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": (
        {"crop_by": "findr"},
        "models.namer.crop_by.model: 'findr' is not among models (did you mean finder?)",
    ),
    "itself": (
        {"crop_by": "namer"},
        "models.namer.crop_by.model: namer is this model itself; name one that finds boxes (finder)",
    ),
    "no finder": (
        {"crop_by": "other", "models": {"other": NAMER}},
        "models.namer.crop_by.model: other: its kind, classification, finds no boxes; name a model that does (finder)",
    ),
    "cycle": (
        {"models": {"finder": {**FINDER, "weights": {"model": "namer"}}}},
        "models.namer.crop_by.model: namer <- finder <- namer: a cycle; start finder from other weights",
    ),
    "cycle of crops and weights": (
        {
            "models": {
                "finder": {**FINDER, "weights": {"model": "between"}},
                "between": {**NAMER, "crop_by": "second"},
                "second": {**LOCALIZER, "weights": {"model": "namer"}},
            }
        },
        "models.namer.crop_by.model: namer <- finder <- between <- second <- namer: a cycle; "
        "start second from other weights",
    ),
    "objects": (
        {"task": {"kind": "detection"}},
        "models.namer.crop_by: is for classification, keypoints, multilabel, regression, but task.kind is detection; "
        "leave crop_by out",
    ),
    "copies": (
        {"augment": "bold", "augmentations": {"bold": {"dataset": "scenes", "policy": "light", "copies": 2}}},
        "models.namer.augment: bold has copies, which are of whole images, and crop_by cuts; "
        "set augmentations.bold.copies: 0",
    ),
    "features": (
        {"features": DEEP},
        "features.deep.weights.model: namer looks at crops (crop_by), and features at whole images; "
        "use a model without crop_by",
    ),
    "key": (
        {"crop_by": {"model": "finder", "margins": 0.1}},
        "models.namer.crop_by.margins: unknown key (did you mean margin?)",
    ),
    "margin": (
        {"crop_by": {"model": "finder", "margin": -0.1}},
        "models.namer.crop_by.margin: -0.1 is not allowed, must be greater than or equal to 0",
    ),
    "otherwise": (
        {"crop_by": {"model": "finder", "otherwise": "skip"}},
        "models.namer.crop_by.otherwise: 'skip' is not allowed, use one of whole_image, refuse",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    changes, told = WRONG[name]
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        load_params(path, policies=False)
    lines = [line.removeprefix(f"{path}: ") for line in caught.value.lines]
    assert lines == [told] or (name.startswith("cycle of") and told in lines)  # it is told of each model in the circle


def test_whatever_finds_boxes_may_crop(tmp_path: Path) -> None:
    for kind in ("localization", "sliding_window", "instance_segmentation"):
        network = {"backbone": "timm:test_resnet"} if kind == "instance_segmentation" else {"architecture": "mnist_cnn"}
        finder = {**FINDER, "task": {"kind": kind, **network}}
        assert load_params(written(tmp_path, models={"finder": finder})).models["namer"].crop_by is not None
