"""The loader against torchvision's ImageFolder: `python -m bench.loader`.

Both give batches of 64 at 256 x 256 from JPEG files, cropped and mirrored by the same Albumentations pipeline. Epochs
alternate in one process. The raw cache is made before (its cost is told), as in training, where it serves every epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import torch
from rich.console import Console
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from bench.images import write_photographs
from sightline.config.datasets import ImageFolder as Config
from sightline.data.cache import raw_pixels
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.vary.augmentation import Augmenter
from sightline.pipeline.process import set_up_process
from sightline.training.batches import Batches
from sightline.training.sampling import EpochSampler

SIZE, BATCH = 256, 64


def pipeline() -> A.Compose:
    """Crop and mirror, at the network's size."""
    return A.Compose([A.RandomResizedCrop((SIZE, SIZE), scale=(0.5, 1.0)), A.HorizontalFlip()])


class WithPipeline(Augmenter):
    """The project's augmenter around the benchmark's pipeline."""

    def __init__(self) -> None:
        super().__init__("none", seed=0)
        self.transform = pipeline()


def peer(folder: Path, workers: int) -> DataLoader[Any]:
    """ImageFolder with an OpenCV reader, which is faster than its default, and the same transforms."""
    transform = pipeline()

    def read(path: str) -> Any:
        image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(transform(image=image)["image"])

    data = ImageFolder(str(folder), loader=read)
    return DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def ours(prepared: Path, workers: int) -> DataLoader[Any]:
    """The project's batches with stateless sampling."""
    store = SplitStore(prepared / "train")
    batches = Batches(
        raw_pixels(store, SIZE, 3, "letterbox", prepared.parent / "cache"),
        {"label": torch.from_numpy(np.asarray(store.labels))},
        store.ids,
        WithPipeline(),
    )
    sampler = EpochSampler(len(batches), BATCH, 0, lambda: 0)
    return DataLoader(
        batches, batch_sampler=sampler, num_workers=workers, collate_fn=_same, persistent_workers=workers > 0
    )


def _same(batch: Any) -> Any:
    return batch


def speed(loader: DataLoader[Any]) -> float:
    """Return images per second over one epoch."""
    started, count = time.perf_counter(), 0
    for batch in loader:
        count += len(batch.images if hasattr(batch, "images") else batch[0])
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--images", type=int, default=1500)
    arguments = parser.parse_args()
    set_up_process()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        raw, prepared = Path(folder, "raw"), Path(folder, "prepared")
        write_photographs(raw, arguments.images)
        prepare("bench", Config(format="image_folder", root=str(raw)), prepared)
        started = time.perf_counter()
        ours(prepared, 0)
        console.print(f"raw cache made in {time.perf_counter() - started:.1f} s")
        for workers in (0, 2):
            loaders = peer(raw, workers), ours(prepared, workers)
            pairs = [tuple(map(speed, loaders)) for _ in range(arguments.pairs + 1)][1:]
            theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(own / other for other, own in pairs)
            console.print(
                f"{workers} workers: ImageFolder {theirs:.0f}, ours {mine:.0f} images/s, median ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
