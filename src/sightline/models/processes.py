"""Means and sums over the samples of all processes that take a training step together.

Data-parallel training averages the gradients of its processes. That is the gradient of the joint batch only if each
loss is divided by what the processes count together, not by what one of them happens to have: a process whose images
hold two objects must not weigh as much as one whose images hold fifty.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def joint_mean(mean: Tensor, count: Tensor | float, least: float = 1.0) -> Tensor:
    """Return a loss whose mean over processes is the mean over all that they count; alone, `mean` itself.

    Args:
        mean: a sum over this process's part of the batch, divided by the larger of `count` and `least`; a scalar.
        count: what the mean is over: samples, objects, pixels, or the sum of their weights.
        least: divisor where there is nothing to count.
    """
    if not _together():
        return mean
    own = torch.as_tensor(count, dtype=torch.float32, device=mean.device).detach()
    total = own.clone()
    distributed.all_reduce(total)
    return mean * (own.clamp_min(least) * distributed.get_world_size() / total.clamp_min(least))


def joint_sum(values: Tensor) -> Tensor:
    """Return sums over all processes, for losses that are not a mean; alone, the values themselves.

    Each process gets the gradients of its part, times the number of processes, as their mean is taken later.
    """
    return _JointSum.apply(values) if _together() else values  # type: ignore[no-untyped-call]


def _together() -> bool:
    """Return whether this is a step of several processes; in validation they may have different numbers of batches."""
    return torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized()


class _JointSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * distributed.get_world_size()
