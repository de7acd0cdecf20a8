"""Computes batch normalisation inside the convolution before it: the same function, with one pass over memory less."""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict
from collections.abc import Collection

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _Tracer(fx.Tracer):
    """Sees each batch normalisation as one step, also of those that libraries derive."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, name)


def fuse_batch_norms(network: nn.Module, kept: Collection[str] = ()) -> int:
    """Fuse in place what normalises the output of a convolution with fixed statistics, where nothing else reads that.

    Names of modules stay as they are. A network whose forward pass depends on its input (torch.fx cannot trace it)
    stays whole.

    Args:
        network: in eval mode.
        kept: names of modules whose outputs must not change.

    Returns:
        The number of fused pairs.
    """
    try:
        graph = _Tracer().trace(copy.deepcopy(network))  # what a forward pass notes stays out of the network
    except Exception:  # a forward pass is anybody's code; without a trace it is only slower
        return 0
    modules = dict(network.named_modules())
    uses = Counter(id(modules[str(node.target)]) for node in graph.nodes if node.op == "call_module")
    fused = 0
    for node in graph.nodes:
        pair = _pair(node, modules, uses)
        if pair is None or any(_puts_out(name, *pair) for name in kept):
            continue
        convolution, normalisation = pair
        conv, norm = modules[convolution], modules[normalisation]
        network.set_submodule(convolution, fuse_conv_bn_eval(conv, norm))
        network.set_submodule(normalisation, _rest(norm))
        fused += 1
    return fused


def _pair(node: fx.Node, modules: dict[str, nn.Module], uses: Counter[int]) -> tuple[str, str] | None:
    """Return the names of a convolution and of the normalisation `node` that alone reads it, each used once."""
    if node.op != "call_module" or not isinstance(modules[str(node.target)], nn.BatchNorm2d):
        return None
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return None
    conv, norm = modules[str(before.target)], modules[str(node.target)]
    known = type(conv) is nn.Conv2d and (type(norm) is nn.BatchNorm2d or _activates(norm))
    fixed = norm.running_mean is not None and norm.running_var is not None
    once = uses[id(conv)] == uses[id(norm)] == 1
    if not (known and fixed and once):
        return None
    return str(before.target), str(node.target)


def _puts_out(name: str, convolution: str, normalisation: str) -> bool:
    """Whether the output of module `name` may be that of the convolution, not yet normalised."""
    holds = f"{name}."
    return f"{convolution}.".startswith(holds) and not f"{normalisation}.".startswith(holds)


def _activates(norm: nn.Module) -> bool:
    """Whether this is timm's normalisation with an activation inside."""
    return type(norm).__name__ == "BatchNormAct2d"


def _rest(norm: nn.Module) -> nn.Module:
    """Return what a module does after it has normalised."""
    return nn.Sequential(OrderedDict(norm.named_children())) if _activates(norm) else nn.Identity()
