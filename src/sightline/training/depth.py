"""Which layers are low, high and new: for learning rates, unfreezing by layer and statistics that are kept."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def layer_groups(network: nn.Module, head: str) -> dict[str, int]:
    """Return for each parameter its layer, 0 at the input; the head is the topmost.

    timm's networks define their layers (`group_matcher`). In others each module that holds parameters itself is one
    layer, in the order of definition, and a normalisation belongs to the layer before it.
    """
    names = [name for name, _ in network.named_parameters()]
    matcher = getattr(network, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        found: dict[str, Any] = group_parameters(network, matcher(coarse=False), reverse=True)
        depth = {name: int(found[name]) for name in names if name in found}
    else:
        depth, at = {}, -1
        for module_name, module in network.named_modules():
            own = [f"{module_name}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=False)]
            if own and (at < 0 or any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))):
                at += 1
            depth |= dict.fromkeys(own, at)
    body = {layer: place for place, layer in enumerate(sorted({depth[n] for n in depth if not _within(n, head)}))}
    return {name: len(body) if _within(name, head) or name not in depth else body[depth[name]] for name in names}


def keep_batch_statistics(network: nn.Module, head: str) -> None:
    """Put batch normalisation into evaluation mode where its statistics were given, in all but the head.

    A new head has none yet: with mean 0 and deviation 1 its layers would pass on next to nothing.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm) and not _within(name, head):
            layer.eval()


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")
