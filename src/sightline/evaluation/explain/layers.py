"""What the layers of a network put out, and which of them still know where in the image something is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.structures import UINT8
from sightline.system.errors import UserError, nearest
from sightline.tasks.base import Task

COARSEST = 7  # places per side of the map that heat maps are made of: ResNet's on ImageNet (Selvaraju et al. 2017)
_BODIES = ("body", "backbone", "encoder")  # names of what comes before the heads of detectors and segmenters


@dataclass(frozen=True)
class MapLayer:
    """A layer that puts out maps, and is used once in a forward pass.

    Attributes:
        name: dotted, as `sightline summary` shows it.
        channels: of its output.
        height, width: of its output; 1 x 1 for a dense layer.
    """

    name: str
    channels: int
    height: int
    width: int


def input_shape(task: Task, pixels: UINT8) -> UINT8:
    """Return one image as the layers see it: of a sliding window, a window."""
    side = task.window or pixels.shape[1]
    return np.zeros((1, side, side, pixels.shape[3]), np.uint8)


def map_layers(task: Task, pixels: UINT8) -> list[MapLayer]:
    """Return the layers that put out N x C x H x W or N x C, in the order in which they finish.

    Args:
        task: in evaluation mode.
        pixels: N x S x S x C uint8, of which only the shape matters.
    """
    network = task.inner_network
    seen: list[MapLayer] = []

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim in (2, 4):
            seen.append(MapLayer(name, output.shape[1], *(tuple(output.shape[2:]) or (1, 1))))

    hooks = [module.register_forward_hook(partial(note, name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            forward_layers(task, torch.from_numpy(input_shape(task, pixels)))
    finally:
        for hook in hooks:
            hook.remove()
    uses = Counter(layer.name for layer in seen)
    return [layer for layer in seen if uses[layer.name] == 1]


def forward_layers(task: Task, images: Tensor) -> Any:
    """Run the network that is looked into on N x S x S x C images, uint8 or float in 0..255, of any device."""
    return task.look_inside(images.to(task.mean.device))


def heat_layer(layers: Sequence[MapLayer], name: str | None = None) -> str:
    """Return the layer that heat maps are made of: the last with 7 x 7 places or more, else one with the most.

    Of networks with a body below their heads, the layers of the body alone count: in the heads each map serves objects
    of one size only.

    Args:
        layers: of the network.
        name: of a layer to take instead.

    Raises:
        UserError: no layer has places, or there is none of this name.
    """
    known = [layer for layer in layers if min(layer.height, layer.width) > 1]
    if name is not None:
        require_layers(known, [name])
        return name
    bodies = [layer for layer in known if layer.name.split(".")[0] in _BODIES]
    chosen = bodies or known
    if not chosen:
        raise UserError("grad_cam: the network has no layer with a spatial map; use occlusion instead")
    least = min(COARSEST, max(min(layer.height, layer.width) for layer in chosen))
    return [layer for layer in chosen if min(layer.height, layer.width) >= least][-1].name


def shown_layers(layers: Sequence[MapLayer], most: int = 5) -> list[str]:
    """Return the last layer of each size of map, from the finest on, and without maps the hidden dense layers."""
    bodies = [layer for layer in layers if layer.name.split(".")[0] in _BODIES] or list(layers)
    maps = [layer for layer in bodies if layer.height > 1 and layer.channels > 1]
    last = {(layer.height, layer.width): layer.name for layer in maps}
    ordered = [layer.name for layer in maps if last[layer.height, layer.width] == layer.name]
    if not ordered:
        ordered = [layer.name for layer in bodies[:-1] if layer.channels > 1] or [layer.name for layer in bodies[-1:]]
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def require_layers(layers: Sequence[MapLayer], names: Sequence[str]) -> None:
    """Refuse names of layers that are not there.

    Raises:
        UserError: naming those like it.
    """
    known = [layer.name for layer in layers]
    for name in names:
        if name not in known:
            near = nearest(name, known, most=3)
            told = f"layers: {name}: no layer of this name outputs a map exactly once per pass{near}"
            raise UserError(f"{told}; `sightline summary` lists them")


@contextmanager
def watched(task: Task, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that holds the outputs of these layers after each forward pass, without gradients."""
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        found[name] = output.detach().clone() if output.ndim == 4 else output.detach().clone()[..., None, None]

    network = task.inner_network
    hooks = [network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
