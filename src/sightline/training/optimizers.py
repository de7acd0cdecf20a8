"""Optimizers and learning-rate schedules from configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import assert_never

import torch
from torch import nn

from sightline.config.models import Adam, AdamW, Constant, Cosine, OneCycle, Optimizer, Schedule, Sgd


def build_optimizer(config: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimizer; fused kernels do the same arithmetic in one pass."""
    params = list(parameters)
    match config:
        case Sgd(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay):
            return torch.optim.SGD(params, lr, momentum, nesterov=nesterov, weight_decay=decay, fused=True)
        case Adam(lr=lr, betas=betas, eps=eps, weight_decay=decay):
            return torch.optim.Adam(params, lr, (betas[0], betas[1]), eps, decay, fused=True)
        case AdamW(lr=lr, betas=betas, eps=eps, weight_decay=decay):
            return torch.optim.AdamW(params, lr, (betas[0], betas[1]), eps, decay, fused=True)
        case _:
            assert_never(config)


def learning_rate_factor(config: Schedule, steps: int) -> Callable[[int], float]:
    """Return the factor on the learning rate at each step 0..steps-1.

    Args:
        config: the section `schedule` of a model.
        steps: optimizer steps of the whole training.
    """
    match config:
        case Constant():
            return lambda step: 1.0
        case Cosine(warmup=warmup, final=final):
            # Loshchilov and Hutter 2017, equation 5, one period; linear warm-up as in Goyal et al. 2017.
            rise = round(warmup * steps)
            return lambda step: (step + 1) / rise if step < rise else _cosine(1.0, final, step - rise, steps - rise)
        case OneCycle(warmup=warmup, start=start):
            # Smith and Topin 2018, with cosine flanks.
            peak = max(1, round(warmup * steps))
            end = start * 1e-4
            return lambda step: (
                _cosine(start, 1.0, step, peak) if step < peak else _cosine(1.0, end, step - peak, steps - peak)
            )
        case _:
            assert_never(config)


def _cosine(first: float, last: float, step: int, steps: int) -> float:
    """Half a cosine from `first` at step 0 to `last` at step `steps` - 1 and after."""
    share = min(1.0, step / max(1, steps - 1))
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
