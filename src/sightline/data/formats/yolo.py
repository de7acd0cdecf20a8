"""YOLO's text files: one per image, a line per object: class cx cy w h, or class x y x y x y ..., shares of the image.

`images/.../NAME.jpg` belongs to `labels/.../NAME.txt` (the last folder called images is replaced); where there is none,
the text file lies beside its image. Folders called train, val (valid, validation) or test on the way are splits.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.config.reader import read_mapping
from sightline.data.annotations import Annotation
from sightline.data.findings import Code, Finding
from sightline.data.formats.annotated import Annotated, AnnotatedSource, whole
from sightline.data.formats.source import is_image, require_root, visible_files
from sightline.data.formats.split_words import split_called
from sightline.errors import UserError
from sightline.structures import LabelMap, SplitName

_LISTS = ("classes.txt", "obj.names")
NAME_FILES = ("data.yaml", *_LISTS)


def open_yolo(root: Path) -> AnnotatedSource:
    """Return the images below `root`; classes are in the order of their numbers.

    Raises:
        UserError: there are no images, no class names, or names that cannot be read.
    """
    require_root(root)
    named = _names(root)
    labels = LabelMap(tuple(named.values()), tuple(map(str, named)))
    number = {str(source): label for label, source in enumerate(named)}
    paths = list(visible_files(root))
    texts = {path for path in paths if path.endswith(".txt")}
    images = [path for path in paths if is_image(path)]
    if not images:
        raise UserError(f"{root}: no images; put them into {root}/images and their text files into {root}/labels")
    findings: list[Finding] = []
    entries: list[Annotated] = []
    used: set[str] = set()
    for path in images:
        text = next((text for text in _candidates(path) if text in texts), None)
        annotations, problem = ([], None) if text is None else _read(root, path, text, number, findings)
        entries.append(Annotated(path, annotations, _split(path), None, problem))
        used |= {text} if text else set()
    lost = sorted(text for text in texts - used if "labels" in PurePosixPath(text).parts[:-1])
    findings += [Finding("orphan", text, "there is no image of its name") for text in lost if _is_label(text)]
    return AnnotatedSource(root, labels, entries, findings)


def _is_label(text: str) -> bool:
    return PurePosixPath(text).name not in _LISTS


def _names(root: Path) -> dict[int, str]:
    """Return the class names by number, from data.yaml or a list of lines."""
    table = root / "data.yaml"
    if table.is_file():
        values = read_mapping(table)
        if values.get("kpt_shape"):
            raise UserError(f"{table}: kpt_shape: key points are not read from YOLO's files; convert them to COCO")
        return _from_yaml(table, values.get("names"))
    lists = next((root / name for name in _LISTS if (root / name).is_file()), None)
    if lists is None:
        raise UserError(f"{root}: no data.yaml and no classes.txt; name the classes in one of them")
    lines = [line.strip() for line in lists.read_text(encoding="utf-8-sig").splitlines()]
    return _checked(lists, {number: name for number, name in enumerate(lines) if name})


def _from_yaml(table: Path, names: Any) -> dict[int, str]:
    named = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(named, dict) or any(whole(number) is None for number in named):
        raise UserError(f"{table}: names: is {names!r}, expected a list of class names or NUMBER: NAME pairs")
    return _checked(table, {int(number): str(named[number]) for number in sorted(named)})


def _checked(place: Path, named: dict[int, str]) -> dict[int, str]:
    names = list(named.values())
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{place}: names: {repeated!r} comes twice; give each class its own name")
    if not names:
        raise UserError(f"{place}: names no class; name one per number")
    return named


def _candidates(path: str) -> tuple[str, ...]:
    """Return where the text file of an image may be."""
    parts = list(PurePosixPath(path).with_suffix(".txt").parts)
    beside = "/".join(parts)
    if "images" not in parts[:-1]:
        return (beside,)
    place = len(parts) - 2 - parts[-2::-1].index("images")
    return ("/".join([*parts[:place], "labels", *parts[place + 1 :]]), beside)


def _split(path: str) -> SplitName | None:
    folders = [re.sub(r"\d+$", "", part.lower()) for part in PurePosixPath(path).parts[:-1]]  # train2017
    return next((split for split in map(split_called, folders) if split is not None), None)


def _read(
    root: Path, path: str, text: str, number: dict[str, int], findings: list[Finding]
) -> tuple[list[Annotation], str | None]:
    """Return the annotations of a text file, or what is wrong with all of it."""
    try:
        lines = (root / text).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], f"{text}: cannot be read as text: {error}"
    annotations = []
    for count, line in enumerate(lines, 1):
        place = f"{text}: line {count}"
        if not line.strip():
            continue
        made = _annotation(place, line.split(), number)
        if isinstance(made, Annotation):
            annotations.append(made)
        else:
            findings.append(Finding(made[0], path, f"{place}: {made[1]}"))
    return annotations, None


def _annotation(place: str, cells: list[str], number: dict[str, int]) -> Annotation | tuple[Code, str]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return "broken_line", f"{' '.join(cells)[:40]!r} holds something else than numbers"
    label = number.get(str(whole(values[0])))
    if label is None:
        return "unknown_class", f"class {cells[0]} is none of the names"
    if len(values) == 5:
        _, x, y, width, height = values
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Annotation(place, label, box, relative=True)
    if len(values) < 5 or len(values) % 2 == 0:
        return "broken_line", f"{len(values)} values, expected class cx cy w h, or class and x y of each corner"
    return Annotation(place, label, outline=[values[1:]], relative=True)
