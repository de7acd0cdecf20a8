"""Validation images in two parts: one to choose by, one to report on.

The best of k scores on the images that it was chosen by is too good: it is the largest of k values with noise. On other
images it has no such advantage (Cawley and Talbot 2010, On Over-fitting in Model Selection, section 4). A part of the
validation split serves, so that the test split stays unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sightline.data.store import SplitStore
from sightline.system.errors import UserError

SHARE = 0.5  # of validation to choose by
FEWEST = 10  # images in each part


def is_for_choosing(name: str, share: float = SHARE) -> bool:
    """Return whether an image, or a group of images that belong together, is in the part to choose by."""
    number = int.from_bytes(hashlib.sha256(f"choose {name}".encode()).digest()[:8], "big")
    return number < share * 2**64


def divided(ids: Sequence[str], groups: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Return the ids to choose by and those to report on; a group is never divided, and more data move no image.

    Args:
        ids: of the samples.
        groups: of each, None or "" where it has none.
    """
    chosen: tuple[list[str], list[str]] = ([], [])
    for own, group in zip(ids, groups, strict=True):
        chosen[0 if is_for_choosing(group or own) else 1].append(own)
    return chosen


def parts_of(prepared: Path) -> tuple[list[str], list[str]]:
    """Return the ids of both parts of a data set's validation split.

    Raises:
        UserError: too few images, or too few groups.
    """
    store = SplitStore(prepared / "val")
    chosen, reported = divided(store.ids, store.column("group"))
    if min(len(chosen), len(reported)) < FEWEST:
        raise UserError(
            f"{prepared}: its {len(store)} validation images make parts of {len(chosen)} to choose by and "
            f"{len(reported)} to report on; each needs {FEWEST}: enlarge val of datasets.{prepared.name}.split"
        )
    return chosen, reported
