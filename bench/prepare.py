"""`prepare` against reading every file once: `python -m bench.prepare`; with `--full` also 100,000 images.

The reference reads, hashes (SHA-256) and decodes each JPEG once, with a thread per core, and keeps nothing. Ours does
that and what a data set needs besides: reads each to its end with a second decoder, finds copies and nearly equal
images, divides, and writes shards, card and pictures. Peaks of memory are those of processes of their own. That the
cost of an image stays the same is told by ours over the loop, of many images over that of 1,000: the machine cancels.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from bench.catalogue import MORE, PREPARED
from bench.images import write_photographs
from bench.machine import in_process, peak_mib
from bench.pairs import ratios, take_turns, timed
from bench.report import Report, parsed, parser
from sightline.config.datasets import ImageFolder
from sightline.data.raw.preparation import prepare
from sightline.system.processors import usable_processors

SIZES, FULL, QUICK = (1_000, 10_000), 100_000, 40
MIB = 1024  # that a preparation may take at most
OURS, LOOP = "--ours", "--loop"


def ours(root: Path, out: Path) -> None:
    """Prepare."""
    prepare("bench", ImageFolder(format="image_folder", root=str(root)), out)


def loop(root: Path) -> None:
    """Read, hash and decode each file."""

    def one(path: Path) -> tuple[str, int]:
        encoded = path.read_bytes()
        digest = hashlib.sha256(encoded).hexdigest()
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert pixels is not None
        return digest, len(pixels)

    paths = sorted(root.rglob("*.jpg"))
    with ThreadPoolExecutor(usable_processors()) as pool:
        for _ in pool.map(one, paths, chunksize=64):
            pass


def compare(report: Report, count: int, name: str, folder: Path) -> list[float]:
    """Report one number of images; return our time over the loop's, of each round."""
    root, out = folder / "raw", folder / "out"
    write_photographs(root, count)
    runs = {"ours": timed(lambda: ours(root, out)), "loop": timed(lambda: loop(root))}
    taken = take_turns(runs, report.options.pairs, warm_up=1 if count <= SIZES[0] else 0)
    facts: dict[str, Any] = {"ms_per_image": round(1000 * median(taken["ours"]) / count, 3)}
    peak = None
    if not report.options.quick:
        peak = in_process("bench.prepare", OURS, str(root))
        facts |= {"peak_mib": peak, "reference_peak_mib": in_process("bench.prepare", LOOP, str(root))}
    report.add(report.case(f"{name} images"), taken["ours"], taken["loop"], **facts)
    if peak is not None:
        report.add_ratios(report.case(f"{name} images: peak of memory"), [peak / MIB], mib=peak)
    return ratios(taken["ours"], taken["loop"])


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument("--full", action="store_true", help="also 100,000 images")
    own.add_argument("--sizes", type=int, nargs="+", help="numbers of images, of 1000, 10000 and 100000")
    for how in (OURS, LOOP):
        own.add_argument(how, type=Path, help="run once over a folder and print the peak of memory, MiB")
    options = parsed(own, argv)
    if options.ours or options.loop:
        with tempfile.TemporaryDirectory() as folder:
            if options.ours:
                ours(options.ours, Path(folder, "out"))
            else:
                loop(options.loop)
        print(json.dumps(peak_mib()))
        return
    report = Report("prepare", options)
    costs: dict[str, list[float]] = {}
    for count in options.sizes or (SIZES[:1] if options.quick else [*SIZES, *([FULL] if options.full else [])]):
        name = f"{count:,}"
        with tempfile.TemporaryDirectory() as folder:
            costs[name] = compare(report, QUICK if options.quick else count, name, Path(folder))
    for name in MORE:
        if name in costs and PREPARED[0] in costs:
            report.add_ratios(report.case(f"{name} images: cost of each"), ratios(costs[name], costs[PREPARED[0]]))
    report.finish()


if __name__ == "__main__":
    main()
