"""What a network computes for one image, layer by layer; by it precision and layout are chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sightline.data.images import Size
from sightline.tasks.base import Task
from sightline.training.speed_rule import Work

_COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.RNNBase)


def count_work(task: Task, size: Size, channels: int) -> Work:
    """Run a task forward on one black image and count; nothing is drawn, and nothing in the task changes.

    Args:
        task: with its network, on the CPU.
        size: of the input in pixels, the side or (height, width).
        channels: of the input.
    """
    counter = _Counter()
    layers = [layer for layer in task.modules() if isinstance(layer, _COUNTED)]
    hooks = [layer.register_forward_hook(counter) for layer in layers]
    modes = {module: module.training for module in task.modules()}
    height, width = (size, size) if isinstance(size, int) else size
    try:
        task.eval()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            task(torch.zeros(1, height, width, channels, dtype=torch.uint8))
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
    return counter.work()


class _Counter:
    """Adds up what layers multiply; each weight of a layer is used once at each of its places."""

    def __init__(self) -> None:
        self.dense = self.depthwise = self.linear = self.values = self.calls = 0
        self.weights: dict[int, int] = {}  # a layer may be used more than once

    def __call__(self, layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(layer, nn.RNNBase):
            weights, places = list(layer.parameters()), inputs[0].numel() // inputs[0].shape[-1]
            output = output[0]
        else:
            weights = [layer.weight]
            maps = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
            places = maps.numel() // layer.weight.shape[0]
        self.weights[id(layer)] = sum(weight.numel() for weight in weights)
        products = places * self.weights[id(layer)]
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if layer.groups > 1 and layer.groups == layer.in_channels:
                self.depthwise += products
            else:
                self.dense += products
        else:
            self.linear += products
        self.values += output.numel()
        self.calls += 1

    def work(self) -> Work:
        return Work(self.dense, self.depthwise, self.linear, self.values, sum(self.weights.values()), self.calls)
