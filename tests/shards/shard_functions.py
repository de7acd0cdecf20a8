"""Functions over shards for tests; workers import them by name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.system.errors import UserError


def squares(settings: Mapping[str, Any], shard: list[int], path: Path) -> None:
    """Write the squares of a shard's numbers, and in another folder that it was done."""
    time.sleep(settings.get("seconds", 0))
    with Path(settings["log"]).open("a", encoding="utf-8") as log:
        log.write(f"{shard[0]}\n")
    path.write_text(" ".join(str(settings["factor"] * number**2) for number in shard), encoding="utf-8")


def fragile(settings: Mapping[str, Any], shard: list[int], path: Path) -> None:
    """Kill the worker at its first tries of one shard, after half of the result is written."""
    mark = Path(settings["marks"], f"{shard[0]}-{time.monotonic_ns()}")
    tries = len(list(mark.parent.glob(f"{shard[0]}-*")))
    if shard[0] == settings["bad"] and tries < settings["deaths"]:
        mark.touch()
        path.write_text("half", encoding="utf-8")
        os._exit(9)
    path.write_text(str(shard), encoding="utf-8")


def refused(settings: Mapping[str, Any], shard: list[int], path: Path) -> None:
    """Refuse one shard."""
    if shard[0] == settings["bad"]:
        raise UserError(f"{shard[0]}: is bad; mend it")
    path.write_text(str(shard), encoding="utf-8")
