"""Makes every picture of a model that was asked for, from images of the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.config.explanations import ExplainMethod, Explanation
from sightline.data.cache import counted
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import UINT8
from sightline.evaluation.explain.activations import activations_picture
from sightline.evaluation.explain.filters import filters_picture
from sightline.evaluation.explain.heat import HeatMethod
from sightline.evaluation.explain.heat_pictures import Subject, heat_pictures
from sightline.evaluation.explain.layers import MapLayer, map_layers, require_layers, shown_layers
from sightline.evaluation.explain.neighbours import neighbours_picture
from sightline.evaluation.explain.patches import patches_picture, seen_areas
from sightline.evaluation.explain.picture import Picture, write_pictures
from sightline.evaluation.explain.randomisation import with_random_weights
from sightline.evaluation.explain.responses import responses
from sightline.evaluation.explain.targets import require_targets, surest_targets
from sightline.evaluation.explain.visualisation import visualisation_picture
from sightline.evaluation.predictor import load_network
from sightline.system.device import chosen_device
from sightline.system.errors import UserError
from sightline.tasks.base import Task

HEAT_METHODS: tuple[HeatMethod, ...] = get_args(HeatMethod)
_DEEPEST = 2  # layers whose single channels are shown


@dataclass(frozen=True)
class _Images:
    """N test images at the input's size, and their class ids, -1 for none."""

    pixels: UINT8
    labels: NDArray[np.int64]


def explain_model(model: Path, prepared: Path, settings: Explanation, seed: int, folder: Path) -> list[Picture]:
    """Write pictures and `explanations.json` into an existing folder.

    Args:
        model: the model directory, of a network.
        prepared: folder of the prepared data set.
        settings: the section `explanations.NAME`.
        seed: of random weights, orders, and ascents.
        folder: to write into; the model's name is taken from the model directory.

    Raises:
        UserError: no network there, other classes, or a method or layer that it does not have.
    """
    predictor = load_network(model, chosen_device(), "torch")
    task = predictor.task
    if predictor.card.labels.sha256 != load_labels(prepared).sha256:
        raise UserError(f"{model}: its classes are not those of {prepared}; train again with dvc repro")
    store = SplitStore(prepared / "test")
    order = by_class(store.labels)
    chosen = order[: max(settings.images, settings.samples)]
    pixels = np.asarray(predictor.seen([store.image(n) for n in chosen])[0])  # of one size, as nothing is tiled
    images = _Images(pixels, store.labels[chosen])
    pictures = list(_all_pictures(task, model.name, images, settings, seed))
    write_pictures(pictures, folder)
    return pictures


def by_class(labels: NDArray[np.int64]) -> list[int]:
    """Return all places of N labels, one of each class in turn, so that the first few have many classes."""
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own] = np.arange(len(own))
    order: list[int] = np.lexsort((labels, rank)).tolist()
    return order


def chosen_methods(task: Task, layers: Sequence[MapLayer], asked: Sequence[ExplainMethod] | None) -> list[str]:
    """Return the methods to use: those asked for, else all that this network takes.

    Raises:
        UserError: a method was asked for that explains the score of a class, which the task does not have.
    """
    heat = task.explains
    if asked is not None:
        if not heat and set(asked) & set(HEAT_METHODS):
            require_targets(task)
        return list(asked)
    spatial = any(min(layer.height, layer.width) > 1 for layer in layers)
    unfit = set() if heat else set(HEAT_METHODS)
    unfit |= set() if spatial else {"grad_cam"}
    return [method for method in get_args(ExplainMethod) if method not in unfit]


def _all_pictures(task: Task, name: str, images: _Images, settings: Explanation, seed: int) -> Iterator[Picture]:
    known = map_layers(task, images.pixels)
    if settings.layers is not None:
        require_layers(known, settings.layers)
    methods = chosen_methods(task, known, settings.methods)
    with counted(len(methods), f"explaining {name}") as advance:
        yield from _inside(task, name, images, settings, seed, known, methods, advance)
        some = slice(0, settings.samples)
        classes = task.labels.classes
        own = "label" in task.targets
        truths = [classes[k] if own and k >= 0 else None for k in images.labels[some]]
        subject = Subject(task, name, images.pixels[some], truths, settings.heat_layer, seed)
        yield from heat_pictures(subject, [m for m in HEAT_METHODS if m in methods], advance)


def _inside(
    task: Task,
    name: str,
    images: _Images,
    settings: Explanation,
    seed: int,
    known: Sequence[MapLayer],
    methods: Sequence[str],
    advance: Callable[[], None],
) -> Iterator[Picture]:
    """Make the pictures of what is inside the network."""
    pixels = _as_seen_inside(task, images.pixels[: settings.images])
    shape = (pixels.shape[1], pixels.shape[3])
    if "filters" in methods:
        picture = filters_picture(task, name, shape[1], shape[0], seed)
        if picture is not None:
            yield picture
        advance()
    inside = {"activations", "patches", "visualisation", "neighbours"} & set(methods)
    if not inside:
        return
    layers = settings.layers or shown_layers(known)
    renewed = with_random_weights(task, seed)
    answers, of_random = responses(task, pixels, layers), responses(renewed, pixels, layers)
    deep = layers[-_DEEPEST:]
    own, others = ({layer: found[layer] for layer in deep} for found in (answers, of_random))
    if "activations" in methods:
        yield activations_picture(task, name, pixels[0], answers, of_random)
        advance()
    if "patches" in methods:
        yield patches_picture(name, pixels, own, others, seen_areas(task, *shape, deep))
        advance()
    if "visualisation" in methods:
        yield visualisation_picture(task, name, shape, own, settings.ascent_steps, seed)
        advance()
    if "neighbours" in methods:
        labels = images.labels[: len(pixels)]
        yield neighbours_picture(task, renewed, name, pixels, labels, layers[-1], seed)
        advance()


def _as_seen_inside(task: Task, pixels: UINT8) -> UINT8:
    """Return what the layers see: the images, or of a sliding window the most confident window of each."""
    side = task.window
    if side is None:
        return pixels
    windows = []
    for image, target in zip(pixels, surest_targets(task, pixels), strict=True):
        assert target.box is not None
        left, top, right, bottom = (round(edge) for edge in target.box)
        window = cv2.resize(image[top:bottom, left:right], (side, side), interpolation=cv2.INTER_AREA)
        windows.append(window.reshape(side, side, -1))
    return np.stack(windows)
