"""The processors that there are to work with."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor_numbers() -> list[int]:
    """Return the numbers of the processors that this process may run on; [] if the system, e.g. macOS, does not say."""
    # Python 3.13 has os.process_cpu_count on all systems.
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def usable_processors() -> int:
    """Return how many processors this process may run on, which a container or `taskset` makes fewer than there are."""
    return len(processor_numbers()) or os.cpu_count() or 1


def processor_name() -> str:
    """Return what the processor is called, with the number that may be used; its architecture if it has no name."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {usable_processors()} cores"
