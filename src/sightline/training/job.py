"""What a training is given, resolved: a model's section, its data, the policy, and how many processes train."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sightline.config.augmentations import Augmentation, Policy, chosen_policy, copies_folder
from sightline.config.models import Model
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap
from sightline.models.weights import is_folded
from sightline.system.errors import UserError
from sightline.tasks import build, weights_source
from sightline.tasks.base import Task
from sightline.training.artifact.folder import ModelCard
from sightline.training.datamodule import PreparedData, training_split
from sightline.training.evolution import has_no_gradients, require_searchable
from sightline.training.hardware import Numerics, choose_numerics
from sightline.training.loop import device_type, own_share, process_count
from sightline.training.normalisation import with_normalisation
from sightline.training.resume import file_hash, resume_folder
from sightline.training.work import count_work


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        config: the model's section, with the normalisation of its weights.
        seed: of weights, order, augmentation and dropout.
        prepared: folder of the prepared data set.
        labels: its classes.
        policy: how training images vary.
        copies: folder with stored variants of them, if there are any.
        train: the training split.
        data_sha256: of the training and validation samples and the label map.
        weights_folder: where `weights: FILE` is looked up.
        resume_root: where checkpoints are kept while it runs.
        processes: how many train together.
    """

    config: Model
    seed: int
    prepared: Path
    labels: LabelMap
    policy: Policy
    copies: Path | None
    train: SplitStore
    data_sha256: str
    weights_folder: Path
    resume_root: Path
    processes: int

    @property
    def device(self) -> str:
        """The device on which a single process predicts."""
        return "cuda" if device_type(self.config.trainer.accelerator) == "cuda" else "cpu"

    def task(self) -> tuple[Task, Numerics]:
        """Build the task with its first weights.

        Raises:
            UserError: weights or settings that do not fit the data, the network or the machine.
        """
        config, settings = self.config, self.config.trainer
        torch.manual_seed(self.seed)
        source = weights_source(config.weights, config.trunk(), self.weights_folder)
        task = build(config.task, config.input, self.labels, source, self.train, self.weights_folder)
        if config.weights != "random" and settings.batch_statistics == "learn" and is_folded(task.network):
            raise UserError(
                f"weights: {config.weights}: batch normalisation is folded into the convolutions, and would rescale "
                "every layer at the first step; set trainer.batch_statistics: keep"
            )
        require_searchable(config.optimizer, task.network, self.processes)
        # Without gradients a step compares losses, and half precision knows three digits of them.
        exact = settings.precision == "auto" and has_no_gradients(config.optimizer)
        precision = "32" if exact else settings.precision
        image = config.input
        numerics = choose_numerics(
            task.network,
            device_type(settings.accelerator),
            precision,
            settings.layout,
            settings.threads,
            work=partial(count_work, task, image.extent, image.channels),
            batch=own_share(settings.batch_size, self.processes),
        )
        torch.set_num_threads(numerics.threads)
        task.use_layout(numerics.channels_last)
        return task, numerics

    def data(self, task: Task, seed: int) -> PreparedData:
        """Return the batches of a task, in an order and with an augmentation by `seed`."""
        settings, image = self.config.trainer, self.config.input
        return PreparedData(
            self.prepared,
            task.targets,
            size=image.extent,
            channels=image.channels,
            resize=image.resize,
            interpolation=image.interpolation,
            tiling=self.config.tiling,
            augment=self.policy,
            copies=self.copies,
            batch_size=own_share(settings.batch_size, self.processes),
            num_workers=settings.num_workers,
            seed=seed,
            balanced=settings.sampling == "balanced",
        )

    def folder(self, numerics: Numerics, **more: Any) -> Path:
        """Return the folder for the checkpoints of exactly this training, and of what else decides its result."""
        settings = deciding_settings(
            self.config, self.policy, self.seed, self.data_sha256, numerics, self.weights_folder, self.processes
        )
        return resume_folder(settings | more, self.resume_root)

    def card(self, numerics: Numerics) -> ModelCard:
        """Return what `model.json` says, without the hashes of files."""
        config = self.config
        return ModelCard(
            config.task,
            config.input,
            self.labels,
            numerics.precision,
            numerics.channels_last,
            numerics.threads,
            self.data_sha256,
            tiling=config.tiling,
        )


def open_job(
    config: Model,
    seed: int,
    prepared: Path,
    augmentation: Augmentation | None,
    augmented: Path,
    weights_folder: Path,
    resume_root: Path,
) -> Job:
    """Resolve what a training is given; the arguments are those of `fit.train`.

    Raises:
        UserError: data, weights or devices that are not there.
    """
    image = with_normalisation(config.input, config.weights, config.trunk(), weights_folder)
    labels = load_labels(prepared)
    policy, copies = chosen_policy(config.augment, augmentation), copies_folder(config.augment, augmentation, augmented)
    train, val = training_split(prepared, copies), SplitStore(prepared / "val")
    return Job(
        config=config.model_copy(update={"input": image}),
        seed=seed,
        prepared=prepared,
        labels=labels,
        policy=policy,
        copies=copies,
        train=train,
        data_sha256=hashlib.sha256((train.digest + val.digest + labels.sha256).encode()).hexdigest(),
        weights_folder=weights_folder,
        resume_root=resume_root,
        processes=process_count(config.trainer),
    )


def deciding_settings(
    config: Model,
    policy: Policy,
    seed: int,
    data_sha256: str,
    numerics: Numerics,
    weights_folder: Path,
    processes: int,
) -> dict[str, Any]:
    """Return everything that decides the result of a training."""
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
        **{f"file {path}": file_hash(path) for path in config.task.files(weights_folder)},
        "processes": processes,  # `auto` may mean another number today
    }
