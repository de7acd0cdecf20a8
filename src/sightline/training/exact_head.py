"""The last layer in float32 while the rest computes in half precision.

In bf16 logits of 8 to 32 come in steps of 1/16 and 1/8, and what softmax makes of them in as coarse ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from sightline.tasks.base import Task
from sightline.training.hardware import Precision


@contextmanager
def head_in_float32(task: Task, precision: Precision) -> Iterator[None]:
    """Let a head that vectors enter compute in float32, whatever the rest does; afterwards it is as it was."""
    head = task.network.get_submodule(task.head) if task.head_takes_vectors else nn.Identity()
    layers = [layer for layer in head.modules() if type(layer) is nn.Linear and precision != "32"]
    for layer in layers:
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]  # of this object
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: nn.Linear, vectors: Tensor) -> Tensor:
    """... x C -> ... x K float32."""
    with torch.autocast(vectors.device.type, enabled=False):
        return nn.functional.linear(vectors.float(), layer.weight, layer.bias)
