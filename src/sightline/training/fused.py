"""Several optimizer steps in each turn of Lightning's loop, for networks whose step is hardly longer than a turn.

A turn costs about 0.7 ms besides the network (two dozen hooks, marks for profilers, progress), whatever is in it. The
results are the same bytes as one step at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import Callback

from sightline.config.models import Model
from sightline.config.trainer import Trainer
from sightline.training.batch import Batch
from sightline.training.evolution import has_no_gradients
from sightline.training.hardware import Numerics
from sightline.training.module import Fit

_TOGETHER = 16  # steps of a turn
_MOST_BYTES = 1 << 20  # of a batch's images; larger ones take so long that the turn does not matter
_IN_STEPS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)


def steps_together(
    config: Model, settings: Trainer, numerics: Numerics, processes: int, callbacks: Sequence[Callback]
) -> int:
    """Return how many steps a turn may have: 1 where somebody looks at single steps, or where it would not matter.

    Args:
        config: the model's section.
        settings: its `trainer` section, complete.
        numerics: precision and layout.
        processes: how many train together.
        callbacks: those that are not the project's own.
    """
    plain = settings.accumulate == 1 and settings.ema_decay is None and not has_no_gradients(config.optimizer)
    here = processes == 1 and settings.strategy == "auto" and numerics.precision != "16" and not settings.num_workers
    seen = any(getattr(type(one), name) is not getattr(Callback, name) for one in callbacks for name in _IN_STEPS)
    image = config.input
    height, width = image.extent if isinstance(image.extent, tuple) else (image.extent, image.extent)
    small = height * width * image.channels * settings.batch_size <= _MOST_BYTES
    return _TOGETHER if plain and here and small and not seen else 1


class FusedFit(Fit):
    """Trains a task by turns of several steps."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.automatic_optimization = False

    def training_step(self, batch: list[Batch], _: int) -> None:  # type: ignore[override]  # batches of a turn
        """Do a step with each batch, as Lightning does it: loss, no gradients, new ones, clipping, weights, rate."""
        counted: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        optimizer = counted.optimizer
        for place, one in enumerate(batch, 1):
            loss = self.loss_of(one)
            self._add("train_loss", loss.detach(), len(one.images))
            optimizer.zero_grad()
            with torch.autocast(self.device.type, enabled=False):
                loss.backward()  # type: ignore[no-untyped-call]  # missing in torch's own annotations
                if self.clip_norm:
                    torch.nn.utils.clip_grad_norm_(self.parameters(), self.clip_norm)
                # Only Lightning's own step counts, and its checkpoints must differ from turn to turn.
                (counted if place == len(batch) else optimizer).step()
            torch.clear_autocast_cache()  # of the weights before this step; by itself it lives as long as the turn
            schedule.step()
