"""How long a model takes for images on this machine's CPU, by one protocol wherever that is told or decides.

Warm-up calls, then rounds of calls one after the other; each round has a median, and the median of these is the
latency, so that neither single slow calls nor a burst of other work that falls on a round or two decide. Timed is what
the model does from the pixels of its input to its predictions, objects and maps included; of a chain, whose detector
looks at the original, also the decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from sightline.data.store import SplitStore
from sightline.evaluation.predictor import Engine, Predictor, load_predictor
from sightline.system.errors import UserError
from sightline.training.artifact.detector import DETECTOR
from sightline.training.artifact.folder import ONNX
from sightline.training.artifact.int8 import INT8, int8_folder

WARM_UP, ROUNDS, RUNS = 5, 5, 20  # calls, rounds, calls in each
_LONGEST = 3.0  # seconds of a round, which then has fewer calls, but at least three


@dataclass(frozen=True)
class Latency:
    """Times of calls, in rounds.

    Attributes:
        rounds: seconds of each call, by round.
    """

    rounds: tuple[tuple[float, ...], ...]

    @property
    def typical(self) -> float:
        """The median of the rounds' medians, seconds."""
        return median(median(own) for own in self.rounds)

    def quantile(self, share: float) -> float:
        """Return the seconds that a share of all calls took at most."""
        return float(np.quantile([time for own in self.rounds for time in own], share))


def timed(run: Callable[[], object], clock: Callable[[], float] = perf_counter) -> Latency:
    """Time calls by the protocol of this module's first lines.

    Args:
        run: what is timed.
        clock: seconds.
    """
    for _ in range(WARM_UP):
        run()
    rounds = []
    for _ in range(ROUNDS):
        times: list[float] = []
        while len(times) < RUNS and (len(times) < 3 or sum(times) < _LONGEST):
            start = clock()
            run()
            times.append(clock() - start)
        rounds.append(tuple(times))
    return Latency(tuple(rounds))


def model_latency(folder: Path, images: Sequence[bytes], engine: Engine = "auto", threads: int = 1) -> Latency:
    """Time a model on images that it gets together.

    Args:
        folder: the model directory.
        images: encoded.
        engine: what runs it.
        threads: that compute.

    Raises:
        UserError: no model there, or it has no such file.
    """
    predictor = load_predictor(folder, "cpu", engine, threads)
    with _threads(threads):
        return timed(_call(predictor, images))


def _call(predictor: Predictor, images: Sequence[bytes]) -> Callable[[], object]:
    if predictor.cropper is not None:
        return lambda: predictor.predictions(images)
    pixels, placements = predictor.seen(images)
    return lambda: predictor.predict_pixels(pixels, placements)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch, which also makes predictions of what ONNX Runtime says, compute with so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def some_images(prepared: Path, count: int) -> list[bytes]:
    """Return encoded images of the validation split, again from the first one where it has fewer.

    Raises:
        UserError: there is no such data set.
    """
    store = SplitStore(prepared / "val")
    return [bytes(store.image(place % len(store))) for place in range(count)]


def network_bytes(folder: Path, engine: Engine = "auto") -> int:
    """Return the size of the file that an engine reads the network from; of what has several, of all of them.

    Raises:
        UserError: there is no such file.
    """
    exported = {"int8": int8_folder(folder) / INT8, "onnx": folder / ONNX}
    wanted = "onnx" if engine == "auto" and (folder / ONNX).is_file() else engine
    files = [exported[wanted]] if wanted in exported else _weights(folder)
    if wanted in exported and (folder / DETECTOR).is_dir():  # of a chain
        files += sorted((folder / DETECTOR).rglob("*.onnx")) or _weights(folder / DETECTOR)
    if not files or not all(file.is_file() for file in files):
        raise UserError(f"{files[0] if files else folder}: missing, so its size is not known; run dvc repro")
    return sum(file.stat().st_size for file in files)


def _weights(folder: Path) -> list[Path]:
    """Return the files that hold what was learned, of a head those of its extractor and its own."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".skops"))
