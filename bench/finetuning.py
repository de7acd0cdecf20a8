"""Fine-tuning from JPEG files against the recipes of torchvision and timm: `python -m bench.finetuning`.

All train EfficientNet-Lite0 at 224 px in batches of 32. Ours is this project's training with its defaults, which choose
precision and layout by the processor, over the raw cache, which is made once before (told in seconds), with
`light_mirrored`. Torchvision's `references/classification`: `ImageFolder`, a random cut brought to size, half of the
images mirrored, SGD with momentum, two loader processes, fp32, accuracies of each batch. timm's `train.py`: its own
data set, loader with prefetcher, and optimizer, the same cut and mirror. Either runs in a plain process, as a script of
its own, and as both scripts are without options. Told is the time of an epoch over its images, without validation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder as Folder

from bench.catalogue import LITE0
from bench.epochs import Alternate
from bench.images import write_photographs
from bench.pairs import Run, timed
from bench.report import Report, parsed, parser
from sightline.config.dataset_section import Split
from sightline.config.datasets import ImageFolder
from sightline.config.models import Model
from sightline.data.cache import raw_pixels
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.training.fit import train

NETWORK, SIZE, BATCH, CLASSES, WORKERS = "tf_efficientnet_lite0", 224, 32, 4, 2
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, as both recipes have them
PLAIN = "--plain"
Epoch = Callable[[], None]


def _network() -> nn.Module:
    import timm

    torch.manual_seed(0)
    network: nn.Module = timm.create_model(NETWORK, num_classes=CLASSES)
    return network.train()


def _correct(outputs: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """Return the share of the batch whose class is among the best 1 and 4, as torchvision's script does each batch."""
    with torch.inference_mode():
        best = outputs.topk(CLASSES, 1).indices.eq(labels[:, None])
        return [float(best[:, :count].any(1).float().mean()) for count in (1, CLASSES)]


def by_torchvision(root: Path, size: int) -> Epoch:
    """Return an epoch as torchvision's `references/classification/train.py` has it without options."""
    changes = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(0.5),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    data = Folder(str(root), changes)
    loader: DataLoader[Any] = DataLoader(data, BATCH, sampler=RandomSampler(data), num_workers=WORKERS)
    network, criterion = _network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

    def epoch() -> None:
        for images, labels in loader:
            outputs = network(images)
            loss = criterion(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            _correct(outputs, labels)
            loss.item()

    return epoch


def by_timm(root: Path, size: int) -> Epoch:
    """Return an epoch as timm's `train.py` has it without options, but for colours, which no other changes."""
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    loader = create_loader(
        create_dataset("", root=str(root), is_training=True),
        (3, size, size),
        BATCH,
        is_training=True,
        color_jitter=0.0,
        interpolation="random",
        mean=MEAN,
        std=DEVIATION,
        num_workers=WORKERS,
        device=torch.device("cpu"),
    )
    network, criterion = _network(), nn.CrossEntropyLoss()
    optimizer = create_optimizer_v2(network, "sgd", lr=0.01, weight_decay=2e-5, momentum=0.9)

    def epoch() -> None:
        for images, labels in loader:
            loss = criterion(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch


RECIPES: dict[str, Callable[[Path, int], Epoch]] = {"torchvision": by_torchvision, "timm": by_timm}


@contextmanager
def plain(recipe: str, root: Path, size: int) -> Iterator[Run]:
    """Yield a function that runs an epoch in a plain process, which waits between its calls; it returns seconds."""
    command = [sys.executable, "-m", "bench.finetuning", PLAIN, recipe, str(root), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run() -> float:
            print(file=process.stdin, flush=True)
            return float(process.stdout.readline())  # type: ignore[union-attr]

        try:
            yield run
        finally:
            process.stdin.close()


def _answer(recipe: str, root: str, size: str) -> None:
    run = timed(RECIPES[recipe](Path(root), int(size)))
    for _ in sys.stdin:
        print(run(), flush=True)


def compare(report: Report, root: Path, prepared: Path, size: int) -> None:
    """Report both recipes."""
    pairs, store = report.options.pairs, SplitStore(prepared / "train")
    began = time.perf_counter()
    raw_pixels(store, size, 3, "letterbox", prepared.parent / "cache")  # another than that of training: made anew
    made = time.perf_counter() - began
    settings = Model.model_validate(
        {
            "dataset": "d",
            "task": {"kind": "classification", "architecture": f"timm:{NETWORK}"},
            "weights": "random",
            "augment": "light_mirrored",
            "input": {"size": size},
            "optimizer": {"name": "momentum", "lr": 0.01, "weight_decay": 1e-4},
            "trainer": {"max_epochs": pairs + 1, "batch_size": BATCH},
        }
    )
    with ExitStack() as processes:
        runs = {recipe: processes.enter_context(plain(recipe, root, size)) for recipe in RECIPES}
        alternate = Alternate(runs, pairs)
        folder = prepared.parent
        train(settings, 0, prepared, folder / "model", callbacks=[alternate], resume_root=folder / "resume")
    files = sum(1 for _ in root.rglob("*.jpg"))
    ours = [seconds / len(store) for seconds in alternate.ours]  # of the train split alone, so per image
    for recipe, taken in alternate.theirs.items():
        theirs = [seconds / files for seconds in taken]
        report.add(report.case(LITE0, recipe), ours, theirs, images=len(store), cache_made_s=round(made, 1))


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument("--images", type=int, default=256)
    own.add_argument(PLAIN, nargs=3, default=None, help=argparse.SUPPRESS)
    if PLAIN in sys.argv:  # as a script of one's own, which does not keep freed memory
        _answer(*own.parse_args(argv).plain)
        return
    options = parsed(own, argv)
    size = 64 if options.quick else SIZE
    report = Report("finetuning", options)
    with tempfile.TemporaryDirectory() as folder:
        root, prepared = Path(folder, "raw"), Path(folder, "prepared")
        write_photographs(root, 40 if options.quick else options.images, CLASSES)
        split = Split(train=0.8, val=0.1, test=0.1)
        prepare("bench", ImageFolder(format="image_folder", root=str(root), split=split), prepared)
        compare(report, root, prepared, size)
    report.finish()


if __name__ == "__main__":
    main()
