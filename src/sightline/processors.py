"""How many processors there are to work with."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """Return the number of processors that this process may run on, which a container or `taskset` makes fewer.

    macOS does not tell; there it is the number of all.
    """
    if hasattr(os, "sched_getaffinity"):  # from Python 3.13 on os.process_cpu_count
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
