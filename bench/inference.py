"""`predict` of files in batches against a bare loop of the same engine: `python -m bench.inference`.

Both read the same JPEG files, decode them with the same decoder in as many threads, bring them to the network's size,
and run the same ONNX session or the same torch network in batches of 32. The loop drops what comes out; ours makes
predictions of it, and writes JSON lines. The loop's threads of ONNX Runtime spin or sleep while they wait, whichever is
faster. `embed` against a bare loop is `python -m bench.features`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.images import write_photographs
from bench.networks import write_classifier
from bench.pairs import spread, take_turns, timed
from bench.report import Report, parsed, parser
from sightline.data.images import decode, fit
from sightline.data.structures import UINT8
from sightline.evaluation.lanes import threads_each, worthwhile_lanes
from sightline.evaluation.predictor import Engine, Predictor, load_predictor
from sightline.operations.prediction_files.run import predict_files
from sightline.operations.prediction_files.sources import ImageFile, find_images
from sightline.operations.prediction_files.writers import open_writer
from sightline.system.processors import usable_processors

BATCH = 32
SETTINGS: dict[str, tuple[str, int, Engine]] = {
    "mobilenet_v2, 224 px, ONNX Runtime": ("torchvision:mobilenet_v2", 224, "onnx"),
    "mobilenet_v2, 224 px, torch": ("torchvision:mobilenet_v2", 224, "torch"),
    "test_resnet, 32 px, ONNX Runtime": ("timm:test_resnet", 32, "onnx"),
}


def bare(predictor: Predictor, model: Path, spin: bool) -> Callable[[UINT8], Any]:
    """Return the engine alone: an ONNX session, whose threads spin or sleep while they wait, or the torch network."""
    if predictor.onnx is not None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        session = onnxruntime.InferenceSession(str(model / "model.onnx"), options, providers=["CPUExecutionProvider"])
        return lambda pixels: session.run(None, {"images": pixels})
    task = predictor.task

    def run(pixels: UINT8) -> Any:
        with torch.inference_mode():
            return task(torch.from_numpy(pixels)).numpy()

    return run


def loop(run: Callable[[UINT8], Any], files: Sequence[Path], size: int, resize: Any) -> None:
    """Read, decode and run."""

    def read(path: Path) -> UINT8:
        return fit(decode(path.read_bytes(), 3), size, resize)

    with ThreadPoolExecutor(usable_processors()) as pool:
        for start in range(0, len(files), BATCH):
            run(np.stack(list(pool.map(read, files[start : start + BATCH]))))


def predict(predictor: Predictor, files: Sequence[ImageFile], out: Path, lanes: int) -> None:
    """Predict as `sightline predict --to jsonl` does."""
    with open_writer("jsonl", out, predictor.card.labels, 0.5) as writer:
        finished = predict_files(predictor, files, writer, BATCH, lanes=lanes)
    assert finished.good == len(files)


def compare(report: Report, name: str, model: Path, files: Sequence[ImageFile], out: Path, count: int) -> None:
    """Report one model and engine over the first `count` files."""
    lanes = worthwhile_lanes(model, SETTINGS[name][2]) if count > BATCH else 1
    predictor = load_predictor(model, engine=SETTINGS[name][2], threads=threads_each(lanes))
    chosen, image = files[:count], predictor.card.input
    paths, used = [file.path for file in chosen], dict[str, list[float]]()
    works: dict[str, Callable[[], object]] = {"ours": lambda: predict(predictor, chosen, out, lanes)}
    for spin in (True, False) if predictor.onnx is not None else (True,):
        run = bare(predictor, model, spin)
        works[f"loop {spin}"] = partial(loop, run, paths, image.size, image.resize)
    runs = {one: timed(_counted(work, used.setdefault(one, [])), count) for one, work in works.items()}
    taken = take_turns(runs, report.options.pairs)
    best = min(list(works)[1:], key=lambda one: spread(taken[one]).median)
    milliseconds = {one: round(1000 * spread(used[one][1:]).median / count, 2) for one in works}
    cpu = {"cpu_ms": milliseconds["ours"], "loop_cpu_ms": min(milliseconds[one] for one in list(works)[1:])}
    report.add(report.case(name), taken["ours"], taken[best], images=count, **cpu)


def _counted(work: Callable[[], object], seconds: list[float]) -> Callable[[], None]:
    """Return work that notes the processor time that it takes."""

    def run() -> None:
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)

    return run


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__)
    own.add_argument("--images", type=int, default=512)
    options = parsed(own, argv)
    if options.quick:
        options.images = 40
    report = Report("inference", options)
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder, "images"), options.images)
        files = find_images([str(Path(folder, "images"))], (), recursive=True)
        for name, (architecture, size, _) in SETTINGS.items():
            if options.quick and size > 64:
                continue
            model = Path(folder, architecture.partition(":")[2])
            if not model.exists():
                write_classifier(model, architecture, size)
            compare(report, name, model, files, Path(folder, "out.jsonl"), options.images)
    report.finish()


if __name__ == "__main__":
    main()
