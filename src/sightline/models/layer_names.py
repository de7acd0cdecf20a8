"""What a user may have meant by the name of a layer."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from sightline.system.errors import nearest

_NAMES = 12  # of layers that an error lists


def meant_layer(name: str, modules: Mapping[str, nn.Module]) -> str:
    """Tell the names most like `name`, else the first ones of layers without parts."""
    known = [own for own, module in modules.items() if own and not any(module.children())]
    there = f"; there are {', '.join(known[:_NAMES])}{', ...' if len(known) > _NAMES else ''}"
    return nearest(name, [own for own in modules if own], there, most=3)
