"""The one LightningDataModule: the raw cache of a prepared data set as batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sightline.data.augmentation import Augmenter, Policy, key
from sightline.data.batch import Batch
from sightline.data.cache import raw_pixels
from sightline.data.images import Resize
from sightline.data.sampling import EpochSampler
from sightline.data.store import SplitStore
from sightline.structures import UINT8

Loader = DataLoader[Batch]


class Batches(Dataset[Batch]):
    """Makes whole batches at a time, which costs far less than joining single samples.

    Args:
        pixels: N x H x W x C uint8.
        targets: arrays of length N, by name.
        ids: N sample ids, the source of each sample's randomness.
        augment: changes an image for (epoch, id); None leaves images as they are.
    """

    def __init__(
        self, pixels: UINT8, targets: dict[str, Tensor], ids: Sequence[str], augment: Augmenter | None = None
    ) -> None:
        self.pixels, self.targets, self.ids, self.augment = pixels, targets, ids, augment

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, drawn: list[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        chosen = np.array([index for _, index in drawn])
        images = self.pixels[chosen]
        if self.augment is not None:
            for place, (epoch, index) in enumerate(drawn):
                images[place] = self.augment(images[place], epoch, self.ids[index])
        rows = torch.from_numpy(chosen)
        targets = {name: values[rows] for name, values in self.targets.items()}
        return Batch(torch.from_numpy(images), targets, drawn[0][0])


class PreparedData(LightningDataModule):
    """Training and validation batches of a prepared data set; it never opens the test split.

    Args:
        folder: `data/prepared/NAME`.
        targets: the fields of a sample that the task reads.
        size, channels, resize: the network's input.
        augment: the policy for training images.
        batch_size: per process.
        num_workers: loader processes.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str],
        *,
        size: int,
        channels: int,
        resize: Resize,
        augment: Policy,
        batch_size: int,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.data: dict[str, Batches] = {}
        for split in ("train", "val"):
            store = SplitStore(folder / split)
            augmenter = Augmenter(augment, channels, seed) if split == "train" and augment != "none" else None
            self.data[split] = Batches(
                raw_pixels(store, size, channels, resize),
                {name: torch.from_numpy(np.asarray(target_column(store, name))) for name in targets},
                store.ids,
                augmenter,
            )

    def steps_per_epoch(self, world: int) -> int:
        """Return the number of training batches each process takes per epoch."""
        return len(EpochSampler(len(self.data["train"]), self.batch_size, self.seed, lambda: 0, 0, world))

    def train_dataloader(self) -> Loader:
        """Shuffled batches; the sampler asks Lightning for the epoch at each start, also after a resume."""
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_progress.current  # `current_epoch` is one too low after a resume
        return self._loader("train", self._sampler("train", lambda: int(progress.processed)))

    def val_dataloader(self) -> Loader:
        """All validation samples, in order."""
        assert self.trainer is not None
        count, rank, world = len(self.data["val"]), self.trainer.global_rank, self.trainer.world_size
        mine = [(-1, index) for index in range(rank, count, world)]
        batches = [mine[start : start + self.batch_size] for start in range(0, len(mine), self.batch_size)]
        return self._loader("val", batches)

    def _sampler(self, split: str, epoch: Callable[[], int]) -> EpochSampler:
        assert self.trainer is not None
        count, rank, world = len(self.data[split]), self.trainer.global_rank, self.trainer.world_size
        return EpochSampler(count, self.batch_size, self.seed, epoch, rank, world)

    def _loader(self, split: str, batches: Any) -> Loader:
        return DataLoader(
            self.data[split],
            batch_sampler=batches,
            num_workers=self.num_workers,
            collate_fn=_as_made,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Without its own generator the loader would draw from torch's, once per epoch if workers persist.
            generator=torch.Generator().manual_seed(key(self.seed, "loader") >> 1),
            worker_init_fn=_single_threaded if self.num_workers else None,
        )


def target_column(store: SplitStore, name: str) -> Any:
    """Return the values of one field for every sample of a split."""
    return store.labels if name == "label" else store.column(name)


def _as_made(batch: Any) -> Any:
    return batch  # `Batches.__getitems__` has joined it


def _single_threaded(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
