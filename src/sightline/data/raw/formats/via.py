"""The VGG Image Annotator's JSON, versions 1 and 2 (https://www.robots.ox.ac.uk/~vgg/software/via)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.formats.annotated import AnnotatedSource, PerSplit, parts_of
from sightline.data.raw.formats.json_values import flag, numbers, read_json_object
from sightline.data.raw.formats.listed_images import ListedImages, Listing
from sightline.data.raw.formats.source import refuse, require_root
from sightline.data.raw.formats.table_labels import sorted_classes
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError

_CORNERS = 64  # of the polygon that stands for a circle or an ellipse


def open_via(
    root: Path, annotations: PerSplit, images: PerSplit, attribute: str | None, class_name: str
) -> AnnotatedSource:
    """Return the images that the annotation files list; classes are in alphabetical order.

    Args:
        root: folder of the raw files.
        annotations: the JSON file, or one per split.
        images: the folder of the images, or one per split.
        attribute: the region attribute that holds the class, None if all regions are of one class.
        class_name: that one class.

    Raises:
        UserError: a file is not VIA's, lists an image twice, or no region has a class.
    """
    require_root(root)
    listed, kinds, findings = ListedImages(root), dict[str, int](), list[Finding]()
    for split, file, folder in parts_of(annotations, images):
        mistakes, own = [], list[Listing]()
        for key, entry in _files(root, file).items():
            name = entry.get("filename") if isinstance(entry, dict) else None
            listing = listed.add(folder, split, name)
            if isinstance(listing, str):
                mistakes.append(f"{root / file}: entry {key!r}: filename {name!r}: {listing}")
                continue
            own.append(listing)
            findings += _read_regions(file, listing, entry, attribute, class_name, kinds)
        refuse(root / file, mistakes)
        findings += listed.missing_of(file, own)
    classes = sorted_classes(kinds)
    if not classes:
        wanted = f"the attribute {attribute!r}" if attribute else "an outline"
        raise UserError(f"{root}: no region has {wanted}; correct `attribute` or `annotations` in params.yaml")
    entries = list(listed.entries({number: classes.index(kind) for kind, number in kinds.items()}))
    return AnnotatedSource(root, LabelMap(classes, classes), entries, [*findings, *listed.findings], listed.unused())


def _files(root: Path, file: str) -> dict[str, Any]:
    values = read_json_object(root / file, "annotations", root)
    files = values.get("_via_img_metadata", values)  # a whole project, or its annotations alone
    if not isinstance(files, dict) or not files:
        raise UserError(f"{root / file}: lists no image; export the annotations as JSON")
    if "images" in values and "annotations" in values:
        raise UserError(f"{root / file}: is a COCO file; set `format: coco`")
    return files


def _read_regions(
    file: str, listing: Listing, entry: dict[str, Any], attribute: str | None, class_name: str, kinds: dict[str, int]
) -> list[Finding]:
    """Put the regions to their image, the number of their kind as label, and return what is wrong with others."""
    given = entry.get("regions") or []
    listed = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else [given]
    findings = []
    for count, region in enumerate(listed):
        place = f"{file}: {entry['filename']}: region {count}"
        made = _region(place, region, attribute, class_name)
        if isinstance(made[1], Annotation):
            listing.annotations.append(replace(made[1], label=kinds.setdefault(made[0], len(kinds))))
        else:
            findings.append(Finding(made[0], listing.path, f"{place}: {made[1]}"))
    return findings


def _region(
    place: str, region: Any, attribute: str | None, class_name: str
) -> tuple[str, Annotation] | tuple[Code, str]:
    """Return class name and annotation of a region, or what is wrong with it."""
    shape = region.get("shape_attributes") if isinstance(region, dict) else None
    if not isinstance(shape, dict):
        return "broken_line", "has no shape_attributes"
    name = class_name if attribute is None else _class(region.get("region_attributes"), attribute)
    if name is None:
        return "unknown_class", f"region_attributes: {attribute!r} is not a single name"
    outline = _outline(shape)
    if outline is None:
        return "bad_mask", f"shape_attributes: {shape.get('name')!r} is not an outline, or its numbers are missing"
    return name, Annotation(place, -1, outline=[outline])


def _class(attributes: Any, attribute: str) -> str | None:
    """Return the class: a text, or the one box that is ticked."""
    value = attributes.get(attribute) if isinstance(attributes, dict) else None
    if isinstance(value, dict):
        ticked = [name for name, on in value.items() if flag(on)]
        return ticked[0] if len(ticked) == 1 else None
    return value.strip() or None if isinstance(value, str) else None


def _outline(shape: dict[str, Any]) -> list[float] | None:
    """Return x, y, x, y, ... of a shape, None if it has no area or its numbers are missing."""

    def given(*names: str) -> list[float] | None:
        return numbers([shape.get(name) for name in names])

    match shape.get("name"):
        case "polygon" | "polyline":
            columns, rows = numbers(shape.get("all_points_x")), numbers(shape.get("all_points_y"))
            if columns is None or rows is None or len(columns) != len(rows):
                return None
            return [value for pair in zip(columns, rows, strict=True) for value in pair]
        case "rect":
            box = given("x", "y", "width", "height")
            return None if box is None else _rectangle(*box)
        case "circle":
            circle = given("cx", "cy", "r")
            return None if circle is None else _ellipse(*circle, circle[2], 0.0)
        case "ellipse":
            ellipse, turn = given("cx", "cy", "rx", "ry"), given("theta") or [0.0]
            return None if ellipse is None else _ellipse(*ellipse, *turn)
        case _:
            return None


def _rectangle(*given: float) -> list[float]:
    x, y, width, height = given
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _ellipse(*given: float) -> list[float]:
    x, y, across, down, turn = given
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    flat = np.stack([across * np.cos(angles), down * np.sin(angles)], axis=1)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners: list[float] = (flat @ rotation + (x, y)).ravel().tolist()
    return corners
