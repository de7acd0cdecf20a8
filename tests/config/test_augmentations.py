"""Policies: what is good, what is refused, and how it is told."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import ConfigError, Params, load_params
from sightline.config.augmentations import CutMix, MixUp, divide_policy

CLASSIFIER: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn"},
    "weights": "random",
    "input": {"size": 28, "channels": 1},
    "augment": "own",
    "optimizer": {"name": "adam"},
}
DETECTOR: dict[str, Any] = {
    **CLASSIFIER,
    "dataset": "scenes",
    "task": {"kind": "detection", "architecture": "fcos", "backbone": "timm:resnet10t"},
    "input": {"size": 96, "channels": 3},
}
SCENES = {"format": "scenes", "root": "data/embedded", "count": 20}
GOOD_POLICY: list[Any] = [
    {"HorizontalFlip": {"p": 0.5}},
    {"RandomResizedCrop": {"size": [96, 96], "scale": [0.5, 1.0]}},
    {"OneOf": {"transforms": [{"GaussNoise": {}}, {"GaussianBlur": {"blur_limit": [3, 5]}}], "p": 0.3}},
    {"MixUp": {"alpha": 0.2, "p": 0.5}},
    {"CutMix": {}},
]


def load(tmp_path: Path, policy: Any, model: dict[str, Any] = CLASSIFIER, **more: Any) -> Params:
    values: dict[str, Any] = {
        "seed": 1,
        "datasets": {"digits": {"format": "digits", "root": "data/embedded"}, "scenes": SCENES},
        "augmentations": {"own": {"dataset": model["dataset"], "policy": policy}},
        "trainer": {},
        "evaluation": {},
        "models": {"net": deepcopy(model)},
        **more,
    }
    YAML(typ="safe").dump(deepcopy(values), tmp_path / "params.yaml")
    return load_params(tmp_path / "params.yaml")


def told(tmp_path: Path, *arguments: Any, **more: Any) -> str:
    """Return the single line of a refusal."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path, *arguments, **more)
    assert len(error.value.lines) == 1, error.value.lines
    return error.value.lines[0].removeprefix(f"{tmp_path / 'params.yaml'}: ")


def test_a_list_of_transforms_with_mixing_is_read(tmp_path: Path) -> None:
    params = load(tmp_path, GOOD_POLICY)
    own = params.augmentation("own")
    assert (own.copies, own.max_lost_boxes) == (0, 0.1)
    transforms, mixing = divide_policy(own.policy)
    assert transforms == GOOD_POLICY[:3]
    assert mixing == [MixUp(alpha=0.2, p=0.5), CutMix(alpha=1.0, p=0.5)]
    load(tmp_path, [{"HorizontalFlip": {}}, {"Mosaic": {}}], DETECTOR)
    load(tmp_path, "light", augmentations={}, model={**CLASSIFIER, "augment": "tencrop"})


BROKEN = {
    "unknown transform": (
        [{"HorizontalFlop": {}}],
        "[0].HorizontalFlop: unknown transform (did you mean HorizontalFlip?)",
    ),
    "unknown argument": (
        [{"Blur": {}}, {"GaussianBlur": {"blur_limt": 3}}],
        "[1].GaussianBlur.blur_limt: unknown argument (did you mean blur_limit?)",
    ),
    "out of range": (
        [{"HorizontalFlip": {}}, {"RandomResizedCrop": {"size": [96, 96], "scale": [0.5, 3.0]}}],
        "[1].RandomResizedCrop.scale: All values in (0.5, 3.0) must be >= 0 and <= 1",
    ),
    "chance": ([{"Blur": {"p": 1.5}}], "[0].Blur.p: 1.5 is not allowed, must be less than or equal to 1"),
    "wrong type": ([{"Affine": {"scale": "big"}}], "[0].Affine.scale: 'big' is not allowed, must be tuple, or number"),
    "missing argument": ([{"RandomCrop": {"height": 9}}], "[0].RandomCrop.width: missing"),
    "no mapping": ([{"Blur": None}], "[0].Blur: None is not a mapping of arguments; write {Blur: {}} for the defaults"),
    "no transform": (["Blur"], "[0]: 'Blur' is not one transform with its arguments"),
    "two at once": ([{"Blur": {}, "D4": {}}], "[0]: {'Blur': {}, 'D4': {}} is not one transform"),
    "inside a composition": (
        [{"OneOf": {"transforms": [{"Blur": {}}, {"Nose": {}}]}}],
        "[0].OneOf.transforms[1].Nose: unknown transform",
    ),
    "empty composition": ([{"OneOf": {"transforms": []}}], "[0].OneOf.transforms: [] is not a list of transforms"),
    "more than there are": (
        [{"SomeOf": {"transforms": [{"Blur": {}}], "n": 3}}],
        "[0].SomeOf.n: 3 is not allowed, must be an integer from 1 to 1",
    ),
    "mixing out of range": ([{"MixUp": {"alpha": -1}}], "[0].MixUp.alpha: -1 is not allowed, must be greater than 0"),
    "mixing argument": ([{"CutMix": {"alhpa": 1}}], "[0].CutMix.alhpa: unknown argument (did you mean alpha?)"),
    "mixing inside": (
        [{"OneOf": {"transforms": [{"MixUp": {}}]}}],
        "[0].OneOf.transforms[0].MixUp: mixes whole batches; put it at the top of the policy",
    ),
    "what the device does": ([{"Normalize": {}}], "[0].Normalize: not needed, as images are normalised on the device"),
    "functions": ([{"Lambda": {}}], "[0].Lambda: needs functions, which cannot be written in a file"),
    "colours of grey images": (
        [{"ISONoise": {}}],
        "[0].ISONoise: fails on an image of 28 x 28 x 1: This transformation expects 3-channel images",
    ),
    "too large a crop": (
        [{"RandomCrop": {"height": 200, "width": 200}}],
        "[0].RandomCrop: fails on an image of 28 x 28 x 1: Crop size",
    ),
}


