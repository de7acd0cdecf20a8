"""What every layer makes of an image, and how much of it is silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.layers import forward_layers, watched
from sightline.evaluation.explain.picture import Check, Picture, tell_checks
from sightline.evaluation.explain.responses import Responses
from sightline.evaluation.explain.tiling import coloured, tiled
from sightline.evaluation.report.figures import INK, SMALL, new_figure, plain
from sightline.tasks.base import Task, numbers

_MAPS, _COLUMNS, _SIDE = 24, 12, 56
_MANY_DEAD = 0.1  # share of channels


def activations_picture(
    task: Task, name: str, pixels: UINT8, answers: Mapping[str, Responses], of_random: Mapping[str, Responses]
) -> Picture:
    """Draw the strongest maps of each layer for one image, and compute what share of them is zero over many images.

    Args:
        task: in evaluation mode.
        name: of the model.
        pixels: S x S x C uint8, the image.
        answers: of each layer to draw, to many images.
        of_random: the same of random weights.
    """
    layers = list(answers)
    with watched(task, layers) as found, torch.no_grad():
        forward_layers(task, torch.from_numpy(np.array(pixels))[None])
        maps = {layer: numbers(found[layer][0]) for layer in layers}
    pages = [tiled([pixels], 1, _SIDE), *(_page(maps[layer]) for layer in layers)]
    words = ["the image", *(_told(layer, own) for layer, own in answers.items())]
    checks = _checks(answers, of_random)
    inches = [len(page) / 75 + 0.32 for page in pages]
    figure, axes = new_figure(len(pages), 1, width=9.6, height=sum(inches) + 0.6 + 0.35 * len(checks))
    gridspec = axes[0].get_gridspec()
    assert gridspec is not None
    gridspec.set_height_ratios(inches)
    for axis, page, told in zip(axes, pages, words, strict=True):
        axis.imshow(page, extent=(0, page.shape[1], len(page), 0))
        axis.set_xlim(0, _COLUMNS * (_SIDE + 3))
        axis.set_title(told, loc="left", fontsize=SMALL, color=INK, pad=3)
        axis.axis("off")
        axis.set_anchor("NW")
    title = "Activations"
    figure.suptitle(f"{name}: what each layer computes from an image", fontsize=11)
    tell_checks(figure, checks)
    caption = (
        "Each row shows the strongest activation maps of one layer for one image, from the finest "
        "layer to the coarsest."
    )
    return Picture("activations", title, caption, "Yosinski et al. 2015", checks, figure)


def _page(values: FLOAT32) -> UINT8:
    """Draw the strongest of C x h x w maps; dense layers, 1 x 1, as a row of squares."""
    order = np.argsort(-values.max((1, 2)), kind="stable")[:_MAPS]
    if values.shape[1:] == (1, 1):
        top = float(values.max()) or 1.0
        return tiled([coloured(values[k].clip(0, None) / top) for k in order], _COLUMNS, _SIDE // 2)
    tops = np.maximum(values.max((1, 2)), 1e-6)
    return tiled([coloured(values[k].clip(0, None) / tops[k]) for k in order], _COLUMNS, _SIDE)


def _told(layer: str, answers: Responses) -> str:
    size = f"{answers.height} x {answers.width}" if answers.height > 1 else "single numbers"
    dead = int(answers.dead.sum())
    return plain(
        f"{layer}: {len(answers.dead)} channels, {size}; {answers.zeros:.0%} of the values are 0 or less, "
        f"{dead} channels always",
        120,
    )


def _checks(answers: Mapping[str, Responses], of_random: Mapping[str, Responses]) -> tuple[Check, ...]:
    count = len(next(iter(answers.values())).largest)
    dead, random_dead = _share_dead(answers.values()), _share_dead(of_random.values())
    zeros, random_zeros = (float(np.mean([one.zeros for one in own.values()])) for own in (answers, of_random))
    few, alive = dead <= _MANY_DEAD, zeros < 0.95
    return (
        Check(
            "dead_channels",
            dead,
            random_dead,
            few,
            f"{dead:.1%} of the channels are never above 0 on {count} test images (random weights {random_dead:.1%}; "
            f"more than {_MANY_DEAD:.0%} are wasted capacity).",
        ),
        Check(
            "sparsity",
            zeros,
            random_zeros,
            alive,
            f"{zeros:.0%} of all activations are 0 or less (random weights {random_zeros:.0%}; at 95 % nearly nothing "
            "would pass through).",
        ),
    )


def _share_dead(answers: Iterable[Responses]) -> float:
    flags = np.concatenate([own.dead for own in answers])
    return float(flags.mean())
