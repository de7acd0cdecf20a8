"""The words by which data sets call their parts, as folders and in tables."""

from __future__ import annotations

import re

from sightline.data.structures import SplitName

# In lower case. Each may be followed by one of _ENDINGS, with or without a blank, - or _ between, and by a year.
SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_ENDINGS = ("set", "data", "dataset", "split", "images", "imgs")
_WORD = re.compile(rf"({'|'.join(SPLIT_FOLDERS)})([ _-]?({'|'.join(_ENDINGS)}))?([ _-]?(19|20)\d\d)?")


def split_called(word: str) -> SplitName | None:
    """Return the part that a word stands for (Training, valid, TEST, test_set, val2017), None if it is none."""
    found = _WORD.fullmatch(word.strip().lower())
    return SPLIT_FOLDERS[found[1]] if found else None
