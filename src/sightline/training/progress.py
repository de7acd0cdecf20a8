"""How far a training is, in a small file, for those who wait for it; it has no part in what is trained."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from sightline.system.errors import UserError
from sightline.system.files import write_json
from sightline.training.followed import follower


class ProgressFile(Callback):
    """Write after every epoch how many are done and how long they took; that it cannot be written stops no training.

    Args:
        path: of the file, JSON: `epochs_done`, `epochs` at most, `resumed_from` (epochs that an interrupted training
            had done), `seconds` since this process began its first epoch, `written` (Unix time), `process`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began, self.first = 0.0, 0
        self.follower = follower()

    def on_train_start(self, trainer: Trainer, *more: Any) -> None:
        """Take the time."""
        if self.follower is not None:
            self.follower.on_train_start(trainer, *more)
        self.began, self.first = time.time(), trainer.current_epoch
        self._write(trainer, self.first)

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        """Write after validation, which Lightning counts to the epoch."""
        self._write(trainer, trainer.current_epoch + 1)

    def on_validation_epoch_start(self, trainer: Trainer, *more: Any) -> None:
        """Pass it on to what follows a training for a search."""
        if self.follower is not None:
            self.follower.on_validation_epoch_start(trainer, *more)

    def on_validation_batch_end(self, trainer: Trainer, *more: Any) -> None:
        """Pass it on to what follows a training for a search."""
        if self.follower is not None:
            self.follower.on_validation_batch_end(trainer, *more)

    def on_validation_epoch_end(self, trainer: Trainer, *more: Any) -> None:
        """Pass it on to what follows a training for a search."""
        if self.follower is not None:
            self.follower.on_validation_epoch_end(trainer, *more)

    def _write(self, trainer: Trainer, done: int) -> None:
        if not trainer.is_global_zero:
            return
        now = time.time()
        with suppress(OSError, UserError):
            write_json(
                self.path,
                {
                    "epochs_done": done,
                    "epochs": trainer.max_epochs or done,
                    "resumed_from": self.first,
                    "seconds": round(now - self.began, 3),
                    "written": now,
                    "process": os.getpid(),
                },
            )
