"""What stages note when they have succeeded: files of `.sightline/durations`, outside DVC and git."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json

DURATIONS = Path(".sightline/durations")
PROGRESS = Path(".sightline/progress")  # written by trainings, an epoch at a time
_STAMPS = Path(".sightline/code")
_IMPORTED = time.monotonic()


def note_duration(root: Path, stage: str, expected: float | None) -> None:
    """Write how long this process, which has done the work of a stage, has run; whatever fails, the stage does not.

    Args:
        root: of the project.
        stage: as DVC names it.
        expected: seconds, None if not known.
    """
    if not _leads():
        return
    with suppress(OSError, ValueError, UserError):
        made: dict[str, Any] = {
            "seconds": round(process_seconds(), 3),
            "expected": None if expected is None else round(expected, 3),
            "ended": time.time(),
            "settings": settings_of(root, stage),
        }
        epochs = read_note(root / PROGRESS / f"{stage}.json")
        if epochs.get("process") == os.getpid():
            names = {"epochs_done": "epochs", "epochs": "most_epochs"}
            made |= {own: epochs.get(name) for name, own in names.items()}
            made["resumed"] = bool(epochs.get("resumed_from"))
            (root / PROGRESS / f"{stage}.json").unlink(missing_ok=True)
        path = root / DURATIONS / f"{stage}.json"
        if made.get("resumed"):
            made["whole"] = whole_run(read_note(path))
        write_json(path, made)


def _leads() -> bool:
    """Return whether this is the first of the processes of one training."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))


def process_seconds() -> float:
    """Return how long this process has run, interpreter and imports included."""
    imported = time.monotonic() - _IMPORTED
    with suppress(OSError, ValueError, IndexError, AttributeError):
        # Ticks since boot, from the same clock on both sides. psutil adds them to the time of the boot, which the
        # system gives in whole seconds: up to a second is added to every stage.
        after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        return max(imported, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    import psutil

    try:
        return max(imported, time.time() - float(psutil.Process().create_time()))
    except psutil.Error:  # a system that does not say
        return imported


def read_duration(root: Path, stage: str) -> dict[str, Any] | None:
    """Return what a stage noted when it ended last: seconds, expected, ended, settings, and `resumed`; None if nothing.

    `resumed` is true of a training that went on after it was killed: its seconds are those after the last start.
    """
    found = read_note(root / DURATIONS / f"{stage}.json")
    return found if is_time(found.get("seconds")) else None


def whole_run(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last record of a stage that ran from its beginning to its end, None if there is none."""
    own = record.get("whole") if record.get("resumed") else record
    return dict(own) if isinstance(own, Mapping) and is_time(own.get("seconds")) else None


def read_note(path: Path) -> dict[str, Any]:
    """Return the values of a file of notes; {} if it is missing or damaged."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_time(value: object) -> bool:
    """Return whether a value of a file is a number that a time or a count may be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def settings_of(root: Path, stage: str) -> str:
    """Return a hash of the settings that a stage reads, defaults included; "" for a stage without any."""
    stamp = read_note(stamp_path(root, stage))
    text = json.dumps(stamp.get("values", ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if stamp else ""


def stamp_path(root: Path, stage: str) -> Path:
    """Return where the stamp of a stage is, if it has one."""
    name, _, key = stage.partition("@")
    return root / _STAMPS / name / f"{key}.json"
