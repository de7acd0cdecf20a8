"""What formats with drawn annotations share: files per split, JSON that may be broken, samples made as asked for."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.data.encoding import upright_size
from sightline.data.raw.annotations import Annotation, Size, assemble, map_names
from sightline.data.raw.findings import Code, Finding
from sightline.data.raw.formats.source import FolderSource, Unreadable, read_image
from sightline.data.raw.outlines import has_area
from sightline.data.structures import LabelMap, Sample, SplitName

PerSplit = str | Mapping[SplitName, str]


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image file and what is said of it.

    Attributes:
        path: below the root, /-separated.
        annotations: not checked yet.
        size: height and width that the annotations were made for, if they say so.
        problem: what makes its annotation file unusable, if anything.
        code: of what kind that problem is.
    """

    path: str
    annotations: Sequence[Annotation]
    split: SplitName | None = None
    size: Size | None = None
    problem: str | None = None
    code: Code = "broken_file"


class AnnotatedSource(FolderSource):
    """Images with boxes, outlines or key points, in the order of their paths.

    Args:
        root: folder of the raw files.
        labels: the classes.
        entries: the images.
        findings: what was found on reading; those of an annotation that was left out name its image as their source.
        ignored: images that no annotation file names.
        oriented: whether boxes are oriented, as `corners`.
    """

    def __init__(
        self,
        root: Path,
        labels: LabelMap,
        entries: Iterable[Annotated],
        findings: Sequence[Finding] = (),
        ignored: Sequence[str] = (),
        oriented: bool = False,
    ) -> None:
        self.oriented = oriented
        self.root, self.findings, self.ignored = root, findings, sorted(ignored)
        self.entries = sorted(entries, key=lambda entry: entry.path)
        self.dropped = Counter(finding.source for finding in findings if finding.fate == "annotation")
        outlines = (one.outline for entry in self.entries for one in entry.annotations if one.outline is not None)
        self.masks = any(map(has_area, outlines))
        self.labels = replace(labels, semantic=map_names(labels.classes)) if self.masks else labels

    def __len__(self) -> int:
        return len(self.entries)

    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""
        return self.entries[index].path

    def sample(self, index: int) -> Sample:
        """Return one sample with the annotations that hold."""
        return self.examined(index)[0]

    def examined(self, index: int) -> tuple[Sample, list[Finding]]:
        """Return one sample with what was found in its annotations."""
        entry = self.entries[index]
        image = read_image(self.root, entry.path)
        if entry.problem is not None:
            raise Unreadable(entry.path, entry.problem, entry.code)
        size = upright_size(image)
        if size is None:
            return Sample(entry.path, image, split=entry.split), []  # the checks of images say what is wrong
        if entry.size not in (None, size):
            raise Unreadable(
                entry.path, f"annotated as {_told(entry.size)}, but the image is {_told(size)}", "size_differs"
            )
        annotations = self.annotations(entry, size)
        sample, findings = assemble(
            entry.path,
            image,
            entry.split,
            annotations,
            size,
            masks=self.masks,
            semantic=bool(self.labels.semantic),
            keypoints=len(self.labels.keypoints),
            oriented=self.oriented,
        )
        given = len(annotations) + self.dropped[entry.path]
        if given and not sample.box_labels:  # else wrong coordinates or class names would teach background
            told = "its annotation" if given == 1 else f"all {given} annotations"
            findings.append(Finding("all_dropped", entry.path, f"{told} rejected"))
        if not given:
            findings.append(Finding("unannotated", entry.path, "has no annotations"))
        return sample, findings

    def annotations(self, entry: Annotated, size: Size) -> Sequence[Annotation]:
        """Return the annotations of an image of this height and width."""
        return entry.annotations


def _told(size: Size | None) -> str:
    return f"{size[1]} x {size[0]}" if size else "nothing"


def parts_of(first: PerSplit, second: PerSplit) -> list[tuple[SplitName | None, str, str]]:
    """Return split, first and second path of each part; one path without splits stands for all."""
    if isinstance(first, str):
        return [(None, first, second)] if isinstance(second, str) else []
    return [(split, path, second if isinstance(second, str) else second[split]) for split, path in first.items()]


def whole(value: Any) -> int | None:
    """Return a whole number, also one written as 3.0, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def class_name(text: str) -> str:
    """Return a name as it is compared: no blanks around it, single ones within, letters with accents composed."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def similar_names(classes: Sequence[str]) -> list[Finding]:
    """Return a finding for names that differ in nothing but upper and lower case."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[name.casefold()].append(name)
    return [
        Finding(
            "similar_names", f"class {names[0]}", f"differs from {', '.join(names[1:])} only in upper and lower case"
        )
        for names in alike.values()
        if len(names) > 1
    ]


def mirrored(keypoints: Sequence[str]) -> tuple[int, ...]:
    """Return the number of each key point's mirror image by the words left and right in the names.

    Empty where no name has them or a partner is missing, as then nothing is known.
    """
    place = {name.lower(): number for number, name in enumerate(keypoints)}
    partners = [place.get(_swapped(name.lower())) for name in keypoints]
    if None in partners or all(number == partner for number, partner in enumerate(partners)):
        return ()
    return tuple(partner for partner in partners if partner is not None)


def _swapped(name: str) -> str:
    other = {"left": "right", "right": "left"}
    return re.sub("left|right", lambda found: other[found.group()], name)
