"""The score of a training on some of the validation images after every epoch, for the search that began it.

A search chooses by one part of the validation images and reports on the other, so it may not stop a training by the
curves of `Fit`, which are means over all of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json

FOLLOWED = "SIGHTLINE_FOLLOWED"  # the variable that names the folder of a search's trial
IDS, CURVE = "ids.json", "curve.json"


class Follower(Callback):
    """Write loss and scores on some validation samples after every epoch; it has no part in what is trained.

    Args:
        folder: with `ids.json`, the ids of these samples; `curve.json` is written there: `process`, `epochs` at most,
            and `rows` with epoch (from 0), `val_loss` and a `val_NAME` for each score. Rows of an interrupted training
            that goes on stay; a second training by the same process (of a ladder) is not followed.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.ids = folder / CURVE, frozenset(read_json(folder / IDS))
        self.rows: list[dict[str, float]] = []
        self.trainings = 0
        self._sums: dict[str, float] = {}
        self._count = 0

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Keep the rows of the epochs that were done before."""
        self.trainings += 1
        if self.trainings > 1:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):
            self.rows = [row for row in read_json(self.path)["rows"] if row["epoch"] < trainer.current_epoch]
        self._write(trainer)

    def on_validation_epoch_start(self, *_: Any) -> None:
        """Begin to sum."""
        self._sums, self._count = defaultdict(float), 0

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Judge the samples of the batch that belong to the part, by the weights (averaged or not) in use."""
        if self.trainings > 1 or trainer.world_size > 1:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        names = getattr(data.data["val"], "ids", ())
        start = batch_idx * data.batch_size
        chosen = [place for place, name in enumerate(names[start : start + len(batch.images)]) if name in self.ids]
        if not chosen:
            return
        rows = torch.tensor(chosen, device=batch.images.device)
        targets = {
            name: [values[place] for place in chosen] if isinstance(values, list) else values[rows]
            for name, values in batch.targets.items()
        }
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            task: Any = pl_module.task
            loss, scores = task.validate(batch.images[rows], targets)
        for name, value in {"loss": loss, **scores}.items():
            self._sums[f"val_{name}"] += float(value) * len(chosen)
        self._count += len(chosen)

    def on_validation_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        """Write the row of this epoch."""
        if self._count and self.trainings == 1:
            means = {name: value / self._count for name, value in self._sums.items()}
            self.rows.append({"epoch": float(trainer.current_epoch), **means})
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        with suppress(OSError, UserError, ValueError):  # a loss that is no number is no JSON
            write_json(self.path, {"process": os.getpid(), "epochs": trainer.max_epochs, "rows": self.rows})


def follower() -> Follower | None:
    """Return what follows a training that a search began, None if none did."""
    folder = os.environ.get(FOLLOWED)
    return Follower(Path(folder)) if folder and (Path(folder) / IDS).is_file() else None
