"""The parts of test images that excite a channel most (Zeiler and Fergus 2014; Zhou et al. 2015)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sightline.data.images import PAD_VALUE
from sightline.data.structures import UINT8
from sightline.evaluation.explain.layers import forward_layers
from sightline.evaluation.explain.picture import Check, Picture, tell_checks
from sightline.evaluation.explain.responses import Responses, choosy_channels
from sightline.evaluation.explain.tiling import tiled
from sightline.evaluation.report.figures import FAINT, INK, SMALL, new_figure, plain
from sightline.models.inspect.operations import Call
from sightline.models.inspect.receptive_field import ReceptiveFields
from sightline.tasks.base import Task

CHANNELS, PATCHES = 6, 9
_SIDE = 64  # pixels of a drawn patch

Corner = tuple[int, int, int, int]


@dataclass(frozen=True)
class Patch:
    """Part of an image: its number, and the first row, first column, row and column behind the last."""

    image: int
    corner: Corner


class _Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows what each value of a forward pass depends on."""

    def __init__(self, fields: ReceptiveFields) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fields = fields

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        self.fields.follow(Call.of(func, args, kwargs or {}), outputs)
        return outputs


def seen_areas(task: Task, size: int, channels: int, layers: Sequence[str]) -> dict[str, list[list[Corner]]]:
    """Return, for each layer, row and column of its map, the part of the image that it depends on.

    Args:
        task: in evaluation mode.
        size: height and width of the image, pixels.
        channels: of the image.
        layers: that put out N x C x h x w.

    Returns:
        Corners as in `Patch`; they reach beyond the image where padding is seen.
    """
    if task.mean.device.type != "cpu":  # what depends on what is followed there
        task = copy.deepcopy(task).cpu()
    image = torch.zeros(1, size, size, channels).permute(0, 3, 1, 2)
    fields = ReceptiveFields(image)
    found: dict[str, list[list[Corner]]] = {}
    network = task.inner_network

    def note(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Tensor) -> None:
            found[name] = _corners(fields.edges(output), output.shape)

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(note(name)) for name in layers]
    try:
        with torch.no_grad(), _Following(fields):
            forward_layers(task, image.permute(0, 2, 3, 1))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _corners(reach: tuple[Tensor, ...] | None, shape: torch.Size) -> list[list[Corner]]:
    height, width = shape[2:] if len(shape) == 4 else (1, 1)
    if reach is None:
        return [[(0, 0, 0, 0)] * width for _ in range(height)]
    spread = [mark.expand(shape).amax((0, 1)).reshape(height, width).tolist() for mark in reach]
    top, bottom, left, right = spread
    return [
        [(round(-top[i][j]), round(-left[i][j]), round(bottom[i][j]) + 1, round(right[i][j]) + 1) for j in range(width)]
        for i in range(height)
    ]


def exciting_patches(answers: Responses, areas: Sequence[Sequence[Corner]], channel: int) -> list[Patch]:
    """Return the patches that excite a channel most, one of each image, the most exciting first."""
    order = np.argsort(-answers.largest[:, channel], kind="stable")[:PATCHES]
    places = [divmod(int(answers.place[image, channel]), answers.width) for image in order]
    return [Patch(int(image), areas[row][column]) for image, (row, column) in zip(order, places, strict=True)]


def cut(pixels: UINT8, corner: Corner) -> UINT8:
    """Return a square around a part of an S x S x C image, RGB; grey where it reaches beyond the image."""
    top, left, bottom, right = corner
    size = len(pixels)
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, size), min(right, size)
    side = max(bottom - top, right - left, 1)
    square = np.full((side, side, 3), PAD_VALUE, np.uint8)
    square[: bottom - top, : right - left] = pixels[top:bottom, left:right]
    return square


def patches_picture(
    name: str,
    pixels: UINT8,
    answers: Mapping[str, Responses],
    of_random: Mapping[str, Responses],
    areas: Mapping[str, list[list[Corner]]],
) -> Picture:
    """Draw for channels of each layer the patches of the test images that excite them most.

    Args:
        name: of the model.
        pixels: N x S x S x C uint8, the images that `answers` are about.
        answers: of each layer to draw.
        of_random: the same of random weights.
        areas: of `seen_areas`.
    """
    layers = list(answers)
    checks = _checks(answers, of_random)
    height = CHANNELS * 0.6 + 0.9 + 0.3 * len(checks)
    figure, axes = new_figure(1, len(layers), width=max(7.0, 5.6 * len(layers)), height=height)
    for axis, layer in zip(axes, layers, strict=True):
        channels = choosy_channels(answers[layer], CHANNELS)
        rows = [
            [cut(pixels[p.image], p.corner) for p in exciting_patches(answers[layer], areas[layer], channel)]
            for channel in channels
        ]
        axis.axis("off")
        if rows:
            axis.imshow(tiled([patch for row in rows for patch in row], len(rows[0]), _SIDE))
        for number, channel in enumerate(channels):
            place = number * (_SIDE + 3) + _SIDE / 2
            axis.text(-6, place, f"{channel}", fontsize=SMALL, color=FAINT, ha="right", va="center")
        middle = areas[layer][answers[layer].height // 2][answers[layer].width // 2]
        told = f"{plain(layer, 40)}: a value sees {middle[2] - middle[0]} x {middle[3] - middle[1]} pixels"
        axis.set_title(told, loc="left", fontsize=SMALL, color=INK, pad=4)
    figure.suptitle(f"{name}: what excites single channels most (a row per channel, {len(pixels)} test images)")
    tell_checks(figure, checks)
    caption = (
        "Each row shows the parts of test images to which one channel responds most: what they "
        "share is what it detects."
    )
    return Picture("patches", "Most exciting patches", caption, "Zeiler and Fergus 2014", checks, figure)


def _checks(answers: Mapping[str, Responses], of_random: Mapping[str, Responses]) -> tuple[Check, ...]:
    value, random = (float(np.mean([_choosiness(one) for one in own.values()])) for own in (answers, of_random))
    told = f"the channels respond to their best patches {value:.1f} times as strongly as to an average image (random "
    told += (
        f"weights {random:.1f} times): training has made them "
        f"{'more selective' if value > random else 'NOT more selective'}."
    )
    return (Check("choosiness", value, random, value > random, told),)


def _choosiness(answers: Responses) -> float:
    """Return the mean, over channels that are ever excited, of the best answers by the mean answer."""
    alive = answers.largest[:, answers.largest.mean(0) > 0]
    if not alive.size:
        return 0.0
    best = np.sort(alive, axis=0)[-PATCHES:].mean(0)
    return float(np.median(best / alive.mean(0)))
