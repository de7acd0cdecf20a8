"""Features of frozen networks against a bare torch loop, and the memory that they take: `python -m bench.features`.

Both send the same images through the same network in the same batches, fp32 in the same layout, as far as the same
layer; the loop does nothing else: its images lie decoded in memory, and what it finds is dropped. It runs in a plain
process, as a script of one's own would, and again in one that keeps freed memory, as ours do; there a last loop decodes
each batch before it sends it. Ours decodes from the prepared store and writes an Arrow file. Runs alternate. A ratio of
0.95 means that ours takes 1/0.95 of the time of the loop.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from bench.images import write_idx, write_photographs
from sightline.config.dataset_section import Split
from sightline.config.datasets import Idx, ImageFolder
from sightline.config.features import Features
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8
from sightline.models.classify.classifiers import build_classifier
from sightline.pipeline.process import set_up_process
from sightline.system.processors import usable_processors
from sightline.training.features.building import build_features
from sightline.training.features.embedding import batches, embed_split
from sightline.training.features.feature_map import FeatureMap

MEMORY, PLAIN = "--memory", "--plain"


def network_features(architecture: str, size: int, channels: int, layer: str) -> tuple[FeatureMap, nn.Module]:
    """Return features with random weights, and the same network cut off after the layer."""
    values = {
        "dataset": "bench",
        "weights": "random",
        "input": {"size": size, "channels": channels, "resize": "stretch"},
        "extractor": {"kind": "network", "architecture": architecture, "layers": [layer]},
    }
    features = build_features(Features.model_validate(values), 0)
    torch.manual_seed(0)
    network = build_classifier(architecture, channels, size, 1000).network.eval().requires_grad_(False)
    kept = [(name, part) for name, part in network.named_children() if name not in ("fc", "classifier", "global_pool")]
    body = nn.Sequential()
    for name, part in kept:
        body.add_module(name, part)
    return features, body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def loop(body: nn.Module, images: Iterator[UINT8] | list[UINT8]) -> float:
    """Send images through the network; return seconds."""
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in images:
            pixels = torch.from_numpy(batch).permute(0, 3, 1, 2)
            body((pixels.float() - 127.5) / 127.5).mean((2, 3)).numpy()
    return time.perf_counter() - started


def in_turn(store: SplitStore, sizes: list[int], size: int, channels: int) -> Iterator[UINT8]:
    """Decode each batch when it is asked for."""
    import numpy as np

    from sightline.data.images import decode, fit

    start = 0
    for count in sizes:
        rows = range(start, start + count)
        yield np.stack([fit(decode(store.image(row), channels), size, "stretch") for row in rows])
        start += count


@contextmanager
def plain_loop(store: SplitStore, network: Sequence[str]) -> Iterator[Callable[[], float]]:
    """Yield a function that runs the loop over decoded images in a plain process, which waits between its calls."""
    command = [sys.executable, "-m", "bench.features", PLAIN, str(store.path), *network]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run() -> float:
            print(file=process.stdin, flush=True)
            return float(process.stdout.readline())  # type: ignore[union-attr]

        yield run
        process.stdin.close()


def _answer(folder: str, architecture: str, size: str, channels: str, layer: str) -> None:
    features, body = network_features(architecture, int(size), int(channels), layer)
    decoded = list(batches(SplitStore(Path(folder)), features))
    for _ in sys.stdin:
        print(loop(body, decoded), flush=True)


def compare(store: SplitStore, architecture: str, size: int, channels: int, layer: str, pairs: int) -> str:
    """Return the ratios to the three loops."""
    features, body = network_features(architecture, size, channels, layer)
    decoded = list(batches(store, features))
    sizes = [len(batch) for batch in decoded]
    ratios: list[tuple[float, ...]] = []
    network = [architecture, str(size), str(channels), layer]
    with tempfile.TemporaryDirectory() as folder, plain_loop(store, network) as run_plain:
        for turn in range(pairs + 1):
            plain = run_plain()
            bare = loop(body, decoded)
            decoding = loop(body, in_turn(store, sizes, size, channels))
            started = time.perf_counter()
            embed_split(store, features, Path(folder, "train.arrow"))
            ours = time.perf_counter() - started
            if turn:  # the first one warms up
                ratios.append((plain / ours, bare / ours, decoding / ours))
    told = [f"{statistics.median(own):.3f} (quartiles {_quartiles(own)})" for own in zip(*ratios, strict=True)]
    where = ("over decoded images in a plain process", "over decoded images that keeps memory", "that decodes in turn")
    return "".join(f"\n  {ratio} of a loop {loop}" for ratio, loop in zip(told, where, strict=True))


def _quartiles(values: tuple[float, ...]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3f} to {high:.3f}"


def peak_memory(folder: Path) -> int:
    """Embed a prepared split in a process of its own; return the most memory that it held, MiB."""
    command = [sys.executable, "-m", "bench.features", MEMORY, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _embed_and_tell(folder: Path) -> None:
    features, _ = network_features("timm:resnet10t", 28, 1, "layer4")
    with tempfile.TemporaryDirectory() as made:
        embed_split(SplitStore(folder), features, Path(made, "train.arrow"))
    print(_peak_bytes() >> 20)


def _peak_bytes() -> int:
    """Return the most memory that this process has had."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS; on Linux it would be that of the process it was forked from where that is larger
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


def digits(folder: Path, count: int) -> Path:
    """Prepare `count` generated digits; return the train split."""
    write_idx(folder / "raw", count + 64)
    split = Split(train=count / (count + 64), val=64 / (count + 64), test=0.0, by="order")
    prepare("bench", Idx(format="idx", root=str(folder / "raw"), split=split), folder / "prepared")
    return folder / "prepared" / "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--images", type=int, nargs=2, default=(5_000, 50_000), help="for the memory")
    parser.add_argument(MEMORY, type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument(PLAIN, nargs=5, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain is not None:
        _answer(*arguments.plain)
        return
    set_up_process()
    if arguments.memory is not None:
        _embed_and_tell(arguments.memory)
        return
    console = Console()
    console.print(f"{usable_processors()} processors, {torch.get_num_threads()} threads of torch")
    with tempfile.TemporaryDirectory() as folder:
        raw, prepared = Path(folder, "photographs"), Path(folder, "prepared")
        write_photographs(raw, 400)
        prepare("bench", ImageFolder(format="image_folder", root=str(raw)), prepared)
        store = SplitStore(prepared / "train")
        for architecture, layer in (("torchvision:mobilenet_v2", "features"), ("timm:resnet18", "layer4")):
            told = compare(store, architecture, 224, 3, layer, arguments.pairs)
            console.print(f"{architecture}, 224 px, {len(store)} JPEG files: {told}")
        small = SplitStore(digits(Path(folder, "small"), 4_000))
        console.print(
            f"timm:resnet10t, 28 px, PNG: {compare(small, 'timm:resnet10t', 28, 1, 'layer4', arguments.pairs)}"
        )
        peaks = [peak_memory(digits(Path(folder, str(count)), count)) for count in arguments.images]
        told = " and ".join(f"{peak} MiB for {count:,}" for peak, count in zip(peaks, arguments.images, strict=True))
        console.print(f"peak memory {told} images: ratio {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
