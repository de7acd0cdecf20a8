"""A section of `datasets:` that may read a folder, before it is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Proposal:
    """What a folder may be.

    Attributes:
        section: of `datasets:` in params.yaml, without `root`.
        seen: the signs of it, for the user.
        inner: whether the format lies in the folder that archives may have wrapped, instead of in the root.
        notes: what was decided that the files do not say, for each key.
    """

    section: dict[str, Any]
    seen: str
    inner: bool = False
    notes: tuple[tuple[str, str], ...] = ()
