"""Training steps in each precision and layout, to which the rule for `auto` is fitted: `python -m bench.numerics`.

For each network, size and batch a step (forward, backward, update) is timed in fp32 and bf16, contiguous and
channels-last, in turns, by the processor time of the process, with one thread; the least time counts. It is done with
all instructions of this processor, and in processes of their own with those of older ones, to which oneDNN, MKL and
torch's own kernels are restricted. `bench/results/numerics.json` gets the times, what the rule chooses, and how close
that is to the best. `--quick` is for a look whether it works; `--judge` judges the rule by the times that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sightline.pipeline.process import set_up_process
from sightline.training.speed_rule import BOUNDS, Bounds, Work, fastest

RESULTS = Path(__file__).with_name("results") / "numerics.json"
TARGET = 0.9  # of the speed of the best setting
HOPELESS = 3.0  # times the least, after which a setting is not timed again
LONG = 0.06  # seconds of a step, from which emulated bf16 is left out: it takes up to a hundred times as long
INSTRUCTIONS: dict[str, dict[str, str]] = {  # what a processor is restricted to, and by what
    "all": {},
    "avx512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
ALL = "all"


@dataclass(frozen=True)
class Row:
    """The times of a step, in milliseconds of processor time.

    Attributes:
        instructions: a key of `INSTRUCTIONS`.
        bf16: whether the processor multiplies bf16 with them.
        network, size, batch: what was timed.
        work: per image.
        ms: by `PRECISION LAYOUT`.
    """

    instructions: str
    bf16: bool
    network: str
    size: int
    batch: int
    work: Work
    ms: dict[str, float] = field(default_factory=dict)

    @property
    def chosen(self) -> str:
        """What the rule chooses."""
        return _name(*fastest(self.work, self.batch, self.bf16))

    @property
    def of_best(self) -> float:
        """Speed of what the rule chooses over that of the fastest."""
        return self.share(BOUNDS)

    def share(self, bounds: Bounds) -> float:
        """Speed of the rule's choice with other bounds over that of the fastest; 0 where it was too slow to time."""
        chosen = _name(*fastest(self.work, self.batch, self.bf16, bounds))
        return min(self.ms.values()) / self.ms[chosen] if chosen in self.ms else 0.0


def _name(precision: str, channels_last: bool) -> str:
    return f"{precision} {'channels_last' if channels_last else 'contiguous'}"


def timed_rows(instructions: str, seconds: float, only: str | None) -> Iterator[Row]:
    """Time all networks in this process, whose instructions are restricted already."""
    set_up_process()
    import torch

    from bench.numerics_steps import CASES, name_of, prepared_images, training_steps
    from sightline.training.hardware import has_native_bf16

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # as in a training
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property
    native = instructions == ALL and has_native_bf16("cpu")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepared = prepared_images(Path(folder))
        for case in CASES:
            if only and only not in case.name:
                continue
            for size, batch in case.inputs:
                work, steps = training_steps(case, size, batch, prepared[case.data])
                times = least_times({_name(*setting): step for setting, step in steps.items()}, seconds, native)
                ms = {setting: round(1000 * taken, 3) for setting, taken in times.items()}
                yield Row(instructions, native, name_of(case), size, batch, work, ms)


def least_times(steps: dict[str, Callable[[], object]], seconds: float, native: bool) -> dict[str, float]:
    """Return the least processor seconds of each step, taken in turns.

    Args:
        steps: by name of the setting, float32 first.
        seconds: for the turns after the first.
        native: whether the processor multiplies bf16.
    """
    least: dict[str, float] = {}
    for name, step in sorted(steps.items()):  # "32" before "bf16"
        if name.startswith("bf16") and not native and min(least.values()) > LONG:
            continue
        step()  # warms up
        least[name] = _taken(step)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name in [name for name, taken in least.items() if taken <= HOPELESS * min(least.values())]:
            least[name] = min(least[name], _taken(steps[name]))
    return least


def _taken(step: Callable[[], object]) -> float:
    started, repeats = time.process_time(), 0
    while time.process_time() - started < 0.02:
        step()
        repeats += 1
    return (time.process_time() - started) / repeats


def all_rows(seconds: float, only: str | None) -> list[Row]:
    """Time with all instructions and with fewer, each in a process of its own."""
    rows = []
    for instructions, restricted in INSTRUCTIONS.items():
        command = [sys.executable, "-m", "bench.numerics", "--instructions", instructions, "--seconds", str(seconds)]
        command += ["--only", only] if only else []
        environment = os.environ | restricted | {"OMP_NUM_THREADS": "1", "PYTHONPATH": _importable()}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    rows.append(row_of(json.loads(line)))
                    print(told(rows[-1]), flush=True)
        if process.returncode:
            raise SystemExit(process.returncode)
    return rows


def _importable() -> str:
    root = Path(__file__).parent.parent
    return os.pathsep.join([str(root), os.environ.get("PYTHONPATH", str(root / "src"))])


def committed_rows() -> list[Row]:
    """Return the rows of the table that is there."""
    return [row_of(values) for values in json.loads(RESULTS.read_text())["rows"]]


def row_of(values: dict[str, Any]) -> Row:
    """Return a row as it was written."""
    plain = {name: values[name] for name in ("instructions", "bf16", "network", "size", "batch", "ms")}
    return Row(**plain, work=Work(**values["work"]))


def told(row: Row) -> str:
    """Return a line about a row."""
    times = ", ".join(f"{name} {taken:.4g}" for name, taken in sorted(row.ms.items(), key=lambda item: item[1]))
    return (
        f"{row.instructions:>6} {row.network} {row.size} px, {row.batch} per step: {row.chosen} is {row.of_best:.2f} "
        f"of the best; ms {times}"
    )


def summary(rows: list[Row]) -> dict[str, Any]:
    """Return the file's content: the distribution of the rule's speed over that of the best setting, and all rows."""
    shares = [row.of_best for row in rows]
    return {
        "benchmark": "precision and layout that `auto` chooses for a training step on the CPU",
        "reference": "the fastest of fp32 and bf16, contiguous and channels-last",
        "target": TARGET,
        "ratio": spread(shares) | {"least": round(min(shares), 3)},
        "pairs": len(rows),
        "machine": f"{processor()}, 1 thread",
        "versions": {name: version(name) for name in ("torch", "timm")},
        "rows": [asdict(row) | {"chosen": row.chosen, "of_best": round(row.of_best, 3)} for row in rows],
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": round(median, 3), "q1": round(low, 3), "q3": round(high, 3)}


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(rows: list[Row]) -> None:
    """Write the table, a row a line."""
    content = summary(rows)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in content.pop("rows"))
    head = json.dumps(content, indent=1)
    RESULTS.write_text(f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="for the turns of each row")
    parser.add_argument("--quick", action="store_true", help="one second a row")
    parser.add_argument("--only", help="part of a network's name; nothing is written")
    parser.add_argument("--judge", action="store_true", help="time nothing")
    parser.add_argument("--instructions", choices=list(INSTRUCTIONS), help="what this process is restricted to")
    arguments = parser.parse_args()
    seconds = 1.0 if arguments.quick else arguments.seconds
    if arguments.instructions:
        for row in timed_rows(arguments.instructions, seconds, arguments.only):
            print(json.dumps(asdict(row)), flush=True)
        return
    if arguments.judge:
        rows = committed_rows()
        print("\n".join(told(row) for row in sorted(rows, key=lambda row: row.of_best)))
    else:
        rows = all_rows(seconds, arguments.only)
    if not arguments.only:
        write(rows)
    print(summary(rows)["ratio"])


if __name__ == "__main__":
    main()
