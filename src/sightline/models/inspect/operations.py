"""Reads calls of ATen's operations, the few hundred that every forward pass comes down to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Call:
    """A call of one of ATen's operations.

    Attributes:
        func: the operation.
        given: every argument by its name, with defaults.
    """

    func: torch._ops.OpOverload
    given: dict[str, Any]

    @classmethod
    def of(cls, func: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Give each argument its name."""
        arguments = func._schema.arguments
        given = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
        names = [argument.name for argument in arguments]
        return cls(func, given | dict(zip(names, args, strict=False)) | dict(kwargs))

    @property
    def name(self) -> str:
        """Name of the operation, the same where it works in place."""
        return str(self.func.overloadpacket.__name__).removesuffix("_")

    @property
    def writes(self) -> bool:
        """Whether it changes a tensor that it was given."""
        return bool(self.func._schema.is_mutable)


@dataclass(frozen=True)
class Window:
    """What slides over an image: the kernel of a convolution or a pooling; one entry per axis, height first.

    Attributes:
        kernel: elements along the axis.
        stride: step between two outputs; between two inputs where it is transposed.
        padding: positions added before and after.
        dilation: step between two elements.
        transposed: whether it belongs to a transposed convolution.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    transposed: bool = False


def window_of(call: Call) -> Window | None:
    """Return the window of a convolution or a pooling, None for all other operations."""
    given = call.given
    match call.name:
        case "convolution":
            kernel, image = given["weight"].shape[2:], given["input"]
        case "max_pool2d_with_indices" | "avg_pool2d":
            kernel, image = given["kernel_size"], given["self"]
        case _:
            return None
    values = (kernel, given["stride"] or kernel, given["padding"], given.get("dilation", 1))
    size, stride, padding, dilation = (_each(value, len(image.shape) - 2) for value in values)
    return Window(size, stride, tuple((p, p) for p in padding), dilation, given.get("transposed", False))


def padding_of(call: Call) -> tuple[tuple[int, int], ...] | None:
    """Return what an operation that only pads adds before and after each of the last axes, None for all others."""
    match call.name:
        case "constant_pad_nd":
            amounts = call.given["pad"]
        case "reflection_pad2d" | "replication_pad2d":
            amounts = call.given["padding"]
        case _:
            return None
    return tuple(zip(amounts[-2::-2], amounts[-1::-2], strict=True))


def _each(values: int | Sequence[int], axes: int) -> tuple[int, ...]:
    several = (values,) if isinstance(values, int) else tuple(values)
    return several if len(several) == axes else several * axes
