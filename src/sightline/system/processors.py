"""The processors that there are to work with."""

from __future__ import annotations

import os


def processor_numbers() -> list[int]:
    """Return the numbers of the processors that this process may run on; [] if the system, e.g. macOS, does not say."""
    # Python 3.13 has os.process_cpu_count on all systems.
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def usable_processors() -> int:
    """Return how many processors this process may run on, which a container or `taskset` makes fewer than there are."""
    return len(processor_numbers()) or os.cpu_count() or 1
