"""Images that an annotation file lists by name, as COCO's and VIA's do: found, joined where they are listed twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from pycocotools import mask as coco_masks

from sightline.data.raw.annotations import Annotation, Size
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import Annotated
from sightline.data.raw.formats.pairing import Places
from sightline.data.raw.formats.source import is_image, visible_files
from sightline.data.structures import FLOAT32, SplitName

_SAME_OBJECT = 0.5  # overlap (intersection over union) from which two annotators mean the same object


@dataclass
class Listing:
    """One entry of an annotation file.

    Attributes:
        path: below the root, /-separated; of a file that may be missing.
        name: as the file calls it.
        size: height and width that the annotations were made for, if they say so.
        annotations: to be filled by the reader of the format.
    """

    path: str
    name: str
    split: SplitName | None
    size: Size | None
    annotations: list[Annotation] = field(default_factory=list)


class ListedImages:
    """All that the annotation files of a data set list.

    Attributes:
        findings: of names that are not those of the files, and of images that are listed twice.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[Finding] = []
        self._folders: dict[str, tuple[list[str], Places]] = {}
        self._listings: dict[str, list[Listing]] = {}

    def add(self, folder: str, split: SplitName | None, name: Any, size: Size | None = None) -> Listing | str:
        """Return the entry of an image, or what is wrong with its name.

        A name that was written on another machine (absolute, a URL, with backslashes, in other case, with the folder
        before it) is found by what is left of it below `folder`.
        """
        if not isinstance(name, str) or not name.strip():
            return "is not the name of an image file"
        wanted = unquote(urlsplit(name).path) if "://" in name else name.replace("\\", "/")
        found = self._places(folder).find(wanted)
        if found is None and (PurePosixPath(wanted).is_absolute() or ".." in PurePosixPath(wanted).parts):
            return "is outside the folder of the images; give a path below it"
        path = f"{_prefix(folder)}{found}" if found else PurePosixPath(folder, wanted).as_posix()
        others = self._listings.setdefault(path, [])
        if others and others[0].split != split:
            return "is listed twice; list an image once, in one split"
        if others and others[0].name != name:
            return f"is the same file as {others[0].name!r} ({path}); keep one of them"
        if found is not None and found != name and not others:
            self.findings.append(Finding("other_name", path, f"its annotation file calls it {name}"))
        others.append(Listing(path, name, split, size))
        return others[-1]

    def _places(self, folder: str) -> Places:
        if folder not in self._folders:
            there = (self.root / folder).is_dir()
            images = [path for path in visible_files(self.root / folder) if is_image(path)] if there else []
            self._folders[folder] = (images, Places(images))
        return self._folders[folder][1]

    def unused(self) -> list[str]:
        """Return the images in the folders that no annotation file names."""
        paths = {
            prefix + path
            for prefix, images in ((_prefix(one), own) for one, (own, _) in self._folders.items())
            for path in images
        }
        return sorted(paths - self._listings.keys())

    def missing_of(self, file: str, listings: Sequence[Listing]) -> list[Finding]:
        """Return a finding where an annotation file lists images of which none is there."""
        if not listings or any((self.root / listing.path).is_file() for listing in listings):
            return []
        told = f"none of its {len(listings)} images exists, e.g. {listings[0].path}"
        return [Finding("unused_file", file, told)]

    def entries(self, labels: dict[int, int]) -> Iterator[Annotated]:
        """Yield each image once; `labels` gives the class of what the annotations have as their label."""
        for path, listings in self._listings.items():
            problem = _contradiction(listings) if len(listings) > 1 else None
            if len(listings) > 1 and problem is None:
                self.findings.append(Finding("joined", path, f"is listed {len(listings)} times"))
            yield Annotated(
                path,
                [one.labelled(labels[one.label]) for listing in listings for one in listing.annotations],
                listings[0].split,
                next((listing.size for listing in listings if listing.size), None),
                problem,
                "conflict",
            )


@cache
def _prefix(folder: str) -> str:
    """Return what comes before a path in a folder; made once, as a path object per image takes long."""
    return PurePosixPath(folder, "_").as_posix()[:-1]


def _contradiction(listings: Sequence[Listing]) -> str | None:
    """Return what keeps several entries of an image from being joined."""
    sizes = {listing.size for listing in listings if listing.size}
    if len(sizes) > 1:
        told = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        return f"is listed {len(listings)} times, as {told}"
    for first, second in combinations(listings, 2):
        for one, another in _pairs(first.annotations, second.annotations):
            if replace(one, place="") != replace(another, place=""):
                return f"is listed {len(listings)} times; {one.place} and {another.place} are the same object"
    return None


def _pairs(first: Sequence[Annotation], second: Sequence[Annotation]) -> Iterator[tuple[Annotation, Annotation]]:
    """Yield the annotations that overlap as drawings of the same object do."""
    one, another = ([(each, box) for each in own if (box := _extent(each)) is not None] for own in (first, second))
    if one and another:
        boxes = (np.array([box for _, box in own], np.float64) for own in (one, another))
        overlaps = np.asarray(coco_masks.iou(*boxes, np.zeros(len(another), np.uint8)))
        for row, column in np.argwhere(overlaps >= _SAME_OBJECT).tolist():
            yield one[row][0], another[column][0]


def _extent(annotation: Annotation) -> FLOAT32 | None:
    """Return left, top, width and height of what is drawn, None if that is not known."""
    if annotation.box is not None:
        corners = np.asarray(annotation.box, np.float32)
    elif isinstance(annotation.outline, list) and annotation.outline:
        points = np.array([value for polygon in annotation.outline for value in polygon], np.float32)
        points = points[: len(points) // 2 * 2].reshape(-1, 2)
        corners = np.concatenate([points.min(0), points.max(0)])
    else:
        return None
    extent: FLOAT32 = np.concatenate([corners[:2], corners[2:] - corners[:2]])
    return extent if np.isfinite(extent).all() and (extent[2:] > 0).all() else None
