r"""Lists of images with their texts: `path text` in each line, as in the challenges of ICDAR and in IIIT 5K.

Three ways of writing a line are read: path and text between a tab (`word_1.png<TAB>Tiredness`), after a comma in
quotation marks (`word_1.png, "Tiredness"`, where a quotation mark of the text is `\"`; ICDAR 2013 and 2015), and after
the first blank behind the suffix of the path (`word 1.png Tiredness`). A file keeps to one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import IMAGE_SUFFIXES, Entry, FileSource, refuse, require_root
from sightline.data.raw.formats.table_images import TableImages
from sightline.data.raw.formats.text import require_text
from sightline.data.raw.texts import characters_of, composed, problem_of
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES, key=len, reverse=True))
_TAB = re.compile(r"([^\t]+)\t(.*)")
_QUOTED = re.compile(r'(.+?),\s*"(.*)"')
_BLANK = re.compile(rf"(.+?(?:{_SUFFIX}))\s+(.*)", re.IGNORECASE)
_WAYS = {"a tab": _TAB, 'a comma and text in "..."': _QUOTED, "a blank behind the suffix": _BLANK}


class Line(NamedTuple):
    """A line of a list: its number, the path and the text."""

    number: int
    path: str
    text: str


def open_text_list(root: Path, lists: str | Mapping[SplitName, str]) -> FileSource:
    """Return the images that the lists name, their paths relative to `root` or to the folder of the list.

    Args:
        root: folder of the raw files.
        lists: the list below `root`, or one per split.

    Raises:
        UserError: with one line per error, naming file, line and remedy.
    """
    require_root(root)
    named: list[tuple[SplitName | None, str]] = [(None, lists)] if isinstance(lists, str) else [*lists.items()]
    files, mistakes = TableImages(root), []
    entries: dict[str, Entry] = {}
    findings: list[Finding] = []
    for split, name in named:
        lines, way = read_text_list(root / name)
        findings.append(Finding("table", name, f"its paths and texts are divided by {way}"))
        for line in lines:
            image, problem = _found(files, name, line.path)
            text = composed(line.text)
            problem = problem or problem_of(text)
            known = entries.get(image)
            if problem is None and known is not None and (known.text, known.split) != (text, split):
                problem = f"is listed before with {known.text!r}; keep one of the lines"
            if problem is not None:
                mistakes.append(f"{root / name}: line {line.number}: {line.path!r}, {line.text!r}: {problem}")
            entries.setdefault(image, Entry(image, -1, split, text=text))
    refuse(root, mistakes)
    characters = characters_of(entry.text for entry in entries.values())
    return FileSource(root, LabelMap((), (), characters=characters), list(entries.values()), (), findings)


def _found(files: TableImages, name: str, path: str) -> tuple[str, str | None]:
    """Return the path below the root that a list means: as it is, else beside the list."""
    beside = (Path(name).parent / path).as_posix()
    if not (files.root / path).is_file() and (files.root / beside).is_file():
        return files.find(beside)
    return files.find(path)


def read_text_list(path: Path) -> tuple[list[Line], str]:
    """Return the lines of a list without empty ones, and how path and text are divided.

    Raises:
        UserError: it is missing, no text, empty, or no way of writing lines fits all of them.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such list; add it, or set `lists` in params.yaml to another")
    text = require_text(path).lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")
    rows = [(number, row.strip(" \r")) for number, row in enumerate(text.split("\n"), 1) if row.strip()]
    if not rows:
        raise UserError(f"{path}: is empty; write PATH TEXT for each image")
    for way, pattern in _WAYS.items():
        matches = [pattern.fullmatch(row) for _, row in rows]
        if all(matches):
            lines = [_line(number, match, way) for (number, _), match in zip(rows, matches, strict=True) if match]
            return lines, way
    raise UserError(_unread(path, rows))


def _line(number: int, match: re.Match[str], way: str) -> Line:
    text = match[2]
    if way.startswith("a comma"):
        text = re.sub(r"\\([\"\\])", r"\1", text)
    return Line(number, match[1].strip(), text)


def _unread(path: Path, rows: Sequence[tuple[int, str]]) -> str:
    """Return the message for the first line that the way which fits most lines does not fit."""
    fits = {way: [bool(pattern.fullmatch(row)) for _, row in rows] for way, pattern in _WAYS.items()}
    way = max(fits, key=lambda one: sum(fits[one]))
    number, row = next(line for line, good in zip(rows, fits[way], strict=True) if not good)
    return (
        f"{path}: line {number}: {row!r}: is no path and text, divided by {way} as in {sum(fits[way])} of "
        f"{len(rows)} lines; write PATH TEXT, in the same way in each line"
    )
