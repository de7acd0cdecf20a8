"""The lecture's MNIST program, here and in Keras: `python -m bench.keras_mnist --data data/raw/mnist`.

Whole processes, from the first import to the accuracy on the 10,000 test digits, take turns: `keras_program.py` with
TensorFlow, in an environment that uv makes in a folder for it, and `our_program.py` on data that were prepared before
(the time of that is told too). Ratios are Keras' seconds over ours. With `--also` a further setting of ours runs in
each round, such as `32 contiguous`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.numerics import processor, spread
from sightline.system.processors import usable_processors

RESULTS = Path(__file__).with_name("results") / "keras_mnist.json"
TARGET = 2.0
PACKAGES = ("tensorflow-cpu", "keras")


@dataclass(frozen=True)
class Run:
    """One process: seconds that passed, seconds of processor time, accuracy on the test digits."""

    wall: float
    cpu: float
    accuracy: float


def environment(folder: Path) -> Path:
    """Make an environment with Keras, its bytecode compiled, unless it is there; return its Python."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run(["uv", "venv", "--python", sys.executable, "--clear", folder], check=True)
        subprocess.run(["uv", "pip", "install", "--python", python, "--compile-bytecode", *PACKAGES], check=True)
        (folder / "ready").touch()
    return python


def measured(command: Sequence[str | Path], threads: int) -> Run:
    """Run a program in an empty folder."""
    root = Path(__file__).parent.parent
    own = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"accuracy (\d\.\d+)", done.stdout)
    if done.returncode or found is None:
        raise SystemExit(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, float(found[1]))


def take_turns(programs: dict[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run all programs once per round, every second round backwards."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for turn in range(rounds):
        for name in list(programs) if turn % 2 == 0 else list(programs)[::-1]:
            run = programs[name]()
            runs[name].append(run)
            print(f"{name}: {run.wall:.1f} s, {run.cpu:.1f} s of processors, accuracy {run.accuracy:.4f}", flush=True)
    return runs


def summary(runs: dict[str, list[Run]], peer: str, ours: str, prepared: Run, **more: Any) -> dict[str, Any]:
    """Return the file's content."""
    by_wall = [a.wall / b.wall for a, b in zip(runs[peer], runs[ours], strict=True)]
    by_cpu = [a.cpu / b.cpu for a, b in zip(runs[peer], runs[ours], strict=True)]
    return {
        "benchmark": f"the lecture's MNIST program as a whole process, {ours}",
        "reference": peer,
        "target": TARGET,
        "ratio": spread(by_wall),
        "ratio_cpu": spread(by_cpu),
        "pairs": len(by_wall),
        "seconds": {name: spread([run.wall for run in own]) for name, own in runs.items()},
        "cpu_seconds": {name: spread([run.cpu for run in own]) for name, own in runs.items()},
        "accuracy": {name: round(statistics.mean(run.accuracy for run in own), 4) for name, own in runs.items()},
        "prepare_seconds": {"wall": round(prepared.wall, 2), "cpu": round(prepared.cpu, 2)},
        **more,
        "machine": f"{processor()}, {usable_processors()} cores",
    }


_PREPARE = """
import sys, sightline
split = {"train": 0.8, "val": 0.2, "test": 0.0, "by": "order"}
sightline.prepare(sys.argv[1], sys.argv[2], format="idx", split=split)
print("accuracy 1.0")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four files of MNIST")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_processors())
    parser.add_argument("--quick", action="store_true", help="one pair of one epoch; nothing is written")
    parser.add_argument("--keras", type=Path, help="folder of the environment, kept; default: a temporary one")
    parser.add_argument("--also", action="append", default=[], help="further settings of ours, as `32 contiguous`")
    arguments = parser.parse_args()
    pairs, epochs = (1, 1) if arguments.quick else (arguments.pairs, arguments.epochs)
    data, threads = arguments.data.resolve(), arguments.threads
    with tempfile.TemporaryDirectory() as folder:
        keras, prepared = environment(arguments.keras or Path(folder, "keras")), Path(folder, "prepared")
        prepare = measured([sys.executable, "-c", _PREPARE, data, prepared], threads)

        def ours(precision: str, layout: str) -> Run:
            program = [sys.executable, "-m", "bench.our_program", prepared, str(epochs), str(threads)]
            return measured([*program, precision, layout], threads)

        def peer() -> Run:
            program = Path(__file__).with_name("keras_program.py")
            return measured([keras, program, data, str(epochs), str(threads)], threads)

        programs: dict[str, Callable[[], Run]] = {"Keras": peer, "Sightline": lambda: ours("auto", "auto")}
        for setting in arguments.also:
            programs[f"Sightline {setting}"] = lambda setting=setting: ours(*setting.split())  # type: ignore[misc]
        runs = take_turns(programs, pairs)
        command = [keras, "-c", "import tensorflow, keras; print(tensorflow.__version__, keras.__version__)"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    versions = {"tensorflow": told[0], "keras": told[1]} | {
        name: version(name) for name in ("torch", "pytorch-lightning")
    }
    found = summary(runs, "Keras", "Sightline", prepare, epochs=epochs, threads=threads, versions=versions)
    if not arguments.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
