"""How augmentations and models fit together: what `load_params` checks across kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, assert_never

from sightline.config.augmentations import (
    MIRRORING_POLICIES,
    READY_POLICIES,
    Augmentation,
    CutMix,
    Mixing,
    MixUp,
    Mosaic,
    ReadyPolicy,
    divide_policy,
)
from sightline.config.models import Model
from sightline.config.tasks import Task, kinds
from sightline.config.transforms import find_mirroring, find_mistakes
from sightline.system.errors import nearest


def find_variation_mistakes(
    datasets: Mapping[str, object],
    augmentations: Mapping[str, Augmentation],
    models: Mapping[str, Model],
    policies: Collection[str],
) -> list[str]:
    """Return one line per error in augmentations, and in what models make of them, without the file's name.

    `policies`: the names of those whose transforms are looked at as well, for which Albumentations is imported.
    """
    told: list[str] = []
    for name, own in augmentations.items():
        if name in READY_POLICIES:
            told.append(f"augmentations.{name}: is the name of a ready-made policy; choose another name")
        if own.dataset not in datasets:
            otherwise = f" ({', '.join(datasets)})"
            near = nearest(own.dataset, datasets, otherwise)
            told.append(f"augmentations.{name}.dataset: {own.dataset!r} is not among datasets{near}")
        if name in policies and isinstance(own.policy, list):
            told += [f"augmentations.{name}.policy{place}: {what}" for place, what in find_mistakes(own.policy)]
    if told:
        return told
    return [line for name, model in models.items() for line in _misuses(name, model, augmentations, policies)]


def _misuses(
    name: str, model: Model, augmentations: Mapping[str, Augmentation], policies: Collection[str]
) -> Iterator[str]:
    key, path = model.augment, f"models.{name}.augment"
    if key in READY_POLICIES:
        return
    if key not in augmentations:
        known = [*READY_POLICIES, *augmentations]
        yield f"{path}: {key!r} is not allowed, use one of {', '.join(known)}{nearest(key, known)}"
        return
    own = augmentations[key]
    if own.dataset != model.dataset:
        yield f"{path}: {key} is for the data set {own.dataset}, but dataset is {model.dataset}"
        return
    if key not in policies and not isinstance(own.policy, str):
        return
    for place, what in () if model.task.takes_mirrored else _mirroring(own.policy):
        yield f"augmentations.{key}.policy{place}: {what} (models.{name}, task.kind: {model.task.kind})"
    if isinstance(own.policy, str):
        return
    from sightline.config.trials import find_misfits

    for mixing in divide_policy(own.policy)[1]:
        if unfit := _unfit(mixing, model.task):
            yield f"{path}: {key} has {type(mixing).__name__}, which {unfit}"
    kind, size, channels = model.task.kind, model.input.extent, model.input.channels
    for place, what in find_misfits(own.policy, size, channels, model.task.spatial):
        yield f"augmentations.{key}.policy{place}: {what} (models.{name}, task.kind: {kind})"


def _mirroring(policy: ReadyPolicy | list[Any]) -> Iterator[tuple[str, str]]:
    """Yield place and kind of what mirrors images in a policy, after which a text is no text."""
    if not isinstance(policy, str):
        yield from find_mirroring(policy)
    elif policy in MIRRORING_POLICIES:
        yield "", f"{policy} mirrors images, and mirrored text is no text"


def _unfit(mixing: Mixing, task: Task) -> str:
    """Return why a kind of mixing does not suit a task, or nothing."""
    match mixing:
        case MixUp() | CutMix():
            suits = [kind for kind, own in kinds().items() if own.mixes_labels]
            loss, losses = getattr(task, "loss", None), task.losses_of_mixed_labels
            if losses and loss not in losses:
                return f"needs task.loss: {' or '.join(losses)}, but it is {loss}"
        case Mosaic():
            suits = [kind for kind, own in kinds().items() if own.mixes_objects]
        case _:
            assert_never(mixing)
    return "" if task.kind in suits else f"is for {', '.join(suits)}, but task.kind is {task.kind}"
