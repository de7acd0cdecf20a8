"""The one LightningDataModule: the raw cache of a prepared data set as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from sightline.data.geometry import SPATIAL, Annotations, Geometry, as_tensors
from sightline.data.images import Resize
from sightline.data.sampling import EpochSampler
from sightline.data.store import SplitStore, load_labels
from sightline.structures import UINT8

Loader = DataLoader[Batch]
WHOLE = ("label", "labels", "values")  # fields that tell of a whole image


class Batches(Dataset[Batch]):
    """Makes whole batches at a time, which costs far less than joining single samples.

    Args:
        pixels: N x H x W x C uint8.
        targets: arrays of length N, by name.
        ids: N sample ids, the source of each sample's randomness.
        augment: changes an image for (epoch, id); None leaves images as they are.
        annotations: what lies on the images, changed together with them; None for tasks that look at whole images.
        fields: names of the annotations that are targets.
    """

    def __init__(
        self,
        pixels: UINT8,
        targets: dict[str, Tensor],
        ids: Sequence[str],
        augment: Augmenter | None = None,
        annotations: Annotations | None = None,
        fields: Sequence[str] = (),
    ) -> None:
        self.pixels, self.targets, self.ids, self.augment = pixels, targets, ids, augment
        self.annotations, self.fields = annotations, fields

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, drawn: list[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        chosen = np.array([index for _, index in drawn])
        images = self.pixels[chosen]
        rows = torch.from_numpy(chosen)
        targets: dict[str, Any] = {name: values[rows] for name, values in self.targets.items()}
        if self.annotations is not None:
            targets |= as_tensors(self._with_geometry(images, drawn), self.fields)
        elif self.augment is not None:
            for place, (epoch, index) in enumerate(drawn):
                images[place] = self.augment(images[place], epoch, self.ids[index])
        return Batch(torch.from_numpy(images), targets, drawn[0][0])

    def _with_geometry(self, images: UINT8, drawn: list[tuple[int, int]]) -> list[Geometry]:
        """Return the geometry of each image, both changed together."""
        assert self.annotations is not None
        geometries = []
        for place, (epoch, index) in enumerate(drawn):
            geometry = self.annotations[index]
            if self.augment is not None:
                images[place], geometry = self.augment.with_geometry(images[place], geometry, epoch, self.ids[index])
            geometries.append(geometry)
        return geometries


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
        balanced: whether each class is equally frequent in training batches.
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
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.data: dict[str, Batches] = {}
        labels = load_labels(folder)
        stores = {split: SplitStore(folder / split) for split in ("train", "val")}
        self.classes = stores["train"].labels if balanced else None
        for split, store in stores.items():
            varies = split == "train" and augment != "none"
            spatial = any(name in SPATIAL for name in targets)
            self.data[split] = Batches(
                raw_pixels(store, size, channels, resize),
                {name: target_column(store, name, len(labels)) for name in targets if name in WHOLE},
                store.ids,
                Augmenter(augment, channels, seed, labels.mirrored) if varies else None,
                Annotations(store, targets, size, resize) if spatial else None,
                targets,
            )

    def steps_per_epoch(self, world: int) -> int:
        """Return the number of training batches each process takes per epoch."""
        return len(EpochSampler(len(self.data["train"]), self.batch_size, self.seed, lambda: 0, 0, world))

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all validation samples, in order, whatever the number of processes."""
        data = self.data["val"]
        for start in range(0, len(data), self.batch_size):
            yield data.__getitems__([(-1, index) for index in range(start, min(start + self.batch_size, len(data)))])

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
        return EpochSampler(count, self.batch_size, self.seed, epoch, rank, world, self.classes)

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


def target_column(store: SplitStore, name: str, classes: int) -> Tensor:
    """Return one field of every sample of a split: `label` N int64, `labels` N x K 0/1, `values` N x K float32."""
    match name:
        case "label":
            return torch.from_numpy(store.labels)
        case "labels":
            present = torch.zeros(len(store), classes)
            for row, own in zip(present, store.column(name), strict=True):
                row[list(own or ())] = 1
            return present
        case _:
            return torch.tensor(store.column(name), dtype=torch.float32)


def _as_made(batch: Any) -> Any:
    return batch  # `Batches.__getitems__` has joined it


def _single_threaded(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
