"""The model to be tuned: its network, its data and its device, as a training would have them."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from sightline.config.augmentations import Augmentation, chosen_policy, copies_folder
from sightline.config.models import Model
from sightline.data.store import load_labels
from sightline.labs.tuning.trial import Trial
from sightline.models.weights import is_folded
from sightline.system.errors import UserError
from sightline.tasks import build, weights_source
from sightline.tasks.base import Task
from sightline.training.batch import Batch
from sightline.training.datamodule import Loader, PreparedData, training_split
from sightline.training.evolution import has_no_gradients
from sightline.training.hardware import Numerics, choose_numerics
from sightline.training.normalisation import with_normalisation
from sightline.training.sampling import EpochSampler
from sightline.training.work import count_work


@dataclass(frozen=True)
class Subject:
    """What is probed; probes never change it.

    Attributes:
        config: the model's section.
        seed: of weights, order and augmentation.
        task: with the weights that a training begins with, on the CPU.
        data: train and validation split.
        device: where a training would run.
        now: precision and layout as they are written.
        rule: those that `auto` stands for.
    """

    config: Model
    seed: int
    task: Task
    data: PreparedData
    device: torch.device
    now: Numerics
    rule: Numerics

    @property
    def samples(self) -> int:
        """Number of training samples."""
        return len(self.data.data["train"])

    @property
    def has_convolutions(self) -> bool:
        """Whether the network has weights to which a layout makes a difference."""
        return any(parameter.ndim == 4 for parameter in self.task.parameters())

    def trial(self, channels_last: bool, rate: float = 0.0) -> Trial:
        """Return a copy of the network with the configured optimizer.

        At the default rate of 0 its steps cost what they cost at any other, but its weights stay.
        """
        trainer = self.config.trainer
        keeps = trainer.batch_statistics == "keep"
        trial = Trial(self.task, self.device, channels_last, self.config.optimizer, trainer.clip_norm, keeps)
        trial.set_rate(rate)
        return trial

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield training batches, epoch after epoch, as a training draws them."""
        for epoch in itertools.count():
            yield from map(self.data.data["train"].__getitems__, self._drawn(size, epoch))

    def batch(self, size: int) -> Batch:
        """Return the first `size` training samples, not augmented; they repeat where there are fewer."""
        plain = copy.copy(self.data.data["train"])
        plain.augment = plain.mixer = None
        return plain.__getitems__([(0, index % self.samples) for index in range(size)])

    def loader(self, size: int, workers: int, batches: int) -> Loader:
        """Return the loader of a training, cut to the first batches of an epoch."""
        self.data.num_workers = workers
        whole = self.data.train_dataloader()
        return DataLoader(
            whole.dataset,
            batch_sampler=list(itertools.islice(self._drawn(size, 0), batches)),
            num_workers=workers,
            collate_fn=whole.collate_fn,
            pin_memory=whole.pin_memory,
            persistent_workers=workers > 0,
            generator=whole.generator,
            worker_init_fn=whole.worker_init_fn,
        )

    def _drawn(self, size: int, epoch: int) -> Iterator[list[tuple[int, int]]]:
        return iter(EpochSampler(self.samples, size, self.seed, lambda: epoch, classes=self.data.classes))


def open_subject(
    config: Model,
    seed: int,
    prepared: Path,
    weights_folder: Path,
    augmentation: Augmentation | None = None,
    augmented: Path = Path("data/augmented"),
) -> Subject:
    """Build network and data as a training does; the arguments are those of `training.train`.

    Raises:
        UserError: data that are not prepared, or weights or settings that do not fit.
    """
    if has_no_gradients(config.optimizer):
        raise UserError(f"optimizer.name: {config.optimizer.name}: probes take steps along gradients; nothing to tune")
    settings = config.trainer
    policy, copies = chosen_policy(config.augment, augmentation), copies_folder(config.augment, augmentation, augmented)
    labels, store = load_labels(prepared), training_split(prepared, copies)
    device = _device(settings.accelerator)
    torch.manual_seed(seed)
    image = with_normalisation(config.input, config.weights, config.trunk(), weights_folder)
    task = build(
        config.task,
        image,
        labels,
        weights_source(config.weights, config.trunk(), weights_folder),
        store,
        weights_folder,
    )
    if config.weights != "random" and settings.batch_statistics == "learn" and is_folded(task.network):
        raise UserError(f"weights: {config.weights}: batch normalisation is folded; set trainer.batch_statistics: keep")
    work = cache(partial(count_work, task, config.input.extent, config.input.channels))
    by_rule = partial(choose_numerics, threads=settings.threads, work=work, batch=settings.batch_size)
    now = by_rule(task.network, device, settings.precision, settings.layout)
    rule = by_rule(task.network, device, "auto", "auto")
    torch.set_num_threads(now.threads)
    data = PreparedData(
        prepared,
        task.targets,
        size=config.input.extent,
        channels=config.input.channels,
        resize=image.resize,
        interpolation=image.interpolation,
        tiling=config.tiling,
        augment=policy,
        copies=copies,
        batch_size=settings.batch_size,
        num_workers=0,
        seed=seed,
        balanced=settings.sampling == "balanced",
    )
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # no hints about devices
    # Its loaders ask a trainer for the epoch; with it come the deterministic kernels of a training, and their cost.
    data.trainer = Trainer(
        accelerator="gpu" if device == "cuda" else device,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic=device == "cpu",
    )
    return Subject(config, seed, task, data, torch.device(device), now, rule)


def _device(accelerator: str) -> Literal["cpu", "cuda", "mps"]:
    """Return the kind of device that a training would take here."""
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    if accelerator in ("auto", "cpu"):
        return "cpu"
    raise UserError(
        f"trainer.accelerator: {accelerator}: not available on this machine; use auto, or one that is available"
    )
