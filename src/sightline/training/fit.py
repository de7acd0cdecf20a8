"""Trains one model: configuration and prepared data in, model directory and curves out."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger

from sightline.config.augmentations import Augmentation, Policy, chosen_policy, copies_folder
from sightline.config.models import Model
from sightline.config.trainer import Trainer as TrainerConfig
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap
from sightline.models.weights import is_folded
from sightline.system.errors import UserError, first_line
from sightline.tasks import build, weights_source
from sightline.tasks.base import Task
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.callbacks import build_callbacks
from sightline.training.checkpoint_file import WholeCheckpoints
from sightline.training.datamodule import PreparedData, training_split
from sightline.training.hardware import Numerics, choose_numerics
from sightline.training.module import Fit
from sightline.training.normalisation import with_normalisation
from sightline.training.resume import RESUME, file_hash, resume_folder, usable_checkpoint


@dataclass(frozen=True)
class Fitted:
    """What a training writes in addition to the model directory.

    Attributes:
        card: of the model directory.
        curves: one row per epoch.
        best_epoch: the epoch (from 0) whose weights were kept.
        main: whether this process wrote the model; false on all but the first of several.
        logger: what followed the epochs, if anything.
    """

    card: ModelCard
    curves: list[dict[str, float]]
    best_epoch: int
    main: bool
    logger: Logger | None


@contextmanager
def _algorithms_restored() -> Iterator[None]:
    """Leave torch as it was: Lightning switches deterministic algorithms on for the whole process."""
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@_algorithms_restored()
def train(
    config: Model,
    seed: int,
    prepared: Path,
    output: Path,
    *,
    augmentation: Augmentation | None = None,
    augmented: Path = Path("data/augmented"),
    weights_folder: Path = Path("data/weights"),
    logger: Callable[[Path], Logger | None] | None = None,
    callbacks: Sequence[Callback] = (),
    resume_root: Path = RESUME,
) -> Fitted:
    """Train a model and write its directory.

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
    _hush()
    image = with_normalisation(config.input, config.weights, config.trunk(), weights_folder)
    config = config.model_copy(update={"input": image})
    labels = load_labels(prepared)
    policy, copies = chosen_policy(config.augment, augmentation), copies_folder(config.augment, augmentation, augmented)
    stores = {"train": training_split(prepared, copies), "val": SplitStore(prepared / "val")}
    task, numerics = _build(config, seed, labels, stores["train"], weights_folder)
    data_sha256 = hashlib.sha256((stores["train"].digest + stores["val"].digest + labels.sha256).encode()).hexdigest()
    processes = _processes(config.trainer)
    deciding = _settings(config, policy, seed, data_sha256, numerics, weights_folder, processes)
    folder = resume_folder(deciding, resume_root)
    settings = config.trainer
    data = PreparedData(
        prepared,
        task.targets,
        size=config.input.size,
        channels=config.input.channels,
        resize=config.input.resize,
        interpolation=config.input.interpolation,
        augment=policy,
        copies=copies,
        batch_size=_own_share(settings.batch_size, processes),
        num_workers=settings.num_workers,
        seed=seed,
        balanced=settings.sampling == "balanced",
    )
    own, kept = build_callbacks(settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    follow = logger(folder) if logger else None
    trainer = _trainer(settings, numerics, [*callbacks, *own], follow, folder, processes)
    module = Fit(
        task,
        config.optimizer,
        config.schedule,
        seed,
        batch_sizes=data.training_batch_sizes(processes),
        epochs=settings.max_epochs,
        accumulate=settings.accumulate,
    )
    checkpoint = usable_checkpoint(folder)
    if checkpoint is not None:
        print(f"resuming an interrupted training from {folder}")
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if not all(np.isfinite(row["train_loss"]) for row in module.curves):
        raise UserError("training diverged: the loss is not finite; lower optimizer.lr or set trainer.clip_norm")
    card = ModelCard(
        config.task, config.input, labels, numerics.precision, numerics.channels_last, numerics.threads, data_sha256
    )
    if trainer.is_global_zero:
        _load_kept(module, Path(kept.best_model_path))
        if task.calibrates:
            _calibrate(task, data)
        card = write_model(output, task, card)
        shutil.rmtree(folder, ignore_errors=True)
    return Fitted(card, module.curves, _kept_epoch(config, module.curves), trainer.is_global_zero, trainer.logger)


def _build(
    config: Model, seed: int, labels: LabelMap, train_split: SplitStore, weights_folder: Path
) -> tuple[Task, Numerics]:
    torch.manual_seed(seed)
    task = build(
        config.task, config.input, labels, weights_source(config.weights, config.trunk(), weights_folder), train_split
    )
    settings = config.trainer
    if config.weights != "random" and settings.batch_statistics == "learn" and is_folded(task.network):
        raise UserError(
            f"weights: {config.weights}: batch normalisation is folded into the convolutions, and would rescale "
            "every layer at the first step; set trainer.batch_statistics: keep"
        )
    numerics = choose_numerics(
        task.network, _device(settings.accelerator), settings.precision, settings.layout, settings.threads
    )
    torch.set_num_threads(numerics.threads)
    task.use_layout(numerics.channels_last)
    return task, numerics


def _device(accelerator: str) -> Literal["cpu", "cuda", "mps", "other"]:
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu" if accelerator in ("auto", "cpu") else "other"


def _settings(
    config: Model,
    policy: Policy,
    seed: int,
    data_sha256: str,
    numerics: Numerics,
    weights_folder: Path,
    processes: int,
) -> dict[str, Any]:
    """Everything that decides the result of a training."""
    weights = weights_source(config.weights, config.trunk(), weights_folder)
    own = config.model_dump()
    own["trainer"].pop("num_workers")  # never changes the result
    return {
        "config": own,
        "policy": policy,
        "seed": seed,
        "data": data_sha256,
        "numerics": numerics.__dict__,
        "weights": file_hash(weights) if isinstance(weights, Path) else weights,
        "processes": processes,  # `auto` may mean another number today
    }


def _trainer(
    settings: TrainerConfig,
    numerics: Numerics,
    callbacks: list[Any],
    logger: Logger | None,
    folder: Path,
    processes: int,
) -> Trainer:
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=_strategy(settings.strategy, settings.freeze_epochs > 0, processes),
        num_nodes=settings.num_nodes,
        precision=numerics.plugin,
        plugins=[WholeCheckpoints()],
        max_epochs=settings.max_epochs,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_norm,
        callbacks=callbacks,
        logger=logger or False,
        default_root_dir=folder,
        use_distributed_sampler=False,  # the project's sampler divides the work itself
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(type(c).__name__ == "RichProgressBar" for c in callbacks),
        deterministic=_device(settings.accelerator) == "cpu",
    )


