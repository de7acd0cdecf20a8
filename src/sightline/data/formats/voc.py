"""Pascal VOC: one XML file per image, lists of ImageSets/Main as splits.

Coordinates are read as the VOC development kit does (VOCevaldet.m counts `xmax - xmin + 1` pixels): from 1, and the
last pixel is included. A box from `xmin` to `xmax` therefore covers x from `xmin - 1` to `xmax` here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from sightline.data.annotations import Annotation, Size
from sightline.data.findings import Finding
from sightline.data.formats.annotated import Annotated, AnnotatedSource
from sightline.data.formats.source import is_image, refuse, require_root, visible_files
from sightline.errors import UserError
from sightline.structures import LabelMap, SplitName

XML, IMAGES, LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class _File:
    """What an XML file says: class names with annotations, whose labels are not known before all files are read."""

    objects: list[tuple[str, Annotation]]
    size: Size | None = None
    problem: str | None = None


def open_voc(root: Path) -> AnnotatedSource:
    """Return the images of JPEGImages, those in the lists where there are some; classes are in alphabetical order.

    Raises:
        UserError: folders are missing, the lists contradict each other, or nothing is labelled.
    """
    require_root(root)
    for folder in (XML, IMAGES):
        if not (root / folder).is_dir():
            raise UserError(f"{root}: no folder {folder}; a VOC data set has {XML}/ and {IMAGES}/")
    images = _by_stem([path for path in visible_files(root / IMAGES) if is_image(path)])
    files = _by_stem([path for path in visible_files(root / XML) if path.endswith(".xml")])
    findings = [
        Finding("unused_file", f"{XML}/{files[name]}", f"there is no image {IMAGES}/{name}")
        for name in sorted(files.keys() - images.keys())
    ]
    splits = _splits(root, images, findings)
    chosen = {name: path for name, path in images.items() if name in splits or not splits}
    read = {name: _read(root, files.get(name), f"{IMAGES}/{chosen[name]}", findings) for name in sorted(chosen)}
    classes = tuple(sorted({kind for file in read.values() for kind, _ in file.objects}))
    if not classes:
        raise UserError(f"{root / XML}: no labelled objects; label some, or correct `root` in params.yaml")
    number = {name: label for label, name in enumerate(classes)}
    entries = [
        Annotated(
            f"{IMAGES}/{chosen[name]}",
            [replace(annotation, label=number[kind]) for kind, annotation in file.objects],
            splits.get(name),
            file.size,
            file.problem,
        )
        for name, file in read.items()
    ]
    unlisted = [f"{IMAGES}/{images[name]}" for name in images.keys() - chosen.keys()]
    return AnnotatedSource(root, LabelMap(classes, classes), entries, findings, unlisted)


def _by_stem(paths: Sequence[str]) -> dict[str, str]:
    return {PurePosixPath(path).with_suffix("").as_posix(): path for path in paths}


def _splits(root: Path, images: dict[str, str], findings: list[Finding]) -> dict[str, SplitName]:
    """Return the split of each listed name; trainval counts as train where there is no train list."""
    lists = {path.stem: path for path in sorted((root / LISTS).glob("*.txt"))}
    chosen: dict[SplitName, str] = {"train": "train" if "train" in lists else "trainval", "val": "val", "test": "test"}
    splits: dict[str, SplitName] = {}
    mistakes = []
    for split, stem in chosen.items():
        lines = lists[stem].read_text(encoding="utf-8-sig").splitlines() if stem in lists else []
        for number, name in enumerate(map(str.strip, lines), 1):
            if name and name not in images:
                told = f"{LISTS}/{stem}.txt: line {number}: there is no such image"
                findings.append(Finding("unreadable", f"{IMAGES}/{name}", told))
            elif name and splits.setdefault(name, split) != split:
                told = f"is in {chosen[splits[name]]}.txt too; keep it in one of the two"
                mistakes.append(f"{lists[stem]}: line {number}: {name!r}: {told}")
    refuse(root / LISTS, mistakes)
    return splits


def _read(root: Path, file: str | None, image: str, findings: list[Finding]) -> _File:
    if file is None:
        return _File([])
    try:
        tree = ElementTree.parse(root / XML / file).getroot()
    except (ElementTree.ParseError, OSError, UnicodeDecodeError, LookupError) as error:
        return _File([], problem=f"{XML}/{file}: not XML: {error}")
    objects = []
    for number, element in enumerate(tree.iterfind("object"), 1):
        place = f"{XML}/{file}: object {number}"
        name = (element.findtext("name") or "").strip()
        box = [_number(element.findtext(f"bndbox/{side}")) for side in _SIDES]
        left, top, right, bottom = box
        if not name:
            findings.append(Finding("unknown_class", image, f"{place}: name is empty"))
        elif left is None or top is None or right is None or bottom is None:
            missing = ", ".join(side for side, value in zip(_SIDES, box, strict=True) if value is None)
            findings.append(Finding("broken_line", image, f"{place}: bndbox: {missing} is not a number"))
        else:
            difficult = _number(element.findtext("difficult")) == 1
            objects.append((name, Annotation(place, -1, (left - 1, top - 1, right, bottom), difficult=difficult)))
    height, width = (_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    return _File(objects, (int(height), int(width)) if height and width else None)  # some tools write zeros


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
