"""Signs of lists of images with what is written on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from sightline.data.raw.formats.text_list import read_text_list
from sightline.data.raw.recognition.annotations import groups_of_splits
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.proposal import Proposal
from sightline.system.errors import UserError

_REPEATED = 4  # lines per text on the average, from which on the texts are rather classes


def propose_text_lists(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal for the text files that list images with texts: one, or one per split.

    Few different texts are rather classes (`images/1.jpg 4`), so such lists are left to the user.
    """
    stems = {PurePosixPath(path).stem for path in files.images}
    names: dict[str, list[str]] = {}
    for path in files.ending(".txt"):
        if PurePosixPath(path).stem in stems:
            continue
        try:
            lines, _ = read_text_list(files.root / path)
        except UserError:
            continue
        listed = [PurePosixPath(line.path).stem in stems for line in lines]
        if any(listed) and len({line.text for line in lines}) * _REPEATED > len(lines):
            names[path] = [line.path for line in lines]
    for group in groups_of_splits(names):
        lists: Any = {str(split): path for split, path in group.items()}
        lists = lists if len(group) > 1 else next(iter(group.values()))
        count = sum(len(names[path]) for path in group.values())
        seen = f"{count} lines of paths and texts in {', '.join(sorted(group.values()))}"
        yield Proposal({"format": "text_list", "lists": lists}, seen)
