"""Features of frozen networks against a bare torch loop, and the memory that they take: `python -m bench.features`.

Both send the same images through the same network in the same batches, fp32 in the same layout, as far as the same
layer; the loop does nothing else: its images lie decoded in memory, and what it finds is dropped. It runs in a plain
process, as a script of one's own would, and again in one that keeps freed memory, as ours do; there a last loop decodes
each batch before it sends it. Ours decodes from the prepared store and writes an Arrow file. Runs alternate. A ratio of
0.95 means that ours takes 1/0.95 of the time of the loop.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import nn

from bench.catalogue import DECODED_KEPT, DECODED_PLAIN, IN_TURN
from bench.images import write_idx, write_photographs
from bench.machine import in_process, peak_mib
from bench.pairs import Run, take_turns, timed
from bench.report import Report, parsed, parser
from sightline.config.dataset_section import Split
from sightline.config.datasets import Idx, ImageFolder
from sightline.config.features import Features
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8
from sightline.models.classify.classifiers import build_classifier
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


def loop(body: nn.Module, images: Iterator[UINT8] | list[UINT8]) -> None:
    """Send images through the network."""
    with torch.inference_mode():
        for batch in images:
            pixels = torch.from_numpy(batch).permute(0, 3, 1, 2)
            body((pixels.float() - 127.5) / 127.5).mean((2, 3)).numpy()


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
def plain_loop(store: SplitStore, network: Sequence[str]) -> Iterator[Run]:
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
    run = timed(partial(loop, body, list(batches(SplitStore(Path(folder)), features))))
    for _ in sys.stdin:
        print(run(), flush=True)


def compare(
    report: Report, case: str, store: SplitStore, architecture: str, size: int, channels: int, layer: str
) -> None:
    """Report the ratios to the three loops."""
    features, body = network_features(architecture, size, channels, layer)
    decoded = list(batches(store, features))
    sizes = [len(batch) for batch in decoded]
    network = [architecture, str(size), str(channels), layer]
    with tempfile.TemporaryDirectory() as folder, plain_loop(store, network) as run_plain:
        runs: dict[str, Run] = {
            DECODED_PLAIN: run_plain,
            DECODED_KEPT: timed(lambda: loop(body, decoded)),
            IN_TURN: timed(lambda: loop(body, in_turn(store, sizes, size, channels))),
            "ours": timed(lambda: embed_split(store, features, Path(folder, "train.arrow"))),
        }
        taken = take_turns(runs, report.options.pairs)
    for reference in (DECODED_PLAIN, DECODED_KEPT, IN_TURN):
        report.add(report.case(case, reference), taken["ours"], taken[reference], images=len(store))


def _embed_and_tell(folder: Path) -> None:
    features, _ = network_features("timm:resnet10t", 28, 1, "layer4")
    with tempfile.TemporaryDirectory() as made:
        embed_split(SplitStore(folder), features, Path(made, "train.arrow"))
    print(json.dumps(peak_mib()))


def digits(folder: Path, count: int) -> Path:
    """Prepare `count` generated digits; return the train split."""
    write_idx(folder / "raw", count + 64)
    split = Split(train=count / (count + 64), val=64 / (count + 64), test=0.0, by="order")
    prepare("bench", Idx(format="idx", root=str(folder / "raw"), split=split), folder / "prepared")
    return folder / "prepared" / "train"


def measure(report: Report, folder: Path) -> None:
    """Compare networks on photographs and on digits; print the memory."""
    options, (large, small) = report.options, (400, 4_000)
    if options.quick:
        options.images, large, small = (100, 200), 48, 200
    write_photographs(folder / "photographs", large)
    prepare("bench", ImageFolder(format="image_folder", root=str(folder / "photographs")), folder / "prepared")
    store = SplitStore(folder / "prepared" / "train")
    if not options.quick:
        compare(report, "mobilenet_v2, 224 px, JPEG", store, "torchvision:mobilenet_v2", 224, 3, "features")
        compare(report, "resnet18, 224 px, JPEG", store, "timm:resnet18", 224, 3, "layer4")
    few = SplitStore(digits(folder / "small", small))
    compare(report, "resnet10t, 28 px, PNG", few, "timm:resnet10t", 28, 1, "layer4")
    peaks = [in_process("bench.features", MEMORY, str(digits(folder / str(one), one))) for one in options.images]
    told = " and ".join(f"{peak} MiB for {count:,}" for peak, count in zip(peaks, options.images, strict=True))
    print(f"peak memory {told} images: ratio {peaks[1] / peaks[0]:.3f}")


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__)
    own.add_argument("--images", type=int, nargs=2, default=(5_000, 50_000), help="for the memory")
    own.add_argument(MEMORY, type=Path, default=None, help=argparse.SUPPRESS)
    own.add_argument(PLAIN, nargs=5, default=None, help=argparse.SUPPRESS)
    if PLAIN in sys.argv:  # as a script of one's own, which does not keep freed memory
        _answer(*own.parse_args(argv).plain)
        return
    options = parsed(own, argv)
    if options.memory is not None:
        _embed_and_tell(options.memory)
        return
    report = Report("features", options)
    with tempfile.TemporaryDirectory() as folder:
        measure(report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
