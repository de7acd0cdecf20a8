"""Runs the benchmarks one after the other, writes `docs/performance.md`, and shows what came out: `python -m bench`.

Each is a process of its own. On a quiet machine only: what else runs is in the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import page
from bench.catalogue import BENCHMARKS
from bench.report import RESULTS, summary
from sightline.system.files import read_json


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 if a benchmark failed, else 0; a target that is missed is no failure."""
    names = [name for name, one in BENCHMARKS.items() if not one.alone]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=list(BENCHMARKS), default=names, help="default: all but demo and scale"
    )
    parser.add_argument("--quick", action="store_true", help="tiny, to see whether they work; writes nothing")
    parser.add_argument("--note", default="", help="what should be known of this run")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    found: list[dict[str, Any]] = []
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            console.rule(f"{name}: {BENCHMARKS[name].title}")
            path = Path(folder, f"{name}.json") if options.quick else RESULTS / f"{name}.json"
            command = [sys.executable, "-m", f"bench.{name}", "--out", str(path), "--note", options.note]
            began = time.perf_counter()
            code = subprocess.run(command + ["--quick"] * options.quick, check=False).returncode
            console.print(f"{time.perf_counter() - began:.0f} s" + (f", exit code {code}" if code else ""))
            if code:
                failed.append(name)
            else:
                found.append(read_json(path))
    if not options.quick:
        page.write()
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(summary(found))
    for name in failed:
        console.print(f"{name}: failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
