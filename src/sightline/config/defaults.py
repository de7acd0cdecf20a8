"""What a model is given where its section leaves a key out, each with the reason why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline.config.base import TaskSection
from sightline.config.published import input_of_weights, published_input
from sightline.config.recipes import Known, recipe_values
from sightline.config.tasks import kinds

_Path = tuple[str, ...]
_RULES = {"hebb": "hebb", "perceptron": "rosenblatt"}  # loss -> the optimizer that goes with it


def complete_model(section: Any) -> Any:
    """Return a model's section with all defaults filled in; values that are not mappings are left to the schema."""
    if not isinstance(section, dict):
        return section
    full = {**section, "task": as_mapping(section["task"])} if "task" in section else dict(section)
    for path, (value, _) in missing_of_model(section):
        here = full
        for part in path[:-1]:
            here[part] = dict(here.get(part, {}))
            here = here[part]
        here[path[-1]] = value
    return full


def as_mapping(task: Any) -> Any:
    """Return `task: KIND` as the mapping that it stands for."""
    return {"kind": task} if isinstance(task, str) else task


def missing_of_model(section: Any) -> Iterator[tuple[_Path, tuple[Any, str]]]:
    """Yield the path of each key that a model's section leaves out, with its value and the reason for it."""
    task = as_mapping(section.get("task")) if isinstance(section, dict) else None
    if not isinstance(task, dict) or task.get("kind") not in kinds():
        return
    kind = kinds()[task["kind"]]
    network = {key: (value, why) for key, value, why in kind.missing(task)}
    yield from ((("task", key), found) for key, found in network.items())
    known = {key: field.default for key, field in kind.model_fields.items()} | task
    known |= {key: value for key, (value, _) in network.items()}
    trunk = str(known.get("backbone") or known.get("architecture") or "")
    published = ":" in trunk
    weights = section.get("weights", "pretrained" if published else "random")
    if "weights" not in section:
        why = "published for this network" if published else "nobody publishes weights for this network"
        yield ("weights",), (weights, why)
    image = section.get("input", {})
    yield from missing_of_input(image, weights, trunk, kind.default_size, sized=kind.takes_published_size)
    if kind.default_width is not None and isinstance(image, dict) and not {"size", "width"} & set(image):
        yield ("input", "width"), kind.default_width
    recipe = dict(_of_recipe(section, task, known, weights == "random"))
    yield from recipe.items()
    if "augment" not in section and ("augment",) not in recipe:
        yield ("augment",), kind.default_augment
    if "optimizer" not in section and ("optimizer",) not in recipe:
        scheduled = "schedule" in section or ("schedule",) in recipe
        yield from _optimizer(known, scheduled, weights == "random")


def _of_recipe(
    section: Mapping[str, Any], task: Mapping[str, Any], known: Mapping[str, Any], random: bool
) -> Iterator[tuple[_Path, tuple[Any, str]]]:
    """Yield what the recipe of a section says of the keys that are not written there."""
    trainer = section.get("trainer", {})
    if section.get("recipe") is None or not isinstance(trainer, dict):
        return
    written = (
        {(name,) for name in section} | {("trainer", name) for name in trainer} | {("task", name) for name in task}
    )
    if "ema_decay" in trainer:  # another unit of the same
        written.add(("trainer", "ema_epochs"))
    if "optimizer" in section:  # one of another kind has no use for the rest
        written.add(("schedule",))
    epochs = trainer.get("max_epochs")
    given = Known(kinds()[task["kind"]], random, known.get("loss"), epochs if isinstance(epochs, int) else None)
    for path, value, why in recipe_values(section["recipe"], given):
        if path not in written:
            yield path, (value, why)


def complete_features(section: Any) -> Any:
    """Return a section of features with what its network's weights were trained on, as `complete_model`."""
    if not isinstance(section, dict):
        return section
    full = dict(section)
    for (part, key), (value, _) in missing_of_features(section):
        full[part] = {**(full.get(part) or {}), key: value}
    return full


def missing_of_features(section: Any) -> Iterator[tuple[_Path, tuple[Any, str]]]:
    """Yield what a section of features with a network leaves out, as `missing_of_model` does."""
    own = section.get("extractor") if isinstance(section, dict) else None
    if not isinstance(own, dict) or own.get("kind") != "network":
        return
    image, network = section.get("input") or {}, str(own.get("architecture", ""))
    yield from missing_of_input(image, section.get("weights"), network, TaskSection.default_size, sized=True)


def missing_of_input(
    image: Any, weights: Any, network: str, usual: tuple[int, str], *, sized: bool
) -> Iterator[tuple[_Path, tuple[Any, str]]]:
    """Yield what a section `input` leaves out, as `missing_of_model` does: what the weights were trained on.

    Args:
        image: the section.
        weights: what the network begins with.
        network: as in `timm:resnet18`.
        usual: size where the weights do not say it, and why.
        sized: whether the size is that of the weights.
    """
    if not isinstance(image, dict):
        return
    found = input_of_weights(weights, network)
    size = found.pop("size", None)
    if "size" not in image:
        known = sized and size is not None
        yield ("input", "size"), (size, f"that of the weights of {network}") if known else usual
    if image.get("channels", 3) == 3 and image.get("mean") is None and image.get("std") is None:
        yield from ((("input", key), (value, f"that of the weights of {network}")) for key, value in found.items())
    published = published_input(network)
    if published is not None and isinstance(weights, str) and weights != "random" and not image.get("interpolation"):
        why = f"measured as good as {published.interpolation}, with which the weights were trained, and faster"
        yield ("input", "interpolation"), ("area", why)


def _optimizer(task: Mapping[str, Any], scheduled: bool, random: bool) -> Iterator[tuple[_Path, tuple[Any, str]]]:
    if rule := _RULES.get(str(task.get("loss"))):
        yield ("optimizer",), ({"name": rule}, "the rule of this loss")
        return
    rate = 1e-3 if random else 5e-4
    why = "a rate for random weights" if random else "a rate that keeps what the given weights know"
    yield ("optimizer",), ({"name": "adamw", "lr": rate, "weight_decay": 0.05}, why)
    if not scheduled:
        yield ("schedule",), ({"name": "one_cycle"}, "up and down again once: good in few epochs")
