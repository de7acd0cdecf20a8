"""What the cells of a table say of classes: one, several in one cell, or one in each of several lines."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import name_of

_MARKS = ("|", ";", ",")
_LIST = re.compile(r"[\[({].*[\])}]", re.DOTALL)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def sorted_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels, by number where all are whole numbers, else by name."""
    different = set(labels)
    if all(re.fullmatch(r"-?[0-9]+", label) for label in different):
        return tuple(sorted(different, key=lambda label: (int(label), label)))
    return tuple(sorted(different))


def split_cells(cells: Sequence[str]) -> list[list[str]]:
    """Return the names in each cell: separated by |, ; or commas, else by white space, or written as a list."""
    plain = [cell for cell in cells if not _LIST.fullmatch(cell)]
    mark = next((mark for mark in _MARKS if any(mark in cell for cell in plain)), None)
    return [_listed(cell) if _LIST.fullmatch(cell) else _parts(cell, mark) for cell in cells]


def _parts(cell: str, mark: str | None) -> list[str]:
    return [name_of(name) for name in cell.split(mark) if name.strip()]


def _listed(cell: str) -> list[str]:
    """Return the names in a list as Python, JSON or NumPy write it."""
    inner = cell[1:-1]
    quoted = [first or second for first, second in _QUOTED.findall(inner)]
    return [name_of(name) for name in quoted or re.split(r"[,;\s]+", inner) if name.strip()]


def whole_numbers(labels: Sequence[str]) -> tuple[list[str], bool]:
    """Return labels, 1.0 as 1 where all are whole numbers, as programs write them; and whether any was so."""
    numbers = bool(labels) and all(re.fullmatch(r"-?[0-9]+(\.0+)?", label) for label in labels)
    if not numbers or not any("." in label for label in labels):
        return list(labels), False
    return [label.partition(".")[0] for label in labels], True


def find_joint_labels(labels: Iterable[str]) -> list[Finding]:
    """Return a finding for each label that is a list, or is made of words that come in other labels too."""
    several = {label: _words(label) for label in dict.fromkeys(labels)}
    common = Counter(word for words in several.values() for word in set(words))
    return [
        Finding("joint_label", f"class {label}", f"{', '.join(words)}: read as one class")
        for label, words in several.items()
        if _LIST.fullmatch(label) or (len(words) > 1 and any(common[word] > 1 for word in words))
    ]


def _words(label: str) -> list[str]:
    if _LIST.fullmatch(label):
        return _listed(label)
    return _parts(label, next((mark for mark in _MARKS if mark in label), "|"))


def lines_of_images(images: Sequence[str], labels: Sequence[str]) -> dict[str, list[int]] | None:
    """Return the places of each image where a table has a line for each of its labels, else None.

    It is such a table where two images or more, and a tenth of all, have several lines, each with another label; fewer
    are slips.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        places[image].append(place)
    several = [own for own in places.values() if len({labels[place] for place in own}) == len(own) > 1]
    return dict(places) if len(several) >= max(2, 0.1 * len(places)) else None
