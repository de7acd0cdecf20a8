"""A stand-in for a GPU, on machines without one: tensors computed on the CPU that behave as if on `cuda:0`.

A tensor "on the device" is a wrapper around one on the CPU. Every operation inside `standing_in()` unwraps, computes
and wraps again, and fails where CUDA would: on tensors of both devices (single numbers beside others may stay on the
CPU, index tensors too), on NumPy's access, and on generators of the other device. Factories make tensors where they are
told to, on the CPU by default. Torch itself takes the wrappers for tensors of its `meta` device, which needs no driver;
Python sees `cuda:0`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
_CARRIER = torch.device("meta")  # what stands for DEVICE inside torch
_MIXED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu"
aten = torch.ops.aten
_INDICES_ANYWHERE = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
_ACROSS = {aten.copy_.default, aten._to_copy.default}
_BY_INDEX = {Tensor.__getitem__, Tensor.__setitem__}
_FROM_VALUES = {torch.tensor, torch.as_tensor, torch.asarray}


class OnDevice(Tensor):
    """A tensor on the device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor, requires_grad: bool = False) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",
            requires_grad=requires_grad,
        )
        made.held = held
        return made  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation where its tensors are."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    assert all(isinstance(one, OnDevice) or not one.is_meta for one in tensors), f"{func}: a tensor without values"
    on_device = any(isinstance(one, OnDevice) for one in tensors)
    target = kwargs.get("device")
    if on_device:
        _require_one_device(func, args, tensors)
        _require_generator(args, kwargs)
    ends_on_device = on_device if target is None else target.type == _CARRIER.type
    if func is aten.copy_.default:
        args[0].held.copy_(_held(args[1])) if isinstance(args[0], OnDevice) else args[0].copy_(_held(args[1]))
        return args[0]
    if not on_device and not ends_on_device:
        return func(*args, **kwargs)
    inner = {**kwargs, "device": torch.device("cpu")} if target is not None else kwargs
    if inner.get("pin_memory"):
        inner = {**inner, "pin_memory": False}
    held_args, held_kwargs = tree_map(_held, (args, inner))
    outputs = func(*held_args, **held_kwargs)
    if not ends_on_device:
        return outputs.clone() if func is aten._to_copy.default and outputs is held_args[0] else outputs
    changed = _changed(func)
    if changed is not None:  # in place: what went in comes out
        return args[changed] if changed < len(args) else kwargs[func._schema.arguments[changed].name]
    return tree_map(lambda one: OnDevice(one) if isinstance(one, Tensor) else one, outputs)


@cache
def _changed(func: Any) -> int | None:
    """Return the place of the argument that an operation writes to and returns, if it is one of these."""
    for returned in func._schema.returns:
        if returned.alias_info is not None and returned.alias_info.is_write:
            [place] = [
                number
                for number, argument in enumerate(func._schema.arguments)
                if argument.alias_info is not None and argument.alias_info.before_set == returned.alias_info.before_set
            ]
            return place
    return None


def _require_one_device(func: Any, args: Any, tensors: list[Tensor]) -> None:
    if func in _ACROSS:
        return
    if func in _INDICES_ANYWHERE:  # where the values are, the indices need not be, but not the other way round
        tensors = [args[0], *(one for one in args[2:3] if isinstance(one, Tensor))]
        if not isinstance(args[0], OnDevice):
            raise RuntimeError(f"{func}: indices should be either on cpu or on the same device as the indexed tensor")
    here = [one for one in tensors if not isinstance(one, OnDevice)]
    numbers_may = torch.Tag.pointwise in func.tags or func in _INDICES_ANYWHERE
    written = {
        id(value)
        for argument, value in zip(func._schema.arguments, args, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    for one in here:
        if one.ndim or not numbers_may or id(one) in written:
            raise RuntimeError(f"{func}: {_MIXED}")


def _require_generator(args: Any, kwargs: dict[str, Any]) -> None:
    if any(isinstance(leaf, torch.Generator) for leaf in tree_leaves((args, kwargs))):
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def _is_device(value: Any) -> bool:
    return (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and value.split(":")[0] == "cuda"
    )


class _Functions(TorchFunctionMode):
    """Puts the carrier in the place of the device, before torch looks for a driver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch._C._nn._parse_to:  # tells what it is told
            return func(*args, **kwargs)
        if func in _FROM_VALUES and _is_device(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(_CARRIER)
        if func in _BY_INDEX and isinstance(args[0], OnDevice):  # torch would make a list a tensor without values
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            index = tuple(torch.tensor(own).to(_CARRIER) if isinstance(own, list) else own for own in index)
            return func(args[0], index, *args[2:])
        if func is Tensor.cuda:
            return args[0].to(_CARRIER)
        if func is Tensor.tolist and isinstance(args[0], OnDevice):
            return args[0].cpu().tolist()
        if func is Tensor.pin_memory:
            return args[0]
        takes_words = func is Tensor.to  # elsewhere a word is no device
        args = tuple(_CARRIER if (takes_words or not isinstance(a, str)) and _is_device(a) else a for a in args)
        if _is_device(kwargs.get("device")):
            kwargs["device"] = _CARRIER
        return func(*args, **kwargs)


@contextmanager
def standing_in() -> Iterator[torch.device]:
    """Let tensors be moved to the device that is yielded."""
    # In inference mode torch leaves the division into single operations to the device.
    with patch.object(torch, "inference_mode", torch.no_grad), _Functions(), _Dispatch():
        yield DEVICE


def on_device(value: Any) -> bool:
    """Return whether all tensors in nested values are on the device."""
    return all(isinstance(one, OnDevice) for one in tree_leaves(value) if isinstance(one, Tensor))
