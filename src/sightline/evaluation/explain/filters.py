"""The filters of the first layer, as pictures (Krizhevsky, Sutskever and Hinton 2012, figure 3)."""

from __future__ import annotations

import numpy as np
from torch import nn

from sightline.data.structures import FLOAT32
from sightline.evaluation.explain.picture import Check, Picture, tell_checks
from sightline.evaluation.explain.randomisation import with_random_weights
from sightline.evaluation.explain.tiling import stretched, tiled
from sightline.evaluation.report.figures import new_figure
from sightline.tasks.base import Task, numbers

MOST = 64
_COLUMNS = 16
_SIDE = 60  # pixels of a drawn filter
_IDLE = 0.05  # of the median size: filters below do nothing
_READABLE = 5  # pixels of a side from which on neighbouring weights can be smooth
_FEW = 0.1  # share of idle filters that is acceptable


def first_filters(task: Task, channels: int, size: int) -> tuple[str, FLOAT32] | None:
    """Return name and weights, F x h x w x C, of the first layer that looks at the image.

    Args:
        task: the task whose network is shown.
        channels: C of the input.
        size: height and width of the input, pixels.

    Returns:
        None if the first layer with weights is neither a convolution nor a dense layer over all pixels.
    """
    for name, module in task.inner_network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == channels:
            return name, numbers(module.weight).transpose(0, 2, 3, 1)
        if isinstance(module, nn.Linear) and module.in_features == channels * size**2:
            return name, numbers(module.weight).reshape(-1, channels, size, size).transpose(0, 2, 3, 1)
        if isinstance(module, nn.Conv2d | nn.Linear):
            return None
    return None


def smoothness(filters: FLOAT32) -> float:
    """Return the correlation of neighbouring weights, -1..1; about 0 for random ones."""
    centred = filters - filters.mean((1, 2), keepdims=True)
    pairs = [(centred[:, 1:], centred[:, :-1]), (centred[:, :, 1:], centred[:, :, :-1])]
    products = sum(float((one * other).mean()) for one, other in pairs) / 2
    return products / (float((centred**2).mean()) or 1.0)


def filters_picture(task: Task, name: str, channels: int, size: int, seed: int) -> Picture | None:
    """Draw the first filters; None if the network has none that could be drawn."""
    found = first_filters(task, channels, size)
    if found is None:
        return None
    layer, filters = found
    checks = []
    sizes = np.sqrt((filters**2).sum((1, 2, 3)))
    idle = float((sizes < _IDLE * np.median(sizes)).mean())
    checks.append(
        Check("idle_filters", idle, 0.0, idle <= _FEW, f"{idle:.0%} of the filters are near zero and do nothing.")
    )
    if filters.shape[1] >= _READABLE:
        renewed = first_filters(with_random_weights(task, seed), channels, size)
        assert renewed is not None
        smooth, rough = smoothness(filters), smoothness(renewed[1])
        better = smooth > rough
        told = f"neighbouring weights are {'more' if better else 'NOT more'} similar than random ones (correlation "
        told += f"{smooth:.2f}, random {rough:.2f}); noisy filters are a sign of too little training."
        checks.append(Check("smooth_filters", smooth, rough, better, told))
    shown = filters[np.argsort(-sizes, kind="stable")[:MOST]]
    page = tiled([stretched(one, around=0.0) for one in shown], _COLUMNS, _SIDE)
    figure, (axis,) = new_figure(1, 1, width=9.0, height=9.0 * len(page) / page.shape[1] + 0.5 + 0.3 * len(checks))
    axis.imshow(page)
    axis.axis("off")
    some = f"the {MOST} largest of " if len(filters) > MOST else ""
    title = f"Filters of {layer}"
    figure.suptitle(f"{name}: {some}{len(filters)} filters of {layer}, {filters.shape[1]} x {filters.shape[2]} pixels")
    tell_checks(figure, checks)
    caption = "Each square is what one unit of the first layer responds to: grey has no effect, bright and dark do."
    return Picture("filters", title, caption, "Krizhevsky et al. 2012", tuple(checks), figure)
