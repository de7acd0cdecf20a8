"""Runs a command that ends with its starter, however that ends.

Usage: `python -m sightline.operations.retraining.guard FD COMMAND ...`

The starter holds the other end of the pipe FD. When it is gone, even by SIGKILL, the kernel closes that end, and
everything that the command has started is ended. The command has a separate session, so that no signal meant for
it reaches the guard.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 3.0


def end_group(group: int, patience: float = PATIENCE, meanwhile: Callable[[], None] = lambda: None) -> None:
    """End all processes of a group, gently first; returns at once where there are none.

    Args:
        group: its number.
        patience: seconds that SIGTERM gives, before SIGKILL.
        meanwhile: called before, and every 50 ms until then.
    """
    meanwhile()
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            meanwhile()
            time.sleep(0.05)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    lifeline, command = int(arguments[0]), arguments[1:]
    process = subprocess.Popen(command, start_new_session=True, close_fds=False)  # a lock goes on to the command

    def watch() -> None:
        os.read(lifeline, 1)  # returns when the other end is closed
        end_group(process.pid)

    threading.Thread(target=watch, daemon=True).start()
    try:
        code = process.wait()
    finally:
        end_group(process.pid)  # whatever the command has left behind
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
