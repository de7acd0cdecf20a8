"""Optimizers and learning-rate schedules from configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, assert_never

import torch
from torch import nn

from sightline.config.optimizers import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Evolution,
    Exponential,
    Hebb,
    Momentum,
    NaturalEvolution,
    Nesterov,
    OneCycle,
    Optimizer,
    Rosenblatt,
    Schedule,
    Sgd,
    Step,
)
from sightline.training.depth import layer_groups
from sightline.training.evolution import build_search


def build_optimizer(config: Optimizer, network: nn.Module, head: str, seed: int = 0) -> torch.optim.Optimizer:
    """Build an optimizer over a network's parameters; fused kernels do the same arithmetic in one pass.

    Args:
        config: the section `optimizer` of a model.
        network: what learns.
        head: name of its new part, the topmost layer for `layer_decay`.
        seed: of optimizers that draw.
    """
    match config:
        case Evolution() | NaturalEvolution():
            return build_search(config, network, seed)
        case Hebb(lr=lr) | Rosenblatt(lr=lr):  # the loss is the rule; its gradient is what the rule adds
            return torch.optim.SGD(network.parameters(), lr)
        case _:
            groups = parameter_groups(
                network, head, config.lr, config.weight_decay, config.layer_decay, config.input_lr
            )
    match config:
        case Sgd(lr=lr):
            return torch.optim.SGD(groups, lr, fused=True)
        case Momentum(lr=lr, momentum=momentum):  # the fused kernel fails where layers begin to learn later
            return torch.optim.SGD(groups, lr, momentum)
        case Nesterov(lr=lr, momentum=momentum):
            return torch.optim.SGD(groups, lr, momentum, nesterov=True)
        case Adagrad(lr=lr, eps=eps):
            return torch.optim.Adagrad(groups, lr, eps=eps)
        case Adadelta(lr=lr, rho=rho, eps=eps):
            return torch.optim.Adadelta(groups, lr, rho, eps)
        case Adam(lr=lr, betas=betas, eps=eps):
            return torch.optim.Adam(groups, lr, (betas[0], betas[1]), eps, fused=True)
        case AdamW(lr=lr, betas=betas, eps=eps):
            return torch.optim.AdamW(groups, lr, (betas[0], betas[1]), eps, fused=True)
        case _:
            assert_never(config)


def parameter_groups(
    network: nn.Module, head: str, lr: float, weight_decay: float, layer_decay: float, input_lr: float = 1.0
) -> list[dict[str, Any]]:
    """Divide parameters by whether they decay and by their learning rate.

    Biases and the scales of normalisations do not decay (Goyal et al. 2017, section 5.3): they are one-dimensional.
    The rate of a layer n layers below the head is lr layer_decay^n (Clark et al. 2020, section 3.1),
    where `input_lr` is given with that layer_decay which leaves lr input_lr to the lowest.
    """
    # timm's `param_groups_layer_decay` gives an `lr_scale` that torch's schedules ignore, leaves out frozen layers,
    # which could not learn later, and takes any twelve parameters of other libraries' networks for a layer.
    depth_of = layer_groups(network, head) if layer_decay != 1 or input_lr != 1 else {}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        decays = weight_decay > 0 and parameter.ndim > 1
        groups.setdefault((depth_of.get(name, 0), decays), []).append(parameter)
    top = max((depth for depth, _ in groups), default=0)
    if input_lr != 1:
        layer_decay = input_lr ** (1 / max(1, top))
    return [
        {"params": members, "lr": lr * layer_decay ** (top - depth), "weight_decay": weight_decay if decays else 0.0}
        for (depth, decays), members in sorted(groups.items(), key=lambda item: item[0])
    ]


def learning_rate_factor(config: Schedule, steps: int) -> Callable[[int], float]:
    """Return the factor on the learning rate at each step 0..steps-1.

    Args:
        config: the section `schedule` of a model.
        steps: optimizer steps of the whole training.
    """
    if isinstance(config, OneCycle):  # Smith and Topin 2018, with cosine flanks
        peak, start = max(1, round(config.warmup * steps)), config.start
        return lambda step: (
            _cosine(start, 1.0, step, peak) if step < peak else _cosine(1.0, start * 1e-4, step - peak, steps - peak)
        )
    rise = round(config.warmup * steps)
    fall = _after_warmup(config, steps - rise)
    return lambda step: (step + 1) / rise if step < rise else fall(step - rise)  # linear, as in Goyal et al. 2017


def _after_warmup(config: Constant | Exponential | Step | Cosine, steps: int) -> Callable[[int], float]:
    match config:
        case Constant():
            return lambda step: 1.0
        case Exponential(final=final):
            return lambda step: float(final ** min(1.0, step / max(1, steps - 1)))
        case Step(milestones=milestones, factor=factor):
            return lambda step: float(factor ** sum(step >= share * steps for share in milestones))
        case Cosine(final=final):  # Loshchilov and Hutter 2017, equation 5, one period
            return lambda step: _cosine(1.0, final, step, steps)
        case _:
            assert_never(config)


def _cosine(first: float, last: float, step: int, steps: int) -> float:
    """Half a cosine from `first` at step 0 to `last` at step `steps` - 1 and after."""
    share = min(1.0, step / max(1, steps - 1))
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
