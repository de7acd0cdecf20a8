"""Computes batch normalisation inside the convolution before it: the same function, with one pass over memory less."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ASKING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default)


def fuse_batch_norms(network: nn.Module, run: Callable[[], object], kept: Collection[str] = ()) -> int:
    """Fuse in place what normalises the output of a convolution with fixed statistics, where nothing else reads that.

    Names of modules stay as they are. A network that asks for the value of a tensor stays whole: it may take another
    way next time. Only this thread is watched (torch.fx would get in the way of others that compute meanwhile).

    Args:
        network: in eval mode.
        run: one forward pass through the network.
        kept: names of modules whose outputs must not change.

    Returns:
        The number of fused pairs.
    """
    modules = dict(network.named_modules())
    pairs = _pairs(modules, run) if any(_is_fixed(module) for module in modules.values()) else {}
    chosen = {name: norm for name, norm in pairs.items() if not any(_puts_out(own, name, norm) for own in kept)}
    for name, norm in chosen.items():
        network.set_submodule(name, fuse_conv_bn_eval(modules[name], modules[norm]))
        network.set_submodule(norm, _rest(modules[norm]))
    return len(chosen)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that read what convolutions put out, in one forward pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = False  # for the value of a tensor
        self.calls: Counter[str] = Counter()
        self.outputs: list[Tensor] = []  # kept, so that no other tensor gets the id of one
        self.makers: dict[int, str] = {}  # convolutions by the id of an output
        self.reads: Counter[int] = Counter()  # of an output
        self.normalised: dict[str, tuple[int, int]] = {}  # by name: the id of its input, how often it reads that

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.asked |= func in _ASKING
        self.reads.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if id(leaf) in self.makers)
        return func(*args, **(kwargs or {}))

    def after_convolution(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.calls[name] += 1
        self.outputs.append(output)
        self.makers[id(output)] = name

    def before_norm(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.calls[name] += 1
        place = id(inputs[0]) if inputs else 0
        self.normalised[name] = (place, -self.reads[place])

    def after_norm(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        place, reads = self.normalised[name]
        self.normalised[name] = (place, reads + self.reads[place])


def _pairs(modules: dict[str, nn.Module], run: Callable[[], object]) -> dict[str, str]:
    """Return the names of convolutions whose output a normalisation alone reads, with its name; each called once."""
    watch, hooks = _Watch(), []
    for name, module in modules.items():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(partial(watch.after_convolution, name)))
        elif _is_fixed(module):
            hooks.append(module.register_forward_pre_hook(partial(watch.before_norm, name)))
            hooks.append(module.register_forward_hook(partial(watch.after_norm, name)))
    try:
        with torch.no_grad(), watch:  # compound operations come in their parts, unlike in inference mode
            run()
    finally:
        for hook in hooks:
            hook.remove()
    if watch.asked:
        return {}
    pairs = {
        watch.makers[place]: norm
        for norm, (place, reads) in watch.normalised.items()
        if place in watch.makers and reads == watch.reads[place]
    }
    return {name: norm for name, norm in pairs.items() if watch.calls[name] == watch.calls[norm] == 1}


def _is_fixed(module: nn.Module) -> bool:
    """Whether this normalises by its statistics."""
    known = type(module) is nn.BatchNorm2d or _activates(module)
    return known and module.running_mean is not None and module.running_var is not None


def _puts_out(name: str, convolution: str, norm: str) -> bool:
    """Whether the output of module `name` may be that of the convolution, not yet normalised."""
    holds = f"{name}."
    return f"{convolution}.".startswith(holds) and not f"{norm}.".startswith(holds)


def _activates(module: nn.Module) -> bool:
    """Whether this is timm's normalisation with an activation inside."""
    return isinstance(module, nn.BatchNorm2d) and type(module).__name__ == "BatchNormAct2d"


def _rest(norm: nn.Module) -> nn.Module:
    """Return what a module does after it has normalised."""
    return nn.Sequential(OrderedDict(norm.named_children())) if _activates(norm) else nn.Identity()
