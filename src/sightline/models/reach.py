"""How far the results of an operation reach, given how far its arguments do: one rule per kind of operation.

A mark is a tensor in the shape of the values that it describes; each value's mark is the largest position, along one
direction of the image, that the value depends on. -inf: on none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils._pytree import tree_iter

from sightline.models.operations import Call, Window, padding_of, window_of

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
_POINTWISE = {"_prelu_kernel", "_to_copy", "copy", "hardsigmoid", "hardswish", "hardtanh"}  # not tagged so in torch 2.13
_TAPS = {"upsample_bilinear2d": (0, 1), "upsample_bicubic2d": (-1, 0, 1, 2)}


def propagate(call: Call, marks: dict[str, Any], results: Sequence[Tensor]) -> list[Tensor]:
    """Return the marks of each result, in shapes that expand to those of the results.

    Args:
        call: the operation.
        marks: what it was given, with a mark in place of each tensor, None where that depends on nothing.
        results: what it returned.
    """
    if call.func.is_view or call.name in _MOVES:
        return _move(call, marks)
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


def _move(call: Call, marks: dict[str, Any]) -> list[Tensor]:
    """Do with the marks what is done with the values."""
    if call.name in ("view", "_unsafe_view"):
        return [marks["self"].reshape(call.given["size"])]
    if "tensors" in marks:
        parts = zip(call.given["tensors"], marks["tensors"], strict=True)
        marks = marks | {"tensors": [torch.full(t.shape, -torch.inf) if mark is None else mark for t, mark in parts]}
    moved = call.func(**marks)
    return [moved] if isinstance(moved, Tensor) else list(moved)


def _first(call: Call, marks: dict[str, Any], result: Tensor) -> Tensor | None:
    """Return the marks of the first result; None: it may depend on all that goes in."""
    given, main = call.given, marks.get("input", marks.get("self"))
    if torch.Tag.pointwise in call.func.tags or call.name in _POINTWISE:
        return _largest(tree_iter(marks))
    match call.name:
        case "mm" | "bmm":
            return _product(None, main, marks["mat2"])
        case "addmm":
            return _product(main, marks["mat1"], marks["mat2"])
        case "baddbmm":
            return _product(main, marks["batch1"], marks["batch2"])
    if main is None:
        return None
    main = compact(main)
    if window := window_of(call):
        return _slide(main, window, given.get("groups", result.shape[1]), result.shape)
    if padding := padding_of(call):
        for dim, (before, after) in zip(range(-len(padding), 0), padding, strict=True):
            main = _extrapolate(main, dim, before, after)
        return main
    match call.name:
        case "native_batch_norm" | "_native_batch_norm_legit" | "_native_batch_norm_legit_no_training":
            return _over(main, [0, *range(2, main.ndim)]) if given.get("training") else main
        case "native_layer_norm":
            return _over(main, range(-len(given["normalized_shape"]), 0))
        case "_adaptive_avg_pool2d" | "adaptive_max_pool2d":
            return F.adaptive_max_pool2d(main.expand(given["self"].shape), given["output_size"])
        case "upsample_bilinear2d" | "upsample_bicubic2d":
            return _interpolate(main, result.shape, given["align_corners"], _TAPS[call.name])
        case "roll" if given["dims"]:
            for dim, shift in zip(given["dims"], given["shifts"], strict=True):
                main = _extrapolate(main, dim, shift, -shift)  # what comes round the edge is masked in shifted windows
            return main
    alone = sum(isinstance(mark, Tensor) for mark in tree_iter(marks)) == 1
    return _along(main, given["dim"], result.ndim) if alone and given.get("dim") not in (None, []) else None


def _largest(marks: Iterable[Any]) -> Tensor:
    return reduce(torch.maximum, [compact(mark) for mark in marks if isinstance(mark, Tensor)])


def _over(mark: Tensor, dims: Iterable[int]) -> Tensor:
    """Take the maximum over dimensions, which are kept at length one."""
    return compact(mark).amax(tuple(dims), keepdim=True)


def _along(mark: Tensor, dims: int | Sequence[int], axes: int) -> Tensor:
    """Let values depend on all that lie along the dimensions that an operation names: means, softmax, sorting."""
    along = [dims] if isinstance(dims, int) else list(dims)
    whole = _over(mark, along)
    return whole if axes == whole.ndim else whole.squeeze(along)


def _product(bias: Tensor | None, left: Tensor | None, right: Tensor | None) -> Tensor:
    """... x I x J times ... x J x K: a value depends on a row of the left and a column of the right factor."""
    rows, columns = None if left is None else _over(left, [-1]), None if right is None else _over(right, [-2])
    return _largest([bias, rows, columns])


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
        mark = mark.unflatten(1, (groups, -1)).amax(2).repeat_interleave(shape[1] // groups, 1)
    steps = zip(window.kernel, window.stride, window.padding, window.dilation, strict=True)
    for dim, (kernel, stride, (before, _), dilation) in enumerate(steps, start=2):
        if mark.shape[dim] == 1:
            continue
        span, length = dilation * (kernel - 1) + 1, shape[dim]
        if window.transposed:
            mark, step = _spread(mark, dim, stride, before, length, span), 1
        else:
            mark, step = _extrapolate(mark, dim, before, (length - 1) * stride + span - mark.shape[dim] - before), stride
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
