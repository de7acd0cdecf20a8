"""The lecture's MNIST program, here and in Keras: `python -m bench.keras_mnist --data data/raw/mnist`.

Whole processes, from the first import to the accuracy on the 10,000 test digits, take turns: `keras_program.py` with
TensorFlow, in an environment that uv makes in a folder for it, and `our_program.py` on data that were prepared before
(the time of that is told too). Both have a thread per core, and what precision and layout they choose by default.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from statistics import median

from bench.pairs import take_turns
from bench.report import Report, parsed, parser
from sightline.system.processors import usable_processors

PACKAGES = ("tensorflow-cpu", "keras")
EPOCHS = 5
ROOT = Path(__file__).parent.parent


def environment(folder: Path) -> Path:
    """Make an environment with Keras, its bytecode compiled, unless it is there; return its Python."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run(["uv", "venv", "--python", sys.executable, "--clear", folder], check=True)
        subprocess.run(["uv", "pip", "install", "--python", python, "--compile-bytecode", *PACKAGES], check=True)
        (folder / "ready").touch()
    return python


@dataclass
class Program:
    """A program that prints its accuracy; called, it runs once in an empty folder and returns the seconds that passed.

    Attributes:
        command: of the process.
        threads: of OpenMP.
        processors: seconds of processor time of each run.
        accuracies: that were printed.
    """

    command: Sequence[str | Path]
    threads: int
    processors: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Run it."""
        own = {"OMP_NUM_THREADS": str(self.threads), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                self.command, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False
            )
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        found = re.search(r"^accuracy (\d\.\d+)$", done.stdout, re.MULTILINE)  # others are of epochs
        if done.returncode or found is None:
            raise SystemExit(done.stdout + done.stderr)
        self.processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        self.accuracies.append(float(found[1]))
        print(f"{Path(self.command[0]).parent.parent.name}: {seconds:.1f} s", flush=True)
        return seconds


_PREPARE = """
import sys, sightline
split = {"train": 0.8, "val": 0.2, "test": 0.0, "by": "order"}
sightline.prepare(sys.argv[1], sys.argv[2], format="idx", split=split)
print("accuracy 1.0")
"""


def compare(report: Report, data: Path, keras: Path, epochs: int, threads: int) -> None:
    """Report the row."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared")
        prepare = Program([sys.executable, "-c", _PREPARE, data, prepared], threads)()
        ours = Program([sys.executable, "-m", "bench.our_program", prepared, str(epochs), str(threads)], threads)
        program = Path(__file__).with_name("keras_program.py")
        theirs = Program([environment(keras), program, data, str(epochs), str(threads)], threads)
        taken = take_turns({"ours": ours, "theirs": theirs}, report.options.pairs, warm_up=0)
    processors = [one / other for one, other in zip(theirs.processors, ours.processors, strict=True)]
    report.add(
        report.case("whole process, 5 epochs"),
        taken["ours"],
        taken["theirs"],
        epochs=epochs,
        threads=threads,
        ratio_of_processor_time=round(median(processors), 3),
        accuracy=round(median(ours.accuracies), 4),
        reference_accuracy=round(median(theirs.accuracies), 4),
        prepare_s=round(prepare, 1),
    )


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument("--data", type=Path, default=ROOT / "data/raw/mnist", help="folder with the four files of MNIST")
    own.add_argument("--keras", type=Path, help="folder of the environment, kept; default: a temporary one")
    own.add_argument("--threads", type=int, default=usable_processors())
    options = parsed(own, argv)
    report, epochs = Report("keras_mnist", options), 1 if options.quick else EPOCHS
    [case] = [report.case("whole process, 5 epochs")]
    if not options.data.is_dir():
        report.lacks(case, f"no data: --data ({options.data.name})")
    elif options.keras is None and which("uv") is None:
        report.lacks(case, "no uv to install Keras with")
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(report, options.data.resolve(), options.keras or Path(folder), epochs, options.threads)
    report.finish()


if __name__ == "__main__":
    main()
