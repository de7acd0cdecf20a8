"""Checkpoints within long epochs, from which a killed training goes on to the same bytes.

At the end of an epoch the order of samples, their variants and what a network draws at random are functions of the
seed and the epoch. Within one, more has to be kept: the state of the random generators and the sums of the losses, of
each process.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from sightline.training.module import Fit
from sightline.training.resume import MID_EPOCH

_SECONDS = 300.0  # between two checkpoints, at least
_SHARE = 0.01  # of the time that checkpoints may take
_LOOK = 64  # turns of the loop between two looks at the clock, which several processes take together


class MidEpoch(Callback):
    """Writes a checkpoint every few minutes, and takes up again what it kept.

    Args:
        folder: of the checkpoints.
        accumulate: batches of an optimizer step; none is broken off.
    """

    def __init__(self, folder: Path, accumulate: int) -> None:
        self.path = folder / f"{MID_EPOCH}.ckpt"
        self.accumulate = accumulate
        self._kept: list[dict[str, Any]] | None = None
        self._saving = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on within an epoch, whose beginning Lightning does not announce again."""
        self._wait, self._last = _SECONDS, time.monotonic()
        if self._kept is None:
            return
        assert isinstance(pl_module, Fit)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # missing in Lightning's annotations
            callback.on_train_epoch_start(trainer, pl_module)
        pl_module.on_train_epoch_start()
        own = self._kept[trainer.global_rank]
        pl_module.set_sums(own["sums"])
        _set_random_state(own["random"])
        self._kept = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint if it is time, the optimizer has done its step and the epoch is not over."""
        done = batch_idx + 1
        if done % _LOOK or done % self.accumulate or done == trainer.num_training_batches:
            return
        began = time.monotonic()
        if not trainer.strategy.broadcast(began - self._last >= self._wait):
            return
        self._saving = True
        trainer.save_checkpoint(self.path)
        self._saving = False
        self._last = time.monotonic()
        self._wait = max(_SECONDS, (self._last - began) / _SHARE)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what each process has to keep."""
        if not self._saving:
            return
        assert isinstance(pl_module, Fit)
        own = {"sums": pl_module.sums(), "random": _random_state()}
        everyone: list[dict[str, Any]] = [own]
        if trainer.world_size > 1:
            everyone = [{} for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(everyone, own)
        checkpoint[MID_EPOCH] = everyone

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember what was kept until the training starts."""
        self._kept = checkpoint.get(MID_EPOCH)


def turns_done(trainer: Trainer) -> int:
    """Return how many turns of the present epoch are done, 0 unless a training goes on within it."""
    loop = trainer.fit_loop
    progress: Any = loop.epoch_loop.batch_progress
    return int(progress.current.processed) if loop.restarting and not progress.is_last_batch else 0


def _random_state() -> dict[str, Any]:
    """Return the state of all global generators, as tensors and plain values: a checkpoint holds nothing else."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    assert name == "MT19937"
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": list(random.getstate()),
    }


def _set_random_state(state: dict[str, Any]) -> None:
    """Set the generators as they were when `_random_state` was called."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
