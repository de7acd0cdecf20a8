"""COCO's JSON (https://cocodataset.org/#format-data): boxes, polygons, run lengths, crowds, key points."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.data.annotations import Annotation
from sightline.data.findings import Code, Finding
from sightline.data.formats.annotated import (
    Annotated,
    AnnotatedSource,
    PerSplit,
    mirrored,
    numbers,
    parts_of,
    problem_of_path,
    read_json_object,
    unused_file,
    unused_images,
    whole,
)
from sightline.data.formats.source import refuse, require_root
from sightline.errors import UserError
from sightline.structures import LabelMap, SplitName


@dataclass
class _Read:
    """What the files have said so far."""

    images: dict[str, tuple[SplitName | None, tuple[int, int] | None]] = field(default_factory=dict)
    annotations: dict[str, list[Annotation]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    categories: list[dict[str, Any]] | None = None


def open_coco(root: Path, annotations: PerSplit, images: PerSplit) -> AnnotatedSource:
    """Return the images that the annotation files list; classes are in the order of their ids.

    Raises:
        UserError: a file is no COCO file, or files contradict each other.
    """
    require_root(root)
    read = _Read()
    labels = LabelMap((), ())
    folders = []
    for split, file, folder in parts_of(annotations, images):
        values = read_json_object(root / file, "annotations")
        labels = _labels(root / file, values, read)
        _read_part(root, file, folder, split, values, read)
        folders.append(folder)
    entries = [Annotated(path, read.annotations[path], split, size) for path, (split, size) in read.images.items()]
    return AnnotatedSource(root, labels, entries, read.findings, unused_images(root, folders, read.images))


def _section(path: Path, values: dict[str, Any], name: str) -> list[dict[str, Any]]:
    section = values.get(name)
    if not isinstance(section, list) or not all(isinstance(one, dict) for one in section):
        got = "missing" if section is None else "not a list of mappings"
        raise UserError(f"{path}: {name}: {got}; a COCO file has the lists images, annotations and categories")
    return section


def _labels(path: Path, values: dict[str, Any], read: _Read) -> LabelMap:
    """Return the label map of a file, which must be that of the files before."""
    categories = _section(path, values, "categories")
    mistakes = [
        f"{path}: categories: entry {number}: needs a whole number id and a name, got {category.get('id')!r} and "
        f"{category.get('name')!r}; correct it"
        for number, category in enumerate(categories)
        if whole(category.get("id")) is None or not isinstance(category.get("name"), str)
    ]
    refuse(path, mistakes)
    categories = [category | {"id": int(category["id"])} for category in categories]
    ordered = sorted(categories, key=lambda category: category["id"])
    for what in ("id", "name"):
        given = [category[what] for category in ordered]
        repeated = next((value for value in given if given.count(value) > 1), None)
        if repeated is not None:
            raise UserError(f"{path}: categories: {what} {repeated!r} comes twice; give each class its own")
    if not ordered:
        raise UserError(f"{path}: categories: is empty; name the classes")
    names = [(category["id"], category["name"]) for category in ordered]
    if read.categories is not None and names != [(one["id"], one["name"]) for one in read.categories]:
        raise UserError(f"{path}: categories: not those of the other annotation files; use the same in each")
    read.categories = ordered
    keypoints = _keypoints(path, ordered)
    classes = tuple(name for _, name in names)
    return LabelMap(classes, tuple(str(number) for number, _ in names), (), keypoints, mirrored(keypoints))


def _keypoints(path: Path, categories: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of the key points, which one category, or all that have some, must agree on."""
    named = {category["name"]: category["keypoints"] for category in categories if category.get("keypoints")}
    for name, points in named.items():
        if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
            raise UserError(f"{path}: categories: keypoints of {name!r}: not a list of names; correct it")
        if len(set(points)) < len(points):
            raise UserError(f"{path}: categories: keypoints of {name!r}: a name comes twice; give each its own")
    different = {tuple(points): name for name, points in named.items()}
    if len(different) > 1:
        told = ", ".join(repr(name) for name in different.values())
        raise UserError(f"{path}: categories: the key points of {told} differ; make a file for each of them")
    return next(iter(different), ())


def _read_part(
    root: Path, file: str, folder: str, split: SplitName | None, values: dict[str, Any], read: _Read
) -> None:
    by_id: dict[int | None, str] = {}
    mistakes = []
    for number, image in enumerate(_section(root / file, values, "images")):
        name, told = image.get("file_name"), f"{root / file}: images: entry {number}"
        problem = problem_of_path(name)
        if problem is not None:
            mistakes.append(f"{told}: file_name {name!r}: {problem}")
            continue
        path, own = PurePosixPath(folder, str(name)).as_posix(), whole(image.get("id"))
        if own is None or own in by_id:
            problem = "is not a whole number; correct it" if own is None else "comes twice; give each image its own"
            mistakes.append(f"{told}: id {image.get('id')!r}: {problem}")
        elif path in read.images:
            mistakes.append(f"{told}: file_name {name!r}: is listed twice; list an image once, in one split")
        else:
            by_id[own] = path
            height, width = whole(image.get("height")), whole(image.get("width"))
            read.images[path] = (split, (height, width) if height and width else None)
            read.annotations[path] = []
    refuse(root / file, mistakes)
    read.findings += unused_file(root, file, list(by_id.values()))
    numbered: dict[int | None, int] = {
        int(category["id"]): label for label, category in enumerate(read.categories or [])
    }
    for number, annotation in enumerate(_section(root / file, values, "annotations")):
        place = f"{file}: annotation {annotation.get('id', f'at place {number}')}"
        path = by_id.get(whole(annotation.get("image_id")), "")
        if not path:
            wrong = f"image_id {annotation.get('image_id')!r} is no image's id"
            read.findings.append(Finding("orphan", file, f"{place}: {wrong}"))
            continue
        made = _annotation(place, annotation, numbered)
        if isinstance(made, Annotation):
            read.annotations[path].append(made)
        else:
            read.findings.append(Finding(made[0], path, f"{place}: {made[1]}"))


def _annotation(place: str, values: dict[str, Any], numbered: dict[int | None, int]) -> Annotation | tuple[Code, str]:
    """Return an annotation with values of the right types, or what is wrong with it."""
    category, box, outline = whole(values.get("category_id")), values.get("bbox"), values.get("segmentation")
    if category not in numbered:
        return "unknown_class", f"category_id {values.get('category_id')!r} is none of the categories"
    corners = numbers(box)
    if box and (corners is None or len(corners) != 4):
        return "broken_line", f"bbox {box!r} is not left, top, width, height"
    if outline and not isinstance(outline, dict) and not (isinstance(outline, list) and isinstance(outline[0], list)):
        return "bad_mask", "segmentation is neither a list of polygons nor run lengths"
    points = numbers(values.get("keypoints") or [])
    if points is None:
        return "bad_keypoints", "keypoints is not a list of numbers"
    area = numbers([values.get("area")])
    return Annotation(
        place,
        numbered[category],
        (corners[0], corners[1], corners[0] + corners[2], corners[1] + corners[3]) if corners else None,
        outline or None,
        points,
        area[0] if area else None,
        iscrowd=bool(values.get("iscrowd")),
        difficult=bool(values.get("ignore")),
    )
