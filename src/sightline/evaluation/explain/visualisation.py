"""Feature visualisation: images that channels and classes like best, made from noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.structures import UINT8
from sightline.evaluation.explain.ascent import ascended
from sightline.evaluation.explain.layers import forward_layers
from sightline.evaluation.explain.picture import Check, Picture, tell_checks
from sightline.evaluation.explain.responses import Responses, choosy_channels, responses
from sightline.evaluation.explain.tiling import tiled
from sightline.evaluation.report.figures import INK, SMALL, new_figure, plain
from sightline.tasks.base import Task

CHANNELS, CLASSES = 8, 10
_SIDE = 96  # pixels of a drawn image


class _Reached(Exception):  # noqa: N818 - no error: the rest of the forward pass is not needed
    pass


def channel_images(
    task: Task, layer: str, channels: Sequence[int], shape: tuple[int, int], steps: int, seed: int
) -> tuple[UINT8, UINT8]:
    """Return first and made images for channels of a layer.

    Args:
        task: in evaluation mode.
        layer: its name.
        channels: whose mean activation is raised.
        shape: height (and width) of the images in pixels, and their channels.
        steps: of the ascent.
        seed: of its start.
    """
    kept: list[Tensor] = []

    def stop(module: Any, inputs: Any, output: Tensor) -> None:
        kept[:] = [output]
        raise _Reached

    def objective(images: Tensor) -> Tensor:
        with suppress(_Reached):
            forward_layers(task, images)
        values = kept[0].flatten(2).mean(2) if kept[0].ndim == 4 else kept[0]
        return values[:, list(channels)].diagonal()

    hook = task.inner_network.get_submodule(layer).register_forward_hook(stop)
    try:
        return ascended(objective, len(channels), *shape, steps, seed, task.mean.device)
    finally:
        hook.remove()


def class_images(
    task: Task, classes: Sequence[int], shape: tuple[int, int], steps: int, seed: int
) -> tuple[UINT8, UINT8]:
    """Return first and made images for classes; arguments are those of `channel_images`."""

    def objective(images: Tensor) -> Tensor:
        scores = task.class_scores(forward_layers(task, images))[:, list(classes)]
        own = scores.diagonal()
        return own - scores.mean(1)  # what all classes respond to is not a feature of one

    return ascended(objective, len(classes), *shape, steps, seed, task.mean.device)


def visualisation_picture(
    task: Task,
    name: str,
    shape: tuple[int, int],
    answers: Mapping[str, Responses],
    steps: int,
    seed: int,
) -> Picture:
    """Make and draw images for channels of each layer, and for the output classes where the task has some.

    Args:
        task: in evaluation mode.
        name: of the model.
        shape: height (and width) of the input in pixels, and its channels.
        answers: of each layer to test images, which made images are compared with.
        steps: of each ascent.
        seed: of its start.
    """
    rows: list[tuple[str, UINT8, list[str]]] = []
    gains: list[tuple[float, float]] = []
    for layer, own in answers.items():
        channels = choosy_channels(own, CHANNELS)
        if channels:
            before, made = channel_images(task, layer, channels, shape, steps, seed)
            rows.append((f"channels of {layer}", made, [str(channel) for channel in channels]))
            gains.append((_gain(task, layer, channels, made, own), _gain(task, layer, channels, before, own)))
    checks = [_excitement(gains)] if gains else []
    if task.explains:
        names = task.class_names
        classes = list(range(len(names)))[:CLASSES]
        _, made = class_images(task, classes, shape, steps, seed)
        rows.append(("output classes", made, [names[k] for k in classes]))
        checks.append(_recognition(task, classes, made))
    figure = _draw(name, rows, checks)
    caption = (
        "Each square is optimised from noise so that one channel, or one class, responds to it as strongly as possible."
    )
    return Picture("visualisation", "Feature visualisation", caption, "Olah et al. 2017", tuple(checks), figure)


def _gain(task: Task, layer: str, channels: Sequence[int], images: UINT8, answers: Responses) -> float:
    """Return the median, over channels, of the answer to a made image by the best answer to a test image."""
    answered = responses(task, images, [layer])[layer].largest[np.arange(len(channels)), channels]
    best = answers.largest[:, channels].max(0)
    return float(np.median(answered / np.maximum(best, 1e-6)))


def _excitement(gains: Sequence[tuple[float, float]]) -> Check:
    made, noise = (float(np.mean([pair[k] for pair in gains])) for k in (0, 1))
    passes = made > max(1.0, noise)
    told = f"the channels respond to these images {made:.1f} times as strongly as to the best test image "
    told += f"(noise {noise:.1f} times){'' if passes else '; the images do NOT show what they respond to most'}."
    return Check("excitement", made, noise, passes, told)


def _recognition(task: Task, classes: Sequence[int], images: UINT8) -> Check:
    with torch.no_grad():
        scores = task.class_scores(forward_layers(task, torch.from_numpy(images)))[:, list(classes)]
    share = float(np.mean(scores.argmax(1).cpu().numpy() == np.arange(len(classes))))
    guess = 1 / len(classes)
    passes = share > max(guess, 0.5)
    told = f"{share:.0%} of the images made for a class are predicted as that class (guessing {guess:.0%})"
    return Check("recognition", share, guess, passes, f"{told}{'' if passes else ': they do NOT show the classes'}.")


def _draw(name: str, rows: Sequence[tuple[str, UINT8, list[str]]], checks: Sequence[Check]) -> Any:
    most = max((len(images) for _, images, _ in rows), default=1)
    height = max(1, len(rows)) * 1.55 + 0.6 + 0.3 * len(checks)
    figure, axes = new_figure(max(1, len(rows)), 1, width=max(6.0, 1.15 * most), height=height)
    for axis in axes:
        axis.axis("off")
        axis.set_anchor("NW")
    for axis, (title, images, names) in zip(axes, rows, strict=False):
        page = tiled(list(images), most, _SIDE)
        axis.imshow(page, extent=(0, page.shape[1], len(page), 0))
        for number, word in enumerate(names):
            place = number * (_SIDE + 3) + _SIDE / 2
            axis.text(place, _SIDE + 4, plain(word, 14), fontsize=7, color=INK, ha="center", va="top")
        axis.set_xlim(0, most * (_SIDE + 3))
        axis.set_title(plain(title, 90), loc="left", fontsize=SMALL, color=INK, pad=3)
    figure.suptitle(f"{name}: images made to excite", fontsize=11)
    tell_checks(figure, checks)
    return figure