@pytest.mark.parametrize(("policy", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_each_mistake_in_a_policy_is_one_line(tmp_path: Path, policy: Any, line: str) -> None:
    assert told(tmp_path, policy).startswith(f"augmentations.own.policy{line}")


UNFIT = {
    "torn objects": (
        [{"RandomGridShuffle": {}}],
        "augmentations.own.policy[0].RandomGridShuffle: does not move boxes, masks and key points with their objects "
        "(models.net, task.kind: detection)",
    ),
    "reflections": (
        [{"Blur": {}}, {"Rotate": {"border_mode": 4}}],
        "augmentations.own.policy[1].Rotate: duplicates points where it reflects the image; set border_mode: 0",
    ),
    "labels of boxes": (
        [{"MixUp": {}}],
        "models.net.augment: own has MixUp, which is for classification, multilabel, but task.kind is detection",
    ),
}


@pytest.mark.parametrize(("policy", "line"), UNFIT.values(), ids=UNFIT.keys())
def test_what_a_detector_cannot_use_is_refused(tmp_path: Path, policy: Any, line: str) -> None:
    assert told(tmp_path, policy, DETECTOR).startswith(line)


def test_what_a_classifier_cannot_use_is_refused(tmp_path: Path) -> None:
    line = "models.net.augment: own has Mosaic, which is for detection, instance_segmentation, semantic_segmentation"
    assert told(tmp_path, [{"Mosaic": {}}]).startswith(line)
    hinge = {**CLASSIFIER, "task": {**CLASSIFIER["task"], "loss": "hinge"}}
    line = "models.net.augment: own has CutMix, which needs task.loss: cross_entropy, but it is hinge"
    assert told(tmp_path, [{"CutMix": {}}], hinge) == line


def test_names_and_data_sets_must_fit(tmp_path: Path) -> None:
    other = {**CLASSIFIER, "augment": "owm"}
    assert told(tmp_path, "light", other).endswith("tencrop, own (did you mean own?)")
    assert told(tmp_path, "light", {**DETECTOR}, augmentations={"own": {"dataset": "digits", "policy": "light"}}) == (
        "models.net.augment: own is for the data set digits, but dataset is scenes"
    )
    ready = {"light": {"dataset": "digits", "policy": "light"}}
    assert told(tmp_path, "light", {**CLASSIFIER, "augment": "light"}, augmentations=ready) == (
        "augmentations.light: is the name of a ready-made policy; choose another name"
    )
    assert "is not among datasets" in told(
        tmp_path, "light", augmentations={"own": {"dataset": "digit", "policy": "light"}}
    )
    line = told(tmp_path, "lite")
    assert line.startswith("augmentations.own.policy: 'lite' is not allowed, use one of none, strip, light")
    extra = {"own": {"dataset": "digits", "policy": "light", "copeis": 3}}
    assert told(tmp_path, "", augmentations=extra) == "augmentations.own.copeis: unknown key (did you mean copies?)"


@pytest.mark.parametrize(("policy", "libraries"), [("light", []), ([{"Blur": {}}], ["albumentations"])])
def test_checking_imports_little(tmp_path: Path, policy: Any, libraries: list[str]) -> None:
    load(tmp_path, policy)
    script = (
        "import sys; from pathlib import Path; from sightline.config import load_params;"
        f"load_params(Path({str(tmp_path / 'params.yaml')!r}));"
        "print([name for name in ('albumentations', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(libraries)
