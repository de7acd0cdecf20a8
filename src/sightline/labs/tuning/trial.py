"""Training steps on a copy of a network, as the training loop takes them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import assert_never

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from sightline.config.optimizers import Evolution, NaturalEvolution, Optimizer
from sightline.tasks.base import Task
from sightline.training.batch import Batch
from sightline.training.depth import keep_batch_statistics
from sightline.training.exact_head import head_in_float32
from sightline.training.hardware import Precision
from sightline.training.optimizers import build_optimizer


class Trial:
    """A copy of a task that is trained; the task itself does not change.

    Args:
        task: is copied.
        device: where the copy learns.
        channels_last: memory layout of images and convolutions.
        optimizer: the section `optimizer` of a model.
        clip_norm: largest gradient norm; None: no clipping.
        keep_statistics: leave the statistics of batch normalisation alone, as `batch_statistics: keep` does.
    """

    def __init__(
        self,
        task: Task,
        device: torch.device,
        channels_last: bool,
        optimizer: Optimizer,
        clip_norm: float | None = None,
        keep_statistics: bool = False,
    ) -> None:
        self.task = copy.deepcopy(task).to(device).train()
        self.task.use_layout(channels_last)
        if keep_statistics:
            keep_batch_statistics(self.task.network, self.task.head)
        self.device, self.clip_norm = device, clip_norm
        assert not isinstance(optimizer, Evolution | NaturalEvolution)  # refused before
        self.optimizer = build_optimizer(optimizer, self.task.network, self.task.head)
        self._shares = [group["lr"] / optimizer.lr for group in self.optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(device.type, enabled=device.type != "cpu")  # for 16 alone

    def set_rate(self, rate: float) -> None:
        """Set the learning rate; lower layers keep their share of it. With 0 the weights stay, at the same cost."""
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            group["lr"] = rate * share

    def loss(self, batch: Batch, precision: Precision) -> Tensor:
        """Return the loss of a batch, with the graph behind it."""
        images, targets = move_data_to_device((batch.images, batch.targets), self.device)
        with autocast(self.device, precision), head_in_float32(self.task, precision):
            return self.task.training_loss(images, targets)

    def step(self, batches: Sequence[Batch], precision: Precision) -> Tensor:
        """Update the weights once by the gradients of all `batches`; return their samples' mean loss, a scalar."""
        scaler = self._scaler if precision == "16" else torch.amp.GradScaler(self.device.type, enabled=False)
        samples, total = sum(len(batch.images) for batch in batches), torch.zeros((), device=self.device)
        for batch in batches:
            loss = self.loss(batch, precision) * (len(batch.images) / samples)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # missing in torch's annotations
            total += loss.detach()
        if self.clip_norm is not None:
            scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.task.parameters(), self.clip_norm)
        scaler.step(self.optimizer)
        scaler.update()
        self.optimizer.zero_grad()
        return total


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Return the context in which the network computes in `precision`."""
    match precision:
        case "32":
            return nullcontext()
        case "bf16":
            return torch.autocast(device.type, torch.bfloat16)
        case "16":
            return torch.autocast(device.type, torch.float16)
        case _:
            assert_never(precision)
