"""Validation images in two parts: one to choose by, one to report on.

The best of k scores on the images that it was chosen by is too good: it is the largest of k values with noise. On other
images it has no such advantage (Cawley and Talbot 2010, On Over-fitting in Model Selection, section 4). A part of the
validation split serves, so that the test split stays unseen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sightline.data.store import SplitStore
from sightline.system.errors import UserError

SHARE = 0.5  # of validation to choose by
FEWEST = 10  # images in each part


def divided(ids: Sequence[str], groups: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Return the ids to choose by, half of them as far as groups allow, and those to report on.

    In the order of a hash of their names, images and groups go to the first part until it has its share; a group is
    never divided.

    Args:
        ids: of the samples.
        groups: of each, None or "" where it has none.
    """
    names = [group or own for own, group in zip(ids, groups, strict=True)]
    sizes, chosen, count = Counter(names), set[str](), 0
    for name in sorted(sizes, key=_number):
        if count + sizes[name] / 2 > SHARE * len(ids):
            break
        chosen.add(name)
        count += sizes[name]
    parts: tuple[list[str], list[str]] = ([], [])
    for own, name in zip(ids, names, strict=True):
        parts[0 if name in chosen else 1].append(own)
    return parts


def _number(name: str) -> bytes:
    return hashlib.sha256(f"choose {name}".encode()).digest()


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
