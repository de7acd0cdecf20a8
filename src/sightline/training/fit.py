"""Trains one model: configuration and prepared data in, model directory and curves out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger

from sightline.config.augmentations import Augmentation
from sightline.config.models import Model
from sightline.config.trainer import Trainer as TrainerConfig
from sightline.system.errors import UserError
from sightline.tasks.base import Task
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.callbacks import build_callbacks
from sightline.training.datamodule import PreparedData
from sightline.training.evolution import has_no_gradients
from sightline.training.exact_head import head_in_float32
from sightline.training.fused import FusedFit, steps_together
from sightline.training.hardware import Numerics
from sightline.training.job import Job, open_job
from sightline.training.loop import algorithms_restored, build_loop, hush
from sightline.training.module import Fit, Relabel, Searching
from sightline.training.resume import RESUME, usable_checkpoint

FollowedBy = Callable[[Path], Logger | None]


@dataclass(frozen=True)
class Fitted:
    """What a training writes in addition to the model directory.

    Attributes:
        card: of the model directory.
        curves: one row per epoch.
        best_epoch: the epoch (from 0) whose weights were kept.
        main: whether this process wrote the model; false on all but the first of several.
        logger: what followed the epochs, if anything.
        ladder: what `ladder.json` says of the steps of a training that had some.
    """

    card: ModelCard
    curves: list[dict[str, float]]
    best_epoch: int
    main: bool
    logger: Logger | None
    ladder: dict[str, Any] | None = None


@algorithms_restored()
def train(
    config: Model,
    seed: int,
    prepared: Path,
    output: Path,
    *,
    augmentation: Augmentation | None = None,
    augmented: Path = Path("data/augmented"),
    weights_folder: Path = Path("data/weights"),
    logger: FollowedBy | None = None,
    callbacks: Sequence[Callback] = (),
    resume_root: Path = RESUME,
) -> Fitted:
    """Train a model in one go and write its directory; `ladder.climb` is for those with steps.

    A training that was killed goes on where it was, if nothing that decides its result has changed.

    Args:
        config: the model's section.
        seed: of weights, order, augmentation and dropout.
        prepared: folder of the prepared data set.
        output: the model directory to write.
        augmentation: the section that `augment` names; None if it is a ready-made policy.
        augmented: where the copies of such a section are looked up.
        weights_folder: where `weights: FILE` is looked up.
        logger: makes any Lightning logger, which follows the epochs. It is given the folder of the checkpoints, where
            it may remember its run, to go on with it after a kill.
        callbacks: further Lightning callbacks, run before the project's.
        resume_root: where checkpoints are kept while it runs.

    Raises:
        UserError: weights or settings that do not fit the data, the network or the machine.
    """
    hush()
    job = open_job(config, seed, prepared, augmentation, augmented, weights_folder, resume_root)
    task, numerics = job.task()
    folder = job.folder(numerics)
    trained = fit_network(job, task, numerics, seed, folder, logger=logger, callbacks=callbacks)
    card = job.card(numerics)
    if trained.trainer.is_global_zero:
        if task.calibrates:
            calibrate(task, trained.data)
        card = write_model(output, task, card)
        shutil.rmtree(folder, ignore_errors=True)
    return Fitted(card, trained.curves, trained.kept_epoch, trained.trainer.is_global_zero, trained.trainer.logger)


@dataclass(frozen=True)
class Trained:
    """What a loop leaves; on the first process the task has the weights that were kept.

    Attributes:
        trainer: that ran.
        data: its batches.
        curves: one row per epoch.
        kept_epoch: the epoch (from 0) whose weights were kept.
    """

    trainer: Trainer
    data: PreparedData
    curves: list[dict[str, float]]
    kept_epoch: int


def fit_network(
    job: Job,
    task: Task,
    numerics: Numerics,
    seed: int,
    folder: Path,
    *,
    logger: FollowedBy | None = None,
    callbacks: Sequence[Callback] = (),
    relabel: Relabel | None = None,
) -> Trained:
    """Run the epochs of a task, or go on with them.

    Args:
        job: what there is to train.
        task: with its first weights.
        numerics: precision and layout.
        seed: of order, augmentation and dropout.
        folder: of the checkpoints of exactly this training.
        logger: as in `train`.
        callbacks: as in `train`.
        relabel: makes other targets of a training batch.

    Raises:
        UserError: the loss is not finite any more, or a batch cannot be divided among processes.
    """
    data = job.data(task, seed)
    sizes = data.training_batch_sizes(job.processes)
    settings = _with_decay(job.config.trainer, len(sizes))
    own, kept = build_callbacks(settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    follow = logger(folder) if logger else None
    every = [*callbacks, *own]
    data.together = together = steps_together(job.config, settings, numerics, job.processes, callbacks)
    trainer = build_loop(
        settings if together == 1 else settings.model_copy(update={"clip_norm": None}),  # `FusedFit` clips itself
        numerics,
        every,
        follow,
        folder,
        job.processes,
        task.learns_in_parts,
    )
    kind = Searching if has_no_gradients(job.config.optimizer) else Fit if together == 1 else FusedFit
    module = kind(
        task,
        job.config.optimizer,
        job.config.schedule,
        seed,
        batch_sizes=sizes,
        epochs=settings.max_epochs,
        accumulate=settings.accumulate,
        clip_norm=settings.clip_norm,
        relabel=relabel,
    )
    checkpoint = usable_checkpoint(folder)
    if checkpoint is not None:
        print(f"resuming an interrupted training from {folder}")
    with head_in_float32(task, numerics.precision):
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if not all(np.isfinite(row["train_loss"]) for row in module.curves):
        raise UserError("training diverged: the loss is not finite; lower optimizer.lr or set trainer.clip_norm")
    if trainer.is_global_zero:
        _load_kept(module, Path(kept.best_model_path))
    return Trained(trainer, data, module.curves, _kept_epoch(job.config, module.curves))


def _with_decay(settings: TrainerConfig, batches: int) -> TrainerConfig:
    """Return settings with `ema_decay` for `ema_epochs`: after so many the share of older weights is 1/e."""
    if settings.ema_epochs is None:
        return settings
    steps = settings.ema_epochs * -(-batches // settings.accumulate)
    return settings.model_copy(update={"ema_decay": float(np.exp(-1 / steps)), "ema_epochs": None})


def _load_kept(module: Fit, path: Path) -> None:
    """Put the weights of a checkpoint into the module."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state)


def calibrate(task: Task, data: PreparedData) -> None:
    """Let the task settle what it settles on validation data."""
    task.eval().cpu()
    with torch.inference_mode():
        pairs = [(task(batch.images), batch.targets) for batch in data.validation_batches()]
        targets = {name: torch.cat([own[name] for _, own in pairs]) for name in task.targets}
        task.calibrate(torch.cat([outputs for outputs, _ in pairs]), targets)


def _kept_epoch(config: Model, curves: list[dict[str, float]]) -> int:
    if config.trainer.keep == "last":
        return len(curves) - 1
    return int(min(curves, key=lambda row: row["val_loss"])["epoch"])
