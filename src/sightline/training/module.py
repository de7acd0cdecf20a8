"""The LightningModule around a task: one training step and one validation step for every task."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from sightline.config.optimizers import Optimizer, Schedule
from sightline.data.vary.augmentation import key
from sightline.tasks.base import Task
from sightline.training.batch import Batch
from sightline.training.optimizers import build_optimizer, learning_rate_factor

Relabel = Callable[[Tensor, dict[str, Any]], dict[str, Any]]


class Fit(LightningModule):
    """Trains a task.

    Losses are summed in tensors and logged once per epoch: `self.log` in each step costs 5 % of a small network's time.

    Args:
        task: what is trained.
        optimizer, schedule: sections of the model's configuration.
        seed: of dropout and whatever else draws from the global generators.
        batch_sizes: samples of each batch of an epoch, on all processes together.
        epochs: of the training.
        accumulate: batches whose gradients make one optimizer step; the last of an epoch may have fewer.
        clip_norm: largest norm of the gradients of a step, None for any; Lightning sees to it, except in `FusedFit`.
        relabel: makes other targets of the images and targets of a training batch; None: they stay.

    Attributes:
        curves: one row per finished epoch: epoch, lr, train_loss, val_loss and the task's scores on validation data.
    """

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        schedule: Schedule,
        seed: int,
        *,
        batch_sizes: Sequence[int],
        epochs: int,
        accumulate: int = 1,
        clip_norm: float | None = None,
        relabel: Relabel | None = None,
    ) -> None:
        super().__init__()
        self.task, self.clip_norm = task, clip_norm
        self.optimizer, self.schedule, self.seed = optimizer, schedule, seed
        self.shares = accumulated_shares(batch_sizes, accumulate)
        # Lightning's estimate of the steps loads data too early to resume exactly.
        self.steps = -(-len(batch_sizes) // accumulate) * epochs
        self.curves: list[dict[str, float]] = []
        self.relabel = relabel
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def configure_optimizers(self) -> Any:
        """Adapt the learning rate at each step."""
        optimizer = build_optimizer(self.optimizer, self.task.network, self.task.head, self.seed)
        factor = learning_rate_factor(self.schedule, self.steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limit the norm of all gradients; Lightning itself refuses with fused optimizers.

        In 16 bits those undo the scaling of the gradients in their step, which is too late for clipping, unless it is
        done before; for all others Lightning has done it.
        """
        if not gradient_clip_val:
            return
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_train_epoch_start(self) -> None:
        """Tell the task, and seed the generators from (seed, epoch, rank), which makes an epoch repeatable."""
        self.log_reset()
        assert self.trainer.max_epochs is not None
        self.task.begin_epoch(self.current_epoch, self.trainer.max_epochs)
        stream = key(self.seed, "epoch", self.current_epoch, self.global_rank)
        torch.manual_seed(stream >> 1)
        np.random.seed(stream % 2**32)  # third-party code may draw from the global generator
        random.seed(stream)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a batch, so weighted that the gradients of an optimizer step are the mean over samples."""
        loss = self.loss_of(batch)
        self._add("train_loss", loss.detach(), len(batch.images))
        share = self.shares[number]
        return loss if share == 1 else loss * share

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the mean loss of a training batch."""
        targets = batch.targets if self.relabel is None else self.relabel(batch.images, batch.targets)
        return self.task.training_loss(batch.images, targets)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Sum loss and scores of a batch."""
        loss, scores = self.task.validate(batch.images, batch.targets)
        self._add("val_loss", loss, len(batch.images))
        for name, value in scores.items():
            self._add(f"val_{name}", value, len(batch.images))

    def on_validation_epoch_end(self) -> None:
        """Close the row of this epoch; it comes before checkpoints are written, so they hold it."""
        means = {name: self._mean(name) for name in sorted(self._sums)}
        for name, value in means.items():
            self.log(name, value, logger=False)
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        row = {"epoch": float(self.current_epoch), "lr": float(rate)} | {n: float(v) for n, v in means.items()}
        self.curves.append(row)
        for logger in self.trainer.loggers:
            logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights."""
        checkpoint["curves"] = self.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the curves up again."""
        self.curves = list(checkpoint["curves"])

    def log_reset(self) -> None:
        """Forget the sums of the last epoch."""
        self._sums, self._counts = {}, defaultdict(int)

    def sums(self) -> dict[str, tuple[Tensor, int]]:
        """Return the sum of each loss and score of the epoch so far, on the CPU, with the number of its samples."""
        return {name: (value.cpu(), self._counts[name]) for name, value in self._sums.items()}

    def set_sums(self, sums: dict[str, tuple[Tensor, int]]) -> None:
        """Go on with sums that were kept."""
        self.log_reset()
        for name, (value, count) in sums.items():
            self._sums[name], self._counts[name] = value.to(self.device), count

    def _add(self, name: str, mean: Tensor, count: int) -> None:
        value = mean.float() * count
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] += count

    def _mean(self, name: str) -> Tensor:
        """Mean over the samples of all processes."""
        both = torch.stack([self._sums[name], torch.tensor(float(self._counts[name]), device=self.device)])
        total = self.trainer.strategy.reduce(both, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total[0] / total[1]


class Searching(Fit):
    """Trains without gradients: the optimizer asks for the loss of a batch with other weights, again and again."""

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a batch with the weights as they are."""
        self._batch = batch
        with torch.no_grad():
            return super().training_step(batch, number)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """There is nothing to do."""

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Let it search; the first loss is Lightning's own, which is noted."""
        ways = chain([optimizer_closure], repeat(lambda: self.loss_of(self._batch)))

        def loss() -> Any:
            return next(ways)()

        optimizer.optimizer.step(loss)


def accumulated_shares(sizes: Sequence[int], accumulate: int) -> list[float]:
    """Return the factor on each batch's mean loss; 1 where the batches of a step have the same number of samples.

    Lightning divides by `accumulate`, also in an epoch's last step, which may have fewer batches, and takes no notice
    of batches with more or less samples than others.

    Args:
        sizes: samples of each batch of an epoch.
        accumulate: batches per optimizer step.
    """
    shares: list[float] = []
    for start in range(0, len(sizes), accumulate):
        step = sizes[start : start + accumulate]
        shares += [size * accumulate / sum(step) for size in step]
    return shares