def _processes(settings: TrainerConfig) -> int:
    """Return how many processes Lightning trains with, on all machines together, one per device.

    Raises:
        UserError: devices or a strategy that cannot be had, or other processes than those that torchrun started.
    """
    try:
        probe = Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=settings.strategy,
            num_nodes=settings.num_nodes,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
    except Exception as error:  # Lightning raises many types for devices and strategies it cannot have
        first = first_line(error)
        raise UserError(
            f"trainer: accelerator {settings.accelerator}, devices {settings.devices}, "
            f"strategy {settings.strategy}: {first}"
        ) from None
    processes = probe.num_devices * probe.num_nodes
    started = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else processes
    if started != processes:
        raise UserError(
            f"trainer.devices: {settings.devices}: gives {processes} process(es), but torchrun started {started}; "
            f"set trainer.devices to the number of processes per machine"
        )
    return processes


def _own_share(batch_size: int, processes: int) -> int:
    """Return the samples per step of each process.

    Raises:
        UserError: they cannot have equally many.
    """
    if batch_size % processes:
        near = max(1, round(batch_size / processes)) * processes
        raise UserError(
            f"trainer.batch_size: {batch_size}: is the total of all {processes} processes, and cannot be divided "
            f"equally among them; use {near}"
        )
    return batch_size // processes


def _strategy(strategy: str, freezes: bool, processes: int) -> str:
    """DDP waits for every gradient that there was when it began, unless some are declared as missing."""
    by_ddp = strategy == "ddp" or (strategy == "auto" and processes > 1)
    return "ddp_find_unused_parameters_true" if by_ddp and freezes else strategy


def _load_kept(module: Fit, path: Path) -> None:
    """Put the weights of a checkpoint into the module."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state)


def _calibrate(task: Task, data: PreparedData) -> None:
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


def flat_settings(config: Model, seed: int, fitted: Fitted) -> dict[str, Any]:
    """Return the settings of a training and what came of them, as one level of dotted names."""
    best = next(row for row in fitted.curves if row["epoch"] == fitted.best_epoch)
    values = {
        "seed": seed,
        **config.model_dump(exclude={"seed"}),
        "numerics": {name: getattr(fitted.card, name) for name in ("precision", "channels_last", "threads")},
    }
    flat = _flatten(values)
    return flat | {
        "epochs_run": len(fitted.curves),
        "best_epoch": fitted.best_epoch,
        **{f"best.{name}": value for name, value in best.items() if name.startswith("val_")},
    }


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _hush() -> None:
    """Silence Lightning's hints about loaders and hardware; its errors stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|torch\.optim\.lr_scheduler")
    warnings.filterwarnings("ignore", message="This DataLoader will create")
