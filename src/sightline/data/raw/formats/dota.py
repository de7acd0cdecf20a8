"""DOTA's text files of oriented boxes: one per image, a row per object (Xia et al. 2018, arXiv:1711.10398).

`images/NAME.png` belongs to `labelTxt/NAME.txt`, whose rows are `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` in pixels,
after lines that may say `imagesource:...` and `gsd:...`. The split is that of folders called train, val and test.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.formats.annotated import Annotated, AnnotatedSource, similar_names
from sightline.data.raw.formats.given_split import GivenSplit
from sightline.data.raw.formats.pairing import Pairing
from sightline.data.raw.formats.source import is_image, require_root, visible_files
from sightline.data.raw.formats.text import BrokenText, read_text
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError

_FOLDERS = ("labeltxt", "labeltxt-v1.0", "labeltxt-v1.5", "labeltxt-v2.0", "annotations", "labels")  # of text files
HEADERS = ("imagesource", "gsd")
_CORNERS = 8  # numbers
_FORM = "x1 y1 x2 y2 x3 y3 x4 y4 class difficult"


@dataclass
class DotaFile:
    """What a text file says.

    Attributes:
        objects: the class of each object, and the object, whose label is still to be set.
        lost: what cannot be read, and why.
        problem: what makes the whole file unusable, if anything.
    """

    objects: list[tuple[str, Annotation]] = field(default_factory=list)
    lost: list[tuple[Code, str]] = field(default_factory=list)
    problem: str | None = None


def open_dota(root: Path, batch: bool = False) -> AnnotatedSource:
    """Return the images below `root`, with oriented boxes; classes are in alphabetical order.

    Args:
        root: of the data set.
        batch: whether it is a batch.

    Raises:
        UserError: there are no images or text files, or nothing is labelled.
    """
    require_root(root)
    paths = list(visible_files(root))
    images = [path for path in paths if is_image(path)]
    texts = [path for path in paths if path.lower().endswith(".txt")]
    if not images or not texts:
        missing = "no images" if not images else "no text files"
        raise UserError(f"{root}: {missing}; a DOTA data set has images/ and labelTxt/, each below its split or not")
    pairing = Pairing(images, texts, ("images",), _FOLDERS)
    used, unlisted = GivenSplit(root).divided(images, batch)
    read = {path: _of_image(root, path, pairing, used) for path in used}
    classes = tuple(sorted({kind for file in read.values() for kind, _ in file.objects}))
    if not classes:
        raise UserError(f"{root}: no labelled objects{_first(read)}; label some, or correct `root` in params.yaml")
    findings = [*similar_names(classes)]
    findings += [Finding(code, path, told) for path, file in read.items() for code, told in file.lost]
    findings += [Finding("unused_file", path, "there is no image with its name") for path in _unused(root, pairing)]
    number = {name: label for label, name in enumerate(classes)}
    entries = [
        Annotated(
            path,
            [replace(annotation, label=number[kind]) for kind, annotation in file.objects],
            used[path],
            problem=file.problem,
            code="shared_file" if pairing.sharing(path, used) else "broken_file",
        )
        for path, file in read.items()
    ]
    return AnnotatedSource(root, LabelMap(classes, classes), entries, findings, unlisted, oriented=True)


def read_dota(root: Path, path: str) -> DotaFile:
    """Read a text file below the root."""
    try:
        lines = read_text(root / path).splitlines()
    except BrokenText as error:
        return DotaFile(problem=f"{path}: {error}")
    file = DotaFile()
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells or cells[0].partition(":")[0].lower() in HEADERS:
            continue
        row = read_dota_row(f"{path}: line {number}", cells)
        if isinstance(row, str):
            file.lost.append(("broken_line", row))
        else:
            file.objects.append(row)
    return file


def read_dota_row(place: str, cells: Sequence[str]) -> tuple[str, Annotation] | str:
    """Return class and object of a row, or what is wrong with it.

    Args:
        place: file and line.
        cells: the row; without `difficult` an object is not difficult.
    """
    if not _CORNERS < len(cells) <= _CORNERS + 2:
        return f"{place}: {len(cells)} values, expected {_FORM}"
    corners = [_number(cell) for cell in cells[:_CORNERS]]
    known = [value for value in corners if value is not None]
    if len(known) < _CORNERS:
        return f"{place}: {cells[corners.index(None)]!r} is not a number, expected {_FORM}"
    name, *flag = cells[_CORNERS:]
    if _number(name) is not None:
        return f"{place}: {name!r} is a number where the class is expected: {_FORM}"
    if flag not in ([], ["0"], ["1"]):
        return f"{place}: difficult is {flag[0]!r}, expected 0 or 1"
    return name, Annotation(place, -1, corners=known, difficult=flag == ["1"])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _of_image(root: Path, path: str, pairing: Pairing, used: Mapping[str, SplitName | None]) -> DotaFile:
    """Return what is said of an image; nothing where there is no file, or the file may be another image's."""
    others = pairing.sharing(path, used)
    if others:
        return DotaFile(problem=f"{pairing.files[path]} also belongs to {', '.join(others)}")
    return read_dota(root, pairing.files[path]) if path in pairing.files else DotaFile()


def _unused(root: Path, pairing: Pairing) -> Collection[str]:
    """Return text files without an image that hold an object: others are lists or descriptions."""
    return [path for path in pairing.unused if read_dota(root, path).objects]


def _first(read: Mapping[str, DotaFile]) -> str:
    problems = (told for file in read.values() for told in (file.problem, *(reason for _, reason in file.lost)))
    problem = next((told for told in problems if told), None)
    return f" ({problem})" if problem else ""
