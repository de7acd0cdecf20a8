"""DeepDream: changes a picture so that a layer, a channel or a class answers more (Mordvintsev, Olah and Tyka 2015)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.labs.stylize.networks import Backbone
from sightline.models.style.layers import LayerOutputs
from sightline.system.errors import UserError, first_line

Answer: TypeAlias = Callable[[Tensor], Tensor]  # 1 x C x H x W normalised -> a number
_LEVELS = 4  # of the Laplacian pyramid
_LEAST = 16  # pixels of the smallest octave


@dataclass(frozen=True)
class DreamSettings:
    """How a dream goes.

    Attributes:
        steps: per octave.
        octaves: sizes, from small to that of the picture.
        octave_scale: between them, above 1.
        step_size: mean change of a pixel per step, of values in 0..1.
        jitter: largest random shift before each step, in pixels, which hides the grid of strides.
        seed: of the shifts.
    """

    steps: int = 10
    octaves: int = 4
    octave_scale: float = 1.4
    step_size: float = 0.01
    jitter: int = 16
    seed: int = 0


def layer_answer(backbone: Backbone, layer: str, channel: int | None, example: Tensor) -> Answer:
    """Return the function that is to grow: half the mean square of a layer's output, or the mean of one channel.

    Args:
        backbone: the network.
        layer: dotted name of a module.
        channel: one of its channels; None: all, each by its strength.
        example: a picture, 1 x C x H x W in 0..1.

    Raises:
        UserError: no such layer or channel.
    """
    outputs = LayerOutputs(backbone.network, [layer], backbone.normalise(example))
    if channel is None:
        return lambda images: outputs(images)[layer].square().mean() / 2
    with torch.no_grad():
        found = outputs(backbone.normalise(example))[layer]
    axis = 2 if found.ndim == 3 else 1  # tokens have their features last
    if not 0 <= channel < found.shape[axis]:
        raise UserError(f"channel: {channel}: {layer} has {found.shape[axis]}, 0 to {found.shape[axis] - 1}")
    return lambda images: outputs(images)[layer].select(axis, channel).mean()


def class_answer(backbone: Backbone, wanted: str, example: Tensor) -> Answer:
    """Return the score of a class before the softmax (Simonyan, Vedaldi and Zisserman 2014).

    Args:
        backbone: a classifier.
        wanted: a name among its classes, or a number.
        example: a picture, 1 x C x H x W in 0..1.

    Raises:
        UserError: no such class, or a network without scores of classes.
    """
    try:
        with torch.no_grad():
            scores = backbone.network(backbone.normalise(example))
    except Exception as error:
        first = first_line(error)
        size = " x ".join(map(str, example.shape[2:]))
        raise UserError(
            f"class: {wanted}: {backbone.title} does not give scores for an image of {size} px ({first}); "
            "use a square picture of the size that the network expects and one octave, or name a layer"
        ) from None
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        raise UserError(f"class: {wanted}: {backbone.title} is not a classifier; name a layer")
    if wanted in backbone.classes:
        index = backbone.classes.index(wanted)
    elif wanted.isdigit() and int(wanted) < scores.shape[1]:
        index = int(wanted)
    else:
        known = ", ".join(backbone.classes[:12]) or f"0 to {scores.shape[1] - 1}"
        raise UserError(f"class: {wanted}: no such class; use one of {known}")
    return lambda images: backbone.network(images)[0, index]


Watch: TypeAlias = Callable[[int, float, Tensor], None]  # step from 1 on, answer before it, picture after it


def dream(backbone: Backbone, picture: Tensor, answer: Answer, settings: DreamSettings, watch: Watch) -> Tensor:
    """Change a picture to increase `answer`, from small octaves to large ones.

    Args:
        backbone: whose input `answer` takes.
        picture: 1 x C x H x W in 0..1.
        answer: what grows.
        settings: see there.
        watch: called after each step.

    Returns:
        1 x C x H x W in 0..1.
    """
    drawn = torch.Generator().manual_seed(settings.seed)
    height, width = picture.shape[2:]
    detail = torch.zeros_like(picture[..., :1, :1])
    number = 0
    for octave in range(settings.octaves - 1, -1, -1):
        scale = settings.octave_scale**-octave
        shape = [max(_LEAST, round(side * scale)) if octave else side for side in (height, width)]
        base = _resized(picture, shape)
        current = (base + _resized(detail, shape)).clamp(0, 1)
        for _ in range(settings.steps):
            number += 1
            shift = torch.randint(-settings.jitter, settings.jitter + 1, (2,), generator=drawn).tolist()
            current, told = _step(backbone, current, answer, settings.step_size, shift)
            watch(number, told, current)
        detail = current - base
    return current


def _step(
    backbone: Backbone, picture: Tensor, answer: Answer, step_size: float, shift: list[int]
) -> tuple[Tensor, float]:
    """Climb once, on the picture shifted round its borders; return it with the answer before."""
    moved = picture.roll(shift, (2, 3)).requires_grad_(True)
    told = answer(backbone.normalise(moved))
    (gradient,) = torch.autograd.grad(told, moved)
    gradient = normalised_gradient(gradient)
    climbed = (moved.detach() + step_size * gradient / gradient.abs().mean().clamp_min(1e-12)).clamp(0, 1)
    return climbed.roll([-shift[0], -shift[1]], (2, 3)), told.item()


def normalised_gradient(gradient: Tensor) -> Tensor:
    """Bring all frequencies of a gradient, 1 x C x H x W, to one strength, so that it draws structure and no noise.

    A Laplacian pyramid whose levels are divided by their deviations (Mordvintsev's notebook of 2015 in TensorFlow).
    """
    levels = []
    for _ in range(min(_LEVELS, int(math.log2(min(gradient.shape[2:]) / 2)))):
        half = [(side + 1) // 2 for side in gradient.shape[2:]]
        low = F.interpolate(gradient, size=half, mode="bilinear", antialias=True)
        levels.append(gradient - _resized(low, list(gradient.shape[2:])))
        gradient = low
    gradient = gradient / gradient.std().clamp_min(1e-12)
    for level in reversed(levels):
        gradient = _resized(gradient, list(level.shape[2:])) + level / level.std().clamp_min(1e-12)
    return gradient


def _resized(values: Tensor, shape: list[int]) -> Tensor:
    return F.interpolate(values, size=shape, mode="bilinear", align_corners=False)
