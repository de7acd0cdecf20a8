"""COCO's JSON (https://cocodataset.org/#format-data): boxes, polygons, run lengths, crowds, key points."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import AnnotatedSource, PerSplit, parts_of, whole
from sightline.data.raw.formats.coco_annotation import annotation_of
from sightline.data.raw.formats.coco_categories import Categories
from sightline.data.raw.formats.coco_columns import read_columns
from sightline.data.raw.formats.json_values import foreign, identity, read_json_object
from sightline.data.raw.formats.listed_images import ListedImages, Listing
from sightline.data.raw.formats.source import refuse, require_root
from sightline.data.structures import SplitName
from sightline.system.errors import UserError
from sightline.system.garbage import uncollected


@uncollected()
def open_coco(
    root: Path, annotations: PerSplit, images: PerSplit, classes: Collection[str] = (), crowds: bool = True
) -> AnnotatedSource:
    """Return the images that the annotation files list; classes are in the order of their ids.

    Args:
        root: folder of the raw files.
        annotations: the JSON file, or one per split.
        images: the folder of the images, or one per split.
        classes: names of categories that stay even where no annotation has them.
        crowds: whether `iscrowd` is believed; False takes all for single objects.

    Raises:
        UserError: a file is not a COCO file, or files contradict each other.
    """
    require_root(root)
    listed, categories, findings = ListedImages(root), Categories(), list[Finding]()
    for split, file, folder in parts_of(annotations, images):
        values = read_json_object(root / file, "annotations", root)
        own = categories.add(root / file, _section(root / file, values, "categories"))
        by_id = _read_images(root, file, folder, split, values, listed)
        findings += listed.missing_of(file, list(by_id.values()))
        annotations_of = _section(root / file, values, "annotations")
        if read_columns(file, annotations_of, by_id, own, categories, crowds):
            continue
        for number, annotation in enumerate(annotations_of):
            place = f"{file}: annotation {annotation.get('id', f'number {number}')}"
            findings += _read_annotation(file, place, annotation, by_id, own, categories, crowds)
    labels, numbered, told = categories.label_map(classes)
    entries = list(listed.entries(numbered))
    return AnnotatedSource(root, labels, entries, [*findings, *told, *listed.findings], listed.unused())


def _section(path: Path, values: dict[str, Any], name: str) -> list[dict[str, Any]]:
    section = values.get(name)
    if not isinstance(section, list) or not all(isinstance(one, dict) for one in section):
        other = foreign(values)
        if other is not None:
            raise UserError(f"{path}: is {other}")
        got = "missing" if section is None else "not a list of mappings"
        raise UserError(f"{path}: {name}: {got}; a COCO file has the lists images, annotations and categories")
    return section


def _read_images(
    root: Path, file: str, folder: str, split: SplitName | None, values: dict[str, Any], listed: ListedImages
) -> dict[int | str | None, Listing]:
    """Return the images of a file by their ids.

    Raises:
        UserError: ids are missing or come twice, or a name cannot be used.
    """
    by_id: dict[int | str | None, Listing] = {}
    mistakes = []
    path = root / file
    for number, image in enumerate(_section(path, values, "images")):
        name = image.get("file_name")
        own, (height, width) = identity(image.get("id")), (whole(image.get(side)) for side in ("height", "width"))
        if own is None or own in by_id:
            problem = (
                "is not a number or a name; correct it"
                if own is None
                else "occurs twice; give each image a different one"
            )
            mistakes.append(f"{path}: images: entry {number}: id {image.get('id')!r}: {problem}")
            continue
        listing = listed.add(folder, split, name, (height, width) if height and width else None)
        if isinstance(listing, str):
            mistakes.append(f"{path}: images: entry {number}: file_name {name!r}: {listing}")
        else:
            by_id[own] = listing
    refuse(path, mistakes)
    return by_id


def _read_annotation(
    file: str,
    place: str,
    values: dict[str, Any],
    by_id: dict[int | str | None, Listing],
    known: Collection[int | str | None],
    categories: Categories,
    crowds: bool,
) -> list[Finding]:
    """Put an annotation to its image, or return what is wrong with it."""
    listing = by_id.get(identity(values.get("image_id")))
    if listing is None:
        return [Finding("orphan", file, f"{place}: image_id {values.get('image_id')!r} is not the id of an image")]
    category = identity(values.get("category_id"))
    if not isinstance(category, int) or category not in known:
        told = f"category_id {values.get('category_id')!r} is not one of the categories"
        return [Finding("unknown_class", listing.path, f"{place}: {told}")]
    categories.used.add(category)
    made = annotation_of(place, category, values, crowds)
    if not isinstance(made, Annotation):
        return [Finding(made[0], listing.path, f"{place}: {made[1]}")]
    listing.annotations.append(made)
    if made.points and len(made.points) % 3 == 0:
        categories.points[len(made.points)] += 1
    return []
