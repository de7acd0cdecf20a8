"""Follows through a forward pass which rows and columns of the image each value depends on."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from sightline.models.inspect.operations import Call
from sightline.models.inspect.reach import compact, propagate

# What values depend on: minus the first row, the last row, minus the first column, the last column, so that every rule
# is a maximum. Four tensors that expand to the shape of the values; -inf: on nothing of the image.
Reach = tuple[Tensor, Tensor, Tensor, Tensor]


class ReceptiveFields:
    """The part of an image that each tensor of a forward pass depends on, the smallest rectangle around it.

    Padding is no edge: where windows reach over the border, positions go on beyond it. So the sizes are those of
    r' = r + (k - 1) j with steps j' = j s (Araujo, Norris and Sim 2019, eq. 2), also where no output sees so much.
    What only gates or statistics bring in (squeeze and excitation, group normalisation) counts like all else.
    """

    def __init__(self, image: Tensor) -> None:
        """Begin with the image, N x C x H x W."""
        height, width = image.shape[-2:]
        rows, columns = torch.arange(float(height), device="cpu")[:, None], torch.arange(float(width), device="cpu")
        zero, bottom, right = (torch.tensor(float(last), device="cpu") for last in (0, height - 1, width - 1))
        self._whole: Reach = (zero, bottom, zero, right)
        self._reaches: MutableMapping[Tensor, Reach] = WeakTensorKeyDictionary()
        self._sharing: dict[int, WeakTensorKeyDictionary] = {}  # tensors by their memory
        self._keep(image, (-rows, rows, -columns, columns))

    def of(self, tensor: Tensor) -> tuple[int, int] | None:
        """Return height and width of the receptive field of a tensor's values in pixels, the largest among them.

        None: nothing of the image is in it.
        """
        reach = self._reaches.get(tensor)
        if reach is None:
            return None
        top, bottom, left, right = reach
        height, width = float((top + bottom).max()), float((left + right).max())
        return None if height < 0 or width < 0 else (round(height) + 1, round(width) + 1)

    def edges(self, tensor: Tensor) -> Reach | None:
        """Return what each value of a tensor depends on, in shapes that expand to its own; None: nothing is known.

        Positions are in pixels and are outside the image where padding is seen.
        """
        return self._reaches.get(tensor)

    def follow(self, call: Call, outputs: Any) -> None:
        """Work out what the outputs of an operation depend on."""
        results = [value for value in tree_iter(outputs) if isinstance(value, Tensor)]
        for result in results:
            self._sharing.setdefault(result.untyped_storage()._cdata, WeakTensorKeyDictionary())[result] = None
        if call.name.endswith("_like") or call.name.startswith("new_"):  # take nothing but a shape
            return
        tensors = [value for value in tree_iter(call.given) if isinstance(value, Tensor) and value in self._reaches]
        if not tensors:
            return
        for result, *reach in zip(results, *self._sides(call, tensors, results), strict=True):
            self._keep(result, reach)
            if call.writes:
                self._write_through(result)

    def _sides(self, call: Call, tensors: list[Tensor], results: list[Tensor]) -> list[list[Tensor]]:
        """Return top, bottom, left and right, each for all results."""
        if all(self._reaches[tensor] is self._whole for tensor in tensors):
            return [[mark] * len(results) for mark in self._whole]
        sides = []
        for side in range(4):
            known = {id(tensor): self._reaches[tensor][side].expand(tensor.shape) for tensor in tensors}
            marks = tree_map_only(Tensor, partial(_mark_of, known), call.given)
            sides.append(propagate(call, marks, results))
        return sides

    def _keep(self, tensor: Tensor, reach: Iterable[Tensor]) -> None:
        if not tensor.numel():
            return
        top, bottom, left, right = (compact(mark.expand(tensor.shape)) for mark in reach)
        marks = (top, bottom, left, right)
        whole = all(bool(mark.min() >= all_of_it) for mark, all_of_it in zip(marks, self._whole, strict=True))
        self._reaches[tensor] = self._whole if whole else marks

    def _write_through(self, written: Tensor) -> None:
        """Let tensors that share memory with one that was written to see it, as where a slice was assigned to."""
        storage = written.untyped_storage()
        sharing = [tensor for tensor in self._sharing[storage._cdata] if tensor is not written]
        if not sharing:
            return
        memory = [torch.full((storage.nbytes() // written.itemsize,), -torch.inf, device="cpu") for _ in range(4)]
        for tensor in [*(tensor for tensor in sharing if tensor in self._reaches), written]:
            for flat, mark in zip(memory, self._reaches[tensor], strict=True):
                flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).copy_(mark)
        for tensor in sharing:
            place = tensor.shape, tensor.stride(), tensor.storage_offset()
            self._keep(tensor, [flat.as_strided(*place) for flat in memory])


def _mark_of(known: dict[int, Tensor], tensor: Tensor) -> Tensor | None:
    return known.get(id(tensor))
