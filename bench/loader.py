"""The loader against torchvision's ImageFolder: `python -m bench.loader`.

Both give batches of 64 at 256 x 256 from JPEG files, cropped and mirrored by the same Albumentations pipeline. Epochs
take turns in one process. The raw cache is made before (its cost is told), as in training, where it serves every epoch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from bench.images import write_photographs
from bench.pairs import take_turns, timed
from bench.report import Report, parsed, parser
from sightline.config.datasets import ImageFolder as Config
from sightline.data.cache import raw_pixels
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.vary.augmentation import Augmenter
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


def epoch(loader: DataLoader[Any]) -> None:
    """Fetch every batch once."""
    for _ in loader:
        pass


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__)
    own.add_argument("--images", type=int, default=1500)
    options = parsed(own, argv)
    report, images = Report("loader", options), 100 if options.quick else options.images
    with tempfile.TemporaryDirectory() as folder:
        raw, prepared = Path(folder, "raw"), Path(folder, "prepared")
        write_photographs(raw, images)
        prepare("bench", Config(format="image_folder", root=str(raw)), prepared)
        started = time.perf_counter()
        count = len(ours(prepared, 0).dataset)  # type: ignore[arg-type]
        made = time.perf_counter() - started
        for workers in (0, 2):
            mine, theirs = ours(prepared, workers), peer(raw, workers)  # ours has the train split alone, so per image
            runs = {"ours": timed(partial(epoch, mine), count), "theirs": timed(partial(epoch, theirs), images)}
            taken = take_turns(runs, options.pairs)
            case = report.case(f"{workers} loader processes")
            report.add(case, taken["ours"], taken["theirs"], cache_made_s=round(made, 1))
    report.finish()


if __name__ == "__main__":
    main()
