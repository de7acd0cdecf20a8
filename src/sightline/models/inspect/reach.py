"""How far the results of an operation reach, given how far its arguments do: one rule per kind of operation.

A mark is a tensor in the shape of the values that it describes; each value's mark is the largest position, along one
direction of the image, that the value depends on. -inf: on none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils._pytree import tree_iter

from sightline.models.inspect.operations import Call, Window, padding_of, window_of

# These only move values, as all views do.
_MOVES = {
    "_unsafe_view",
    "_upsample_nearest_exact2d",
    "cat",
    "flip",
    "pixel_shuffle",
    "pixel_unshuffle",
    "repeat",
    "stack",
    "upsample_nearest2d",
}
_POINTWISE = {
    "_prelu_kernel",
    "_to_copy",
    "copy",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
}  # not tagged so in torch 2.13
_PRODUCTS = {  # names of what is added, of the left and of the right factor
    "mm": ("", "self", "mat2"),
    "bmm": ("", "self", "mat2"),
    "addmm": ("self", "mat1", "mat2"),
    "baddbmm": ("self", "batch1", "batch2"),
}
_TAPS = {"upsample_bilinear2d": (0, 1), "upsample_bicubic2d": (-1, 0, 1, 2)}


def propagate(call: Call, marks: dict[str, Any], results: Sequence[Tensor]) -> list[Tensor]:
    """Return the marks of each result, in shapes that expand to those of the results.

    Args:
        call: the operation.
        marks: what it was given, with a mark in place of each tensor, None if that depends on nothing.
        results: what it returned.
    """
    if call.func.is_view or call.name in _MOVES:
        return _move(call, marks, results[0].shape)
    first = _first(call, marks, results[0])
    if first is None:
        everything = _largest(mark.amax() for mark in tree_iter(marks) if isinstance(mark, Tensor))
        return [everything for _ in results]
    return [first if result.shape == results[0].shape else first.amax() for result in results]


def compact(mark: Tensor) -> Tensor:
    """Drop the repeats of an expanded tensor."""
    for dim, stride in enumerate(mark.stride()):
        if stride == 0 and mark.shape[dim] > 1:
            mark = mark.narrow(dim, 0, 1)
    return mark


def _move(call: Call, marks: dict[str, Any], shape: torch.Size) -> list[Tensor]:
    """Do with the marks what is done with the values."""
    if call.name in ("view", "_unsafe_view"):
        return [_reshape(marks["self"], shape)]
    if "tensors" in marks:
        parts = zip(call.given["tensors"], marks["tensors"], strict=True)
        filled = [torch.tensor(-torch.inf).expand(t.shape) if mark is None else mark for t, mark in parts]
        if call.name == "cat":
            return [_join(filled, call.given["dim"])]
        marks = marks | {"tensors": filled}
    moved = call.func(**marks)
    return [moved] if isinstance(moved, Tensor) else list(moved)


def _join(marks: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate along a dimension, without the repeats along all others."""
    small = [compact(mark).movedim(dim, 0) for mark in marks]
    shape = [max(sizes) for sizes in zip(*(mark.shape[1:] for mark in small), strict=True)]
    lengths = [mark.shape[dim] for mark in marks]
    joined = torch.cat([mark.expand(length, *shape) for mark, length in zip(small, lengths, strict=True)])
    return joined.movedim(0, dim)


def _reshape(mark: Tensor, shape: Sequence[int]) -> Tensor:
    """Reshape, without the repeats along those first and last dimensions that stay."""
    small, old, new = compact(mark), list(mark.shape), list(shape)
    shorter = min(len(old), len(new))
    first = takewhile(lambda dim: mark.shape[dim] == shape[dim], range(shorter))
    last = takewhile(lambda dim: mark.shape[dim] == shape[dim], range(-1, -shorter - 1, -1))
    for dim in (*first, *last):
        old[dim] = new[dim] = small.shape[dim]
    return small.expand(old).reshape(new)


def _first(call: Call, marks: dict[str, Any], result: Tensor) -> Tensor | None:
    """Return the marks of the first result; None: it may depend on all that goes in."""
    if torch.Tag.pointwise in call.func.tags or call.name in _POINTWISE:
        return _largest(tree_iter(marks))
    if call.name in _PRODUCTS:
        return _product(*(marks.get(name) for name in _PRODUCTS[call.name]))
    main = marks.get("input", marks.get("self"))
    if main is None:
        return None
    if window := window_of(call):
        return _slide(compact(main), window, call.given.get("groups", result.shape[1]), result.shape)
    if padding := padding_of(call):
        return _pad(compact(main), padding)
    alone = sum(isinstance(mark, Tensor) for mark in tree_iter(marks)) == 1
    return _alone(call.name, call.given, main, result.shape) if alone else None


