"""Lightning's loop as a model's section says: devices, processes, precision, checkpoints."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from sightline.config.trainer import Trainer as TrainerConfig
from sightline.system.errors import UserError, first_line
from sightline.training.checkpoint_file import WholeCheckpoints
from sightline.training.hardware import Numerics


@contextmanager
def algorithms_restored() -> Iterator[None]:
    """Leave torch as it was: Lightning switches deterministic algorithms on for the whole process.

    With them torch fills all new memory with NaN, for programs that read what they have not written; here none does.
    """
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def device_type(accelerator: str) -> Literal["cpu", "cuda", "mps", "other"]:
    """Return what an accelerator is on this machine."""
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu" if accelerator in ("auto", "cpu") else "other"


def build_loop(
    settings: TrainerConfig,
    numerics: Numerics,
    callbacks: list[Any],
    logger: Logger | None,
    folder: Path,
    processes: int,
    in_parts: bool = False,
) -> Trainer:
    """Return Lightning's trainer.

    Args:
        settings: the model's `trainer` section.
        numerics: precision and layout.
        callbacks: all of them, in their order.
        logger: what follows the epochs, if anything.
        folder: of the checkpoints.
        processes: how many train together.
        in_parts: whether some layers have no gradients in some epochs.
    """
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=_strategy(settings.strategy, in_parts or settings.freeze_epochs > 0, processes),
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
        deterministic=device_type(settings.accelerator) == "cpu",
    )


def process_count(settings: TrainerConfig) -> int:
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


def own_share(batch_size: int, processes: int) -> int:
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


def hush() -> None:
    """Silence Lightning's hints about loaders and hardware; its errors stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|torch\.optim\.lr_scheduler")
    warnings.filterwarnings("ignore", message="This DataLoader will create")
