"""What a model is given where its section leaves a key out, each with the reason why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NETWORK = "timm:tf_efficientnet_lite0"
_SMALL_NETWORK = "mnist_cnn"
_PIXELS = {"detection": 320, "instance_segmentation": 320, "semantic_segmentation": 256, "autoencoder": 64}
_WHOLE_IMAGES = ("classification", "multilabel", "regression", "localization")
_BACKBONES = ("detection", "instance_segmentation", "keypoints")
_OF_UNET = ("architecture", "backbone", "depth", "upsampling", "stride", "width")
_RULES = {"hebb": "hebb", "perceptron": "rosenblatt"}  # loss -> the optimizer that goes with it


def complete_model(section: Any) -> Any:
    """Return a model's section with all defaults filled in; values that are not mappings are left to the schema."""
    return fill(section, dict(missing_of_model(section)))


def fill(section: Any, missing: dict[tuple[str, ...], tuple[Any, str]]) -> Any:
    """Return a section with the missing values added, each at its path; `task: KIND` becomes a mapping."""
    if not isinstance(section, dict):
        return section
    full = dict(section)
    if isinstance(full.get("task"), str):
        full["task"] = {"kind": full["task"]}
    for path, (value, _) in missing.items():
        here = full
        for part in path[:-1]:
            here[part] = dict(here.get(part, {}))
            here = here[part]
        here[path[-1]] = value
    return full


def missing_of_model(section: Any) -> Iterator[tuple[tuple[str, ...], tuple[Any, str]]]:
    """Yield the path of each key that a model's section leaves out, with its value and the reason for it."""
    if not isinstance(section, dict):
        return
    task = section.get("task")
    task = {"kind": task} if isinstance(task, str) else task
    if not isinstance(task, dict) or not isinstance(task.get("kind"), str):
        return
    network = dict(_network(task))
    yield from network.items()
    task = {**task, **{path[1]: value for path, (value, _) in network.items()}}
    kind, trunk = task["kind"], str(task.get("backbone") or task.get("architecture") or "")
    weights = section.get("weights", "pretrained" if ":" in trunk else "random")
    if "weights" not in section:
        why = "published for this network" if weights == "pretrained" else "no published weights for this network"
        yield ("weights",), (weights, why)
    image = section.get("input", {})
    if isinstance(image, dict) and "size" not in image:
        size = _PIXELS.get(kind, 224)
        why = "objects and regions need more pixels" if size > 224 else "most networks were published for it"
        yield ("input", "size"), (size, "enough for a short code" if kind == "autoencoder" else why)
    if "augment" not in section:
        plain = kind == "autoencoder"
        yield (
            ("augment",),
            ("none", "the task is to reproduce the image unchanged")
            if plain
            else ("light", "small shifts and changes of light, no mirroring"),
        )
    if "optimizer" not in section:
        yield from _optimizer(task, "schedule" in section, weights == "random")


def _network(task: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], tuple[Any, str]]]:
    kind = task["kind"]
    good = "small, accurate, and fast on a CPU"
    if kind in _WHOLE_IMAGES and "architecture" not in task:
        yield ("task", "architecture"), (NETWORK, good)
    elif kind in _BACKBONES and "backbone" not in task:
        yield ("task", "backbone"), (NETWORK, good)
    elif kind == "semantic_segmentation" and not any(option in task for option in _OF_UNET):
        yield ("task", "architecture"), ("semantic_fpn", "takes a backbone with published weights")
        yield ("task", "backbone"), (NETWORK, good)
    elif kind == "sliding_window" and "architecture" not in task:
        yield ("task", "architecture"), (_SMALL_NETWORK, "its windows are small")


def _optimizer(
    task: dict[str, Any], scheduled: bool, random: bool
) -> Iterator[tuple[tuple[str, ...], tuple[Any, str]]]:
    if rule := _RULES.get(str(task.get("loss"))):
        yield ("optimizer",), ({"name": rule}, "the rule that belongs to this loss")
        return
    rate = 1e-3 if random else 5e-4
    why = "a rate for random weights" if random else "a low rate that preserves the pretrained weights"
    yield ("optimizer",), ({"name": "adamw", "lr": rate, "weight_decay": 0.05}, why)
    if not scheduled:
        yield ("schedule",), ({"name": "one_cycle"}, "rises and falls once: good results in few epochs")