def _alone(name: str, given: dict[str, Any], mark: Tensor, shape: torch.Size) -> Tensor | None:
    """Return the marks of what an operation makes of a single tensor, which may be mixed within itself."""
    match name:
        case "native_batch_norm" | "_native_batch_norm_legit" | "_native_batch_norm_legit_no_training":
            return _over(mark, [0, *range(2, mark.ndim)]) if given.get("training") else mark
        case "native_layer_norm":
            return _over(mark, range(-len(given["normalized_shape"]), 0))
        case "_adaptive_avg_pool2d" | "adaptive_max_pool2d":
            return F.adaptive_max_pool2d(mark, given["output_size"])
        case "upsample_bilinear2d" | "upsample_bicubic2d":
            return _interpolate(compact(mark), shape, given["align_corners"], _TAPS[name])
        case "roll" if given["dims"]:
            return _roll(compact(mark), given["dims"], given["shifts"])
        case _ if given.get("dim") in (None, []):
            return None
        case _:  # means, softmax, sorting: all along the dimensions that are named
            dims = [given["dim"]] if isinstance(given["dim"], int) else list(given["dim"])
            along = _over(mark, dims)
            return along if len(shape) == along.ndim else along.squeeze(dims)


def _largest(marks: Iterable[Any]) -> Tensor:
    return reduce(torch.maximum, [compact(mark) for mark in marks if isinstance(mark, Tensor)])


def _over(mark: Tensor, dims: Iterable[int]) -> Tensor:
    """Take the maximum over dimensions, which are kept at length one."""
    return compact(mark).amax(tuple(dims), keepdim=True)


def _product(bias: Tensor | None, left: Tensor | None, right: Tensor | None) -> Tensor:
    """... x I x J times ... x J x K: a value depends on a row of the left and a column of the right factor."""
    rows, columns = None if left is None else _over(left, [-1]), None if right is None else _over(right, [-2])
    return _largest([bias, rows, columns])


def _roll(mark: Tensor, dims: Iterable[int], shifts: Iterable[int]) -> Tensor:
    """Shift, with the edge repeated: what comes round it is masked in the attention that shifts its windows."""
    for dim, shift in zip(dims, shifts, strict=True):
        length = mark.shape[dim]
        way = (shift + length // 2) % length - length // 2
        mark = mark.index_select(dim, (torch.arange(length) - way).clamp(0, length - 1))
    return mark


def _pad(mark: Tensor, amounts: Sequence[tuple[int, int]]) -> Tensor:
    """Lengthen the last dimensions."""
    for dim, (before, after) in zip(range(-len(amounts), 0), amounts, strict=True):
        mark = _extrapolate(mark, dim, before, after)
    return mark


def _extrapolate(mark: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Lengthen a dimension by the mean step between its positions; negative amounts cut off."""
    mark = mark.movedim(dim, -1)
    length = mark.shape[-1]
    if length == 1:  # the same all along
        return mark.movedim(-1, dim)
    first, last = mark[..., :1], mark[..., -1:]
    step = ((last - first) / (length - 1)).nan_to_num(0)  # -inf - -inf
    head = first - step * torch.arange(max(before, 0), 0, -1)
    tail = last + step * torch.arange(1, max(after, 0) + 1)
    kept = mark[..., max(-before, 0) : length - max(-after, 0)]
    return torch.cat([head, kept, tail], -1).movedim(-1, dim)


def _slide(mark: Tensor, window: Window, groups: int, shape: torch.Size) -> Tensor:
    """N x C x H x W -> N x C' x H' x W' under a window that sees all channels of its group."""
    if mark.shape[1] > 1:
        mark = mark.reshape(mark.shape[0], groups, -1, *mark.shape[2:]).amax(2)
    if mark.shape[1] > 1:
        mark = mark.repeat_interleave(shape[1] // groups, 1)
    steps = zip(window.kernel, window.stride, window.padding, window.dilation, strict=True)
    for dim, (kernel, stride, (before, _), dilation) in enumerate(steps, start=2):
        if mark.shape[dim] == 1:
            continue
        span, length = dilation * (kernel - 1) + 1, shape[dim]
        if window.transposed:
            mark, step = _spread(mark, dim, stride, before, length, span), 1
        else:
            mark, step = (
                _extrapolate(mark, dim, before, (length - 1) * stride + span - mark.shape[dim] - before),
                stride,
            )
        mark = mark.unfold(dim, span, step)[..., ::dilation].amax(-1)
    return mark


def _spread(mark: Tensor, dim: int, stride: int, padding: int, length: int, span: int) -> Tensor:
    """Put gaps between positions, so that a window of stride 1 sees what a transposed convolution reads."""
    margin = span // stride + 2
    mark = _extrapolate(mark, dim, margin, margin).movedim(dim, -1)
    spread = torch.full((*mark.shape[:-1], stride * mark.shape[-1]), -torch.inf)
    spread[..., ::stride] = mark
    return spread.narrow(-1, margin * stride + padding - span + 1, length + span - 1).movedim(-1, dim)


def _interpolate(mark: Tensor, shape: torch.Size, align_corners: bool, taps: Sequence[int]) -> Tensor:
    """Let each position of the last two dimensions depend on its neighbours, as torch's interpolation weighs them."""
    for dim in (-2, -1):
        old, new = mark.shape[dim], shape[dim]
        if old == 1:
            continue
        positions = torch.arange(new)
        scale = (old - 1) / max(new - 1, 1) if align_corners else old / new
        source = positions * scale if align_corners else (positions + 0.5) * scale - 0.5
        nearby = [(source.floor().long() + tap).clamp(0, old - 1) for tap in taps]
        mark = reduce(torch.maximum, [mark.index_select(dim, index) for index in nearby])
    return mark
