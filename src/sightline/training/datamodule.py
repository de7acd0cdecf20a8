"""The one LightningDataModule: the raw cache of a prepared data set as batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from sightline.config.augmentations import Policy, divide_policy
from sightline.config.tiling import MaybeTiling, Tiling
from sightline.data.cache import raw_pixels
from sightline.data.images import Interpolation, Resize, Size
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap
from sightline.data.vary.augmentation import Augmenter, key
from sightline.data.vary.geometry import SPATIAL, Annotations
from sightline.training.batch import Batch
from sightline.training.batches import Batches
from sightline.training.mid_epoch import turns_done
from sightline.training.mixing import Mixer
from sightline.training.sampling import EpochSampler
from sightline.training.turns import Turns, TurnSampler

Loader = DataLoader[Batch]
WHOLE = ("label", "labels", "values", "text")  # fields that describe a whole image
NO_CHARACTER = -1  # fills the rows of texts that are shorter than the longest


class PreparedData(LightningDataModule):
    """Training and validation batches of a prepared data set; it never opens the test split.

    Args:
        folder: `data/prepared/NAME`.
        targets: the fields of a sample that the task reads.
        size, channels, resize, interpolation: the network's input.
        augment: the policy for training images.
        copies: a folder with variants of the training samples. They are used unchanged, with the originals, and
            the policy draws no others; None if there are none.
        tiling: batches are of tiles, cut from whole images; None: of whole images at the input's size.
        batch_size: per process.
        num_workers: loader processes.
        seed: of order and augmentation.
        balanced: whether each class is equally frequent in training batches.

    Attributes:
        together: training batches that the loader gives at a time, as a list; 1: a batch, not in a list.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str],
        *,
        size: Size,
        channels: int,
        resize: Resize,
        augment: Policy,
        batch_size: int,
        num_workers: int,
        seed: int,
        balanced: bool = False,
        copies: Path | None = None,
        interpolation: Interpolation = None,
        tiling: MaybeTiling = None,
    ) -> None:
        super().__init__()
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.together = 1
        self.data: dict[str, Batches] = {}
        labels = load_labels(folder)
        stores = {"train": training_split(folder, copies), "val": SplitStore(folder / "val")}
        self.classes = stores["train"].labels if balanced else None
        transforms, mixing = divide_policy(augment)
        varies = transforms not in ("none", []) and copies is None
        spatial = any(name in SPATIAL for name in targets)
        assert isinstance(size, int) or not spatial  # kinds with places have square inputs
        for split, store in stores.items():
            learned = split == "train"
            augmenter = Augmenter(transforms, seed, labels.mirrored) if learned and varies else None
            mixer = Mixer(mixing, seed) if learned and mixing else None
            match tiling:
                case Tiling():
                    from sightline.data.vary.tile_draws import DrawnTiles
                    from sightline.training.tiles.batches import TileBatches

                    image: dict[str, Any] = {"side": size, "channels": channels, "interpolation": interpolation}
                    tiles = DrawnTiles(store, targets, **image, **tiling.draws(), seed=seed)
                    self.data[split] = TileBatches(tiles, augmenter, targets, mixer)
                case _:
                    self.data[split] = Batches(
                        raw_pixels(store, size, channels, resize, interpolation=interpolation),
                        {name: target_column(store, name, labels) for name in targets if name in WHOLE},
                        store.ids,
                        augmenter,
                        Annotations(store, targets, size, resize) if spatial and isinstance(size, int) else None,
                        targets,
                        mixer,
                        len(labels),
                    )

    def training_batch_sizes(self, world: int) -> list[int]:
        """Return, for each training batch of an epoch, the number of its samples on all processes together."""
        return EpochSampler(len(self.data["train"]), self.batch_size, self.seed, lambda: 0, 0, world).joint_sizes()

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all validation samples, in order, regardless of the number of processes."""
        data = self.data["val"]
        for start in range(0, len(data), self.batch_size):
            yield data.__getitems__([(-1, index) for index in range(start, min(start + self.batch_size, len(data)))])

    def train_dataloader(self) -> Loader:
        """Shuffled batches; the sampler asks Lightning for the epoch at each start, also after a resume."""
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_progress.current  # `current_epoch` is one too low after a resume
        sampler = self._sampler("train", lambda: int(progress.processed))
        if self.together == 1:
            return self._loader(self.data["train"], sampler)
        return self._loader(Turns(self.data["train"]), TurnSampler(sampler, self.together))

    def val_dataloader(self) -> Loader:
        """All validation samples, in order."""
        assert self.trainer is not None
        count, rank, world = len(self.data["val"]), self.trainer.global_rank, self.trainer.world_size
        mine = [(-1, index) for index in range(rank, count, world)]
        batches = [mine[start : start + self.batch_size] for start in range(0, len(mine), self.batch_size)]
        return self._loader(self.data["val"], batches)

    def _sampler(self, split: str, epoch: Callable[[], int]) -> EpochSampler:
        assert self.trainer is not None
        count, rank, world = len(self.data[split]), self.trainer.global_rank, self.trainer.world_size

        def done() -> int:
            assert self.trainer is not None
            return turns_done(self.trainer) * self.together

        return EpochSampler(count, self.batch_size, self.seed, epoch, rank, world, self.classes, done)

    def _loader(self, data: Any, batches: Any) -> Loader:
        return DataLoader(
            data,
            batch_sampler=batches,
            num_workers=self.num_workers,
            collate_fn=_as_made,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Without its own generator the loader would draw from torch's, once per epoch if workers persist.
            generator=torch.Generator().manual_seed(key(self.seed, "loader") >> 1),
            worker_init_fn=_begin_worker if self.num_workers else None,
        )


def training_split(folder: Path, copies: Path | None) -> SplitStore:
    """Return the training samples of `data/prepared/NAME`, with their copies where there are some."""
    return SplitStore(folder / "train", [] if copies is None else [copies])


def target_column(store: SplitStore, name: str, labels: LabelMap) -> Tensor:
    """Return one field of every sample of a split: `label` N int64, `labels` N x K 0/1, `values` N x K float32.

    `text` is N x L int64: the number of each character in the label map, then `NO_CHARACTER`.
    """
    match name:
        case "label":
            return torch.from_numpy(store.labels)
        case "text":
            numbers = {character: number for number, character in enumerate(labels.characters)}
            texts = [[numbers[character] for character in text] for text in store.column(name)]
            longest = max(1, *map(len, texts))
            return torch.tensor([[*text, *[NO_CHARACTER] * (longest - len(text))] for text in texts])
        case "labels":
            present = torch.zeros(len(store), len(labels))
            for row, own in zip(present, store.column(name), strict=True):
                row[list(own or ())] = 1
            return present
        case _:
            return torch.tensor(store.column(name), dtype=torch.float32)


def _as_made(batch: Any) -> Any:
    return batch  # `Batches.__getitems__` has joined it


def _begin_worker(_: int) -> None:
    """Take one thread, and leave to the parent process what it wanted done at its exit.

    What threads need at the end (`threading._register_atexit`) is copied by a fork, the threads are not. After a
    Prefect flow in the same process each worker would end with an AssertionError, and fail a finished training.
    """
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    getattr(threading, "_threading_atexits", []).clear()
