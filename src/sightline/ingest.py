"""MERGER: drop this file; the branch that writes `sightline.ingest` holds the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.config import Params


@dataclass(frozen=True)
class Batch:
    """A batch taken in."""

    dataset: str
    name: str
    samples: int
    quarantined: int


def ingest(params: Params, root: Path, report: Callable[[str], None]) -> list[Batch]:
    """Take in nothing."""
    return []


def withdraw_refused(params: Params, root: Path, report: Callable[[str], None]) -> list[str]:
    """Withdraw nothing."""
    return []
