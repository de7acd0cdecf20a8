"""Inspects a network: inputs and outputs of each layer, its cost, and its receptive field."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, UntypedStorage, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from sightline.models.inspect.operations import Call, Window, padding_of, window_of
from sightline.models.inspect.receptive_field import ReceptiveFields
from sightline.system.errors import UserError, first_line


@dataclass(frozen=True)
class Layer:
    """One use of a layer in a forward pass.

    Attributes:
        name: of the module, dotted, as `network.get_submodule` takes it; empty for the whole network.
        kind: class of the module.
        input: shape of what goes in, without the batch.
        output: shape of what comes out, without the batch.
        window: what it slides over the image, if one thing.
        parameters: those that it is the first to use.
        multiply_adds: multiplications with an addition, of convolutions and matrix products, biases not counted.
        receptive_field: height and width in pixels of what a value depends on; `all` where that is not smaller than
            the image, None if it is nothing.
    """

    name: str
    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    window: Window | None
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int] | Literal["all"] | None


@dataclass(frozen=True)
class Inspection:
    """The layers of a network in the order in which they finish, and its totals.

    A module that holds others has a row after theirs where it multiplies or has parameters of its own: attention, a
    class token. So the rows add up to the totals.

    Attributes:
        layers: one per use of a layer.
        parameters: numbers that are learned or frozen; those of shared layers once.
        trainable: those that are learned.
        unused: those that the forward pass does not use, as of auxiliary heads.
        multiply_adds: for one image.
        parameter_bytes: memory of the parameters.
        activation_bytes: memory of what the layers put out for one image; layers that work in place add nothing.
    """

    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    unused: int
    multiply_adds: int
    parameter_bytes: int
    activation_bytes: int


def inspect_network(network: nn.Module, shape: tuple[int, int, int]) -> Inspection:
    """Send an image through a copy of a network, in evaluation mode, and note what each layer does.

    The copy shares nothing with the network and has shapes in place of numbers (torch's meta device), so that large
    networks take no time; only a network whose way depends on numbers is copied and run whole, on zeros.

    Args:
        network: takes N x C x H x W float.
        shape: C, H and W of the image, H and W in pixels.

    Raises:
        UserError: the network does not take such images.
    """
    try:
        return _run(network, shape, "meta")
    except Exception as on_meta:
        try:
            return _run(network, shape, "cpu")
        except Exception:
            first = first_line(on_meta)
            told = f"{' x '.join(map(str, shape))}: {type(network).__name__} does not accept such images ({first})"
            raise UserError(f"{told}; try another size") from None


def _run(network: nn.Module, shape: tuple[int, int, int], device: Literal["meta", "cpu"]) -> Inspection:
    tensors = [*network.parameters(), *network.buffers()] if device == "meta" else []
    memo: dict[int, Any] = {id(tensor): _shell(tensor) for tensor in tensors}  # what deepcopy takes for their copies
    copied = copy.deepcopy(network, memo).to(device).eval()
    number = next((parameter.dtype for parameter in copied.parameters()), torch.float32)
    image = torch.zeros(1, *shape, dtype=number, device=device)
    recorder = _Recorder(copied, image)
    # What the forward pass makes goes to the same device, and attention is done in steps that can be counted.
    with torch.no_grad(), torch.device(device), sdpa_kernel(SDPBackend.MATH), recorder:
        copied(image)
    return recorder.inspection(list(copied.parameters()))


def _shell(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


@dataclass
class _Use:
    """A module while its forward pass runs."""

    name: str
    kind: str
    leaf: bool
    input: tuple[int, ...]
    parameters: int = 0
    multiply_adds: int = 0
    windows: list[Window] = field(default_factory=list)
    pads: list[tuple[tuple[int, int], ...]] = field(default_factory=list)

    def window(self) -> Window | None:
        """Return the only window, with what the layer itself has padded."""
        if len(self.windows) != 1:
            return None
        (window,) = self.windows
        padding = [list(pair) for pair in window.padding]
        for pad in self.pads:
            for pair, (before, after) in zip(reversed(padding), reversed(pad), strict=False):
                pair[0] += before
                pair[1] += after
        return replace(window, padding=tuple((before, after) for before, after in padding))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches each operation of a forward pass, and books it on the innermost module that runs."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.image = image
        self.fields = ReceptiveFields(image)
        self.layers: list[Layer] = []
        self.running: list[_Use] = []
        self.unused = {id(parameter): parameter.numel() for parameter in network.parameters()}
        self.storages: dict[int, UntypedStorage] = {}
        for name, module in network.named_modules():
            if "parametrizations" not in name.split("."):  # belongs to the layer whose weights it makes
                leaf = all(child == "parametrizations" for child, _ in module.named_children())
                module.register_forward_pre_hook(partial(self._enter, name, leaf), with_kwargs=True)
                module.register_forward_hook(self._leave)

    def _enter(self, name: str, leaf: bool, module: nn.Module, inputs: Any, options: dict[str, Any]) -> None:
        self.running.append(_Use(name, type(module).__name__, leaf, _shape((inputs, options))))

    def _leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        use = self.running.pop()
        if not use.leaf and not use.parameters and not use.multiply_adds:
            return
        tensor = _first_tensor(outputs)
        seen = None if tensor is None else self.fields.of(tensor)
        if tensor is not None and use.leaf:
            storage = tensor.untyped_storage()
            self.storages[storage._cdata] = storage
        whole = seen is not None and all(s >= size for s, size in zip(seen, self.image.shape[-2:], strict=True))
        self.layers.append(
            Layer(
                use.name,
                use.kind,
                use.input,
                _shape(outputs),
                use.window() if use.leaf else None,
                use.parameters,
                use.multiply_adds,
                "all" if whole else seen,
            )
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        outputs = func(*args, **options)
        call = Call.of(func, args, options)
        self.fields.follow(call, outputs)
        if self.running:
            use = self.running[-1]
            used = (self.unused.pop(id(value), 0) for value in tree_iter(call.given) if isinstance(value, Tensor))
            use.parameters += sum(used)
            count_flops = flop_registry.get(func.overloadpacket)
            if count_flops is not None:
                use.multiply_adds += count_flops(*args, **options, out_val=outputs) // 2
            if window := window_of(call):
                use.windows.append(window)
            if not use.windows and (padding := padding_of(call)):
                use.pads.append(padding)
        return outputs

    def inspection(self, parameters: Sequence[Tensor]) -> Inspection:
        """Return what has been seen, with the totals of these parameters."""
        self.storages.pop(self.image.untyped_storage()._cdata, None)
        return Inspection(
            tuple(self.layers),
            parameters=sum(p.numel() for p in parameters),
            trainable=sum(p.numel() for p in parameters if p.requires_grad),
            unused=sum(self.unused.values()),
            multiply_adds=sum(layer.multiply_adds for layer in self.layers),
            parameter_bytes=sum(p.nbytes for p in parameters),
            activation_bytes=sum(storage.nbytes() for storage in self.storages.values()),
        )


def _first_tensor(values: Any) -> Tensor | None:
    return next((value for value in tree_iter(values) if isinstance(value, Tensor)), None)


def _shape(values: Any) -> tuple[int, ...]:
    tensor = _first_tensor(values)
    return () if tensor is None else tuple(tensor.shape[1:])
