"""Times a model with each engine that it has: a model directory and images in, rows of figures out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.evaluation.latency import model_latency, network_bytes, some_images
from sightline.evaluation.predictor import Engine
from sightline.training.artifact.folder import ONNX
from sightline.training.artifact.int8 import read_int8_report


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        engine: torch, onnx or int8.
        threads: that computed.
        batch: images at once.
        p50_ms, p99_ms: of single calls, milliseconds for the whole batch.
        latency_ms: the median of the rounds' medians, by which a budget is judged.
        images_per_s: at that latency.
        size_mb: of the file with the network, 1e6 bytes.
    """

    engine: str
    threads: int
    batch: int
    p50_ms: float
    p99_ms: float
    latency_ms: float
    images_per_s: float
    size_mb: float


def engines_of(folder: Path) -> list[Engine]:
    """Return the engines that a model directory can run with."""
    report = read_int8_report(folder)
    found: list[Engine] = ["torch"]
    found += ["onnx"] if (folder / ONNX).is_file() else []
    found += ["int8"] if report is not None and report.get("released") else []
    return found


def benchmark_model(
    folder: Path,
    prepared: Path,
    batches: Sequence[int],
    threads: Sequence[int],
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[Row]:
    """Yield a row for each engine, number of threads and batch.

    Args:
        folder: the model directory.
        prepared: folder of a data set, whose validation images it is timed with.
        batches: numbers of images at once.
        threads: numbers of threads.
        report: is told what is measured next.

    Raises:
        UserError: no model or no data set there.
    """
    images = some_images(prepared, max(batches))
    for engine in engines_of(folder):
        size = network_bytes(folder, engine) / 1e6
        for count in threads:
            for batch in batches:
                report(f"{engine}, threads {count}, batch {batch}")
                found = model_latency(folder, images[:batch], engine, count)
                p50, p99, typical = (1e3 * own for own in (found.quantile(0.5), found.quantile(0.99), found.typical))
                yield Row(engine, count, batch, p50, p99, typical, 1e3 * batch / typical, size)
