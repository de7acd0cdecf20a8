"""What an image costs in data sets of 1,000 to a million: `python -m bench.scale`; the million with `--full` (an hour).

Images of 32 pixels in folders, so that nothing but the number of images matters. Each step is a process of its own:
`prepare`, an epoch of `mnist_cnn`, `evaluate`, and `ingest` of ten more images. Memory is what the process has for
itself: pages of mapped files are the kernel's to take back. Seconds are counted once everything is imported.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.catalogue import SCALE_STEPS, SCALES
from bench.machine import in_process
from bench.report import Report, parsed, parser
from sightline.data.structures import UINT8

FULL, QUICK = 1_000_000, 200
MIB = 2048  # that a step may take at most
CLASSES = 10
MORE = 10  # images that are ingested
SIDE = 32
STEP = "--step"


def write_images(root: Path, first: int, end: int) -> None:
    """Write images first..end - 1 of a data set whose classes differ in colours, as JPEG."""
    patterns = np.random.default_rng(0).integers(0, 256, (CLASSES, 4, 4, 3)).astype(np.float32)
    own = [cv2.resize(pattern, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for pattern in patterns]
    for label in range(CLASSES):
        (root / f"class{label}").mkdir(parents=True, exist_ok=True)
    for number in range(first, end):
        encoded = cv2.imencode(".jpg", _image(own[number % CLASSES], number))[1]
        (root / f"class{number % CLASSES}/{number:07}.jpg").write_bytes(encoded.tobytes())


def _image(pattern: np.ndarray[Any, Any], number: int) -> UINT8:
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.float32)
    mixed = 0.5 * pattern + 0.5 * cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    image: UINT8 = np.clip(mixed, 0, 255).astype(np.uint8)
    return image


@contextmanager
def own_memory() -> Iterator[Callable[[], int]]:
    """Watch the memory that the process has for itself; yields the function that returns the most there was, MiB."""
    most, done = 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            anonymous = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
            most = max(most, int(anonymous.split()[1]) >> 10)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: most
    finally:
        done.set()
        thread.join()


def prepare(project: Path) -> float:
    """Prepare, and return the seconds that it took."""
    from sightline.config.datasets import ImageFolder
    from sightline.data.raw.preparation import prepare

    dataset = ImageFolder(format="image_folder", root=str(project / "data/raw/mill"))
    return _timed(lambda: prepare("mill", dataset, project / "data/prepared/mill"))


def epoch(project: Path) -> float:
    """Train an epoch, cache and export included, and return the seconds that it took."""
    import sightline
    import sightline.training.fit

    return _timed(
        lambda: sightline.train(
            project / "data/prepared/mill",
            project / "models/mill",
            {"kind": "classification", "architecture": "mnist_cnn"},
            weights="random",
            input={"size": SIDE, "channels": 3},
            augment="none",
            optimizer={"name": "adam", "lr": 0.001},
            trainer={"max_epochs": 1, "batch_size": 256, "keep": "last"},
        )
    )


def evaluate(project: Path) -> float:
    """Evaluate on the test split, and return the seconds that it took."""
    from sightline.config.evaluation import Evaluation
    from sightline.evaluation.evaluate import evaluate_model

    folder = project / "reports/mill"
    folder.mkdir(parents=True, exist_ok=True)
    model, prepared = project / "models/mill", project / "data/prepared/mill"
    return _timed(lambda: evaluate_model(model, prepared, Evaluation(batch_size=256), folder))


def ingest(project: Path) -> float:
    """Take ten more images in, DVC's pointer included, and return the seconds that it took."""
    from sightline.config import load_params
    from sightline.operations.ingest import ingest

    write_images(project / "data/inbox/mill", FULL, FULL + MORE)
    (project / "params.yaml").write_text(
        "datasets: {mill: {format: image_folder, root: data/raw/mill}}\n"
        "models: {mill: {dataset: mill, task: classification}}\n",
        encoding="utf-8",
    )
    params = load_params(project / "params.yaml")
    return _timed(lambda: ingest(params, project, lambda _: None))


STEPS = {"prepare": prepare, "an epoch": epoch, "evaluate": evaluate, f"ingest of {MORE} more": ingest}


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def track(project: Path) -> None:
    """Let DVC track the raw images, as in a project."""
    for command in (["git", "init", "-q"], _dvc("init"), _dvc("config", "cache.type", "hardlink,copy")):
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    subprocess.run(_dvc("add", "data/raw/mill"), cwd=project, check=True, capture_output=True)


def _dvc(command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", command, "-q", *arguments]


def measure(report: Report, count: int, project: Path) -> dict[str, float]:
    """Return the seconds of each step with so many images, and report the memory."""
    write_images(project / "data/raw/mill", 0, count)
    taken = {}
    for step in SCALE_STEPS:
        if step.startswith("ingest"):
            track(project)
        found = in_process("bench.scale", STEP, step, "--project", str(project))
        taken[step] = found["seconds"]
        facts = {"mib": found["mib"], "seconds": round(found["seconds"], 2)}
        facts["ms_per_image"] = round(1000 * found["seconds"] / count, 4)
        report.add_ratios(
            report.case(f"{SCALES[0] if report.options.quick else count:,} images: {step}, memory"),
            [found["mib"] / MIB],
            **facts,
        )
    return taken


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 1)
    own.add_argument("--full", action="store_true", help="also a million images: 20 GiB of disk, an hour")
    own.add_argument("--in", dest="place", type=Path, help="folder for the images; default: the system's for such")
    own.add_argument(STEP, choices=STEPS, help="one step in --project; prints seconds and memory")
    own.add_argument("--project", type=Path)
    options = parsed(own, argv)
    if options.step:
        with own_memory() as most:
            seconds = STEPS[options.step](options.project)
        print(json.dumps({"seconds": seconds, "mib": most()}))
        return
    report = Report("scale", options)
    counts = [QUICK] if options.quick else [count for count in SCALES if options.full or count < FULL]
    taken: dict[int, dict[str, float]] = {}
    for count in counts:
        project = Path(tempfile.mkdtemp(dir=options.place))
        try:
            taken[count] = measure(report, count, project)
        finally:
            shutil.rmtree(project)
    for count in counts[1:]:
        for step in SCALE_STEPS:
            cost, few = taken[count][step], taken[counts[0]][step]
            if step.startswith("ingest"):
                report.add_ratios(report.case(f"{count:,} images: {step}"), [cost / few], seconds=round(cost, 2))
            else:
                each = cost / count / (few / counts[0])
                report.add_ratios(report.case(f"{count:,} images: {step}, cost of each"), [each])
    report.finish()


if __name__ == "__main__":
    main()
