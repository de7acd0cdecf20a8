"""Layers of a network: their outputs with gradients, and which of them suit the network's structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sightline.models.layer_names import meant_layer
from sightline.system.errors import UserError, first_line

_STAGES = 5  # sizes of maps whose layers are used for style, as many as in VGG
_CONTENT_STRIDE = 8  # pixels between the places of a map that still shows the layout
_LEAST_SIDE = 4  # pixels of a map that still says where something is


class _AllSeen(Exception):  # noqa: N818 - no error: nothing more of the forward pass is needed
    pass


class LayerOutputs:
    """One forward pass for some layers, as far as the deepest of them.

    A layer that is used several times in a pass counts with its last use, as a ReLU after the sum of a residual block.

    Args:
        network: N x C x H x W float32 in.
        layers: names of modules, dotted as `sightline summary` shows them.
        example: an input, to see that the network takes it and uses the layers.

    Raises:
        UserError: a layer that the network does not have or use, or that puts out no tensor of numbers.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], example: Tensor) -> None:
        self.network, self.layers = network, tuple(layers)
        modules = dict(network.named_modules())
        for name in self.layers:
            if name not in modules or not name:
                raise UserError(f"layers: {name!r}: no such layer{meant_layer(name, modules)}")
        self._uses: Counter[str] = Counter()
        self._found: dict[str, Tensor] = {}
        counting = [modules[name].register_forward_hook(partial(self._count, name)) for name in self.layers]
        with torch.no_grad():
            try:
                network(example)
            except UserError:
                raise
            except Exception as error:
                self._require_seen(example, error)
        for hook in counting:
            hook.remove()
        for name in self.layers:
            if not self._uses[name]:
                raise UserError(f"layers: {name}: the network does not use it; name another layer")
        self._left: Counter[str] = Counter()
        self._hooks = [modules[name].register_forward_hook(partial(self._keep, name)) for name in self.layers]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """N x C x H x W normalised -> the output of each layer, by name."""
        self._left, self._found = self._uses.copy(), {}
        with suppress(_AllSeen):
            self.network(images)
        return self._found

    def close(self) -> None:
        """Take the hooks off the network."""
        for hook in self._hooks:
            hook.remove()

    def _count(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self._uses[name] += 1
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise UserError(f"layers: {name}: outputs a {kind}, not a tensor; name a layer inside or after it")

    def _keep(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._left[name] -= 1
        if self._left[name]:
            return
        self._found[name] = output
        if len(self._found) == len(self.layers):
            raise _AllSeen

    def _require_seen(self, example: Tensor, error: Exception) -> None:
        """Raise unless the pass failed after the layers, as where a dense layer has another size than the image."""
        if all(self._uses[name] for name in self.layers):
            return
        first = first_line(error)
        missing = next(name for name in self.layers if not self._uses[name])
        size = " x ".join(map(str, example.shape[2:]))
        raise UserError(
            f"layers: {missing}: the network does not reach it with an image of {size} px ({first}); "
            "name an earlier layer, or use a picture of the size that the network expects"
        ) from None


@dataclass(frozen=True)
class DefaultLayers:
    """Layers that a network's structure suggests.

    Attributes:
        content: where the content of a picture is compared, the second unit of the stage that shrinks the picture to
            an eighth, as in VGG (Gatys et al. 2016, conv4_2).
        style: where style is compared, shallow first.
        dream: a layer that sees parts of things.
    """

    content: str
    style: tuple[str, ...]
    dream: str


def default_layers(network: nn.Module, image: Tensor) -> DefaultLayers:
    """Find layers by the sizes of their maps: a stage is a run of units with maps of one size.

    A unit is a nonlinearity, or a block (Fire, a residual block) that the network's sequences hold.

    Args:
        network: N x C x H x W float32 in.
        image: one input.

    Raises:
        UserError: the network makes no maps.
    """
    stages = _stages(network, image)
    if not stages:
        raise UserError(f"layers: {type(network).__name__} does not output maps; use a convolutional network")
    shrunk = min(image.shape[2:]) / (1.5 * _CONTENT_STRIDE)  # borders without padding make maps a little smaller
    units = list(stages.values())
    deep = [units for side, units in stages.items() if side >= shrunk][-1]
    style = [name for own in units[:_STAGES] for name in own]
    # The stage before the last sees parts of things, the last one whole things.
    return DefaultLayers(deep[min(1, len(deep) - 1)], tuple(style), units[max(0, len(units) - 2)][-1])


def _stages(network: nn.Module, image: Tensor) -> dict[int, list[str]]:
    """Return the names of units by the side of their maps, large maps first."""
    units = _unit_names(network)
    learned = [name for name, _ in network.named_parameters()]
    head = learned[-1].partition(".")[0] if learned else ""
    body = [name for name in units if name.partition(".")[0] != head]
    units = body or units  # what comes with the last layer scores classes
    sides: dict[str, int] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            sides.pop(name, None)  # the last use counts, in order and size
            sides[name] = min(output.shape[2:])

    hooks = [network.get_submodule(name).register_forward_hook(partial(note, name)) for name in units]
    try:
        with torch.no_grad():
            network(image)
    except Exception:  # a dense layer of another size: maps come before it
        pass
    finally:
        for hook in hooks:
            hook.remove()
    large = [side for side in dict.fromkeys(sides.values()) if side >= _LEAST_SIDE]
    return {side: [name for name, own in sides.items() if own == side] for side in sorted(large, reverse=True)}


def _unit_names(network: nn.Module, prefix: str = "") -> list[str]:
    names = []
    for name, module in network.named_children():
        own = prefix + name
        if isinstance(module, nn.Sequential | nn.ModuleList):
            names += _unit_names(module, f"{own}.")
        elif any(module.children()) or _is_nonlinearity(module):
            names.append(own)
    return names


def _is_nonlinearity(module: nn.Module) -> bool:
    return type(module).__module__ in ("torch.nn.modules.activation",)


def with_average_pooling(network: nn.Module) -> nn.Module:
    """Put average pooling in the place of max pooling, which lets gradients flow to all pixels (Gatys et al. 2016).

    Raises:
        UserError: the network has no max pooling.
    """
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.MaxPool2d)]
    if not found:
        raise UserError("pooling: average: the network has no max pooling layer to replace; leave it out")
    for name, pool in found:
        parent, _, child = name.rpartition(".")
        average = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, count_include_pad=False)
        setattr(network.get_submodule(parent), child, average)
    return network
