"""A raw root with batches: the first files, and what was added to them since, read as one data set.

A batch is a folder in the format of the data set, `.batches/NAME` below the root, next to which `.batch.json` lists the
samples that were accepted. Formats read no hidden folders, so the first files are read as before. The classes are those
of the first files: a batch adds samples, never classes, so no class id changes when data grows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from sightline.data.raw.annotations import map_names
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import AnnotatedSource
from sightline.data.raw.formats.source import FileSource, FolderSource, Source, Unreadable, name_of
from sightline.data.structures import IGNORED, UINT8, LabelMap, Sample
from sightline.system.errors import UserError, first_line
from sightline.system.files import read_json, write_json

BATCHES = ".batches"
_MANIFEST = ".batch.json"


@dataclass(frozen=True)
class Manifest:
    """What was accepted of a batch.

    Attributes:
        number: batches are read in the order of their numbers, the oldest first.
        samples: sha256 of the encoded bytes of each accepted image, by its path in the batch.
        quarantined: samples that were left out.
    """

    number: int
    samples: dict[str, str]
    quarantined: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what was accepted of the batch in `folder`."""
    values = {"number": manifest.number, "samples": manifest.samples, "quarantined": manifest.quarantined}
    write_json(folder / _MANIFEST, values)


def read_manifest(folder: Path) -> Manifest:
    """Return what was accepted of the batch in `folder`.

    Raises:
        UserError: it is missing or damaged.
    """
    file = folder / _MANIFEST
    try:
        return Manifest(**read_json(file))
    except (OSError, ValueError, TypeError) as error:
        problem = first_line(error)
        raise UserError(f"{file}: damaged ({problem}); restore it with `dvc checkout`, or remove it") from None


def batch_folders(root: Path) -> dict[Path, Manifest]:
    """Return the batches below a raw root, the oldest first.

    Raises:
        UserError: a batch is damaged.
    """
    folders = (path for path in (root / BATCHES).glob("*") if path.is_dir() and not path.name.startswith("."))
    found = {folder: read_manifest(folder) for folder in folders}
    return dict(sorted(found.items(), key=lambda pair: (pair[1].number, pair[0].name)))


def is_batch(folder: Path) -> bool:
    """Return whether a folder holds a batch, or one in the making, rather than the first files of a data set."""
    return folder.parent.name == BATCHES


def with_batches(first: Source, root: Path, opened: Callable[[Path], Source]) -> Source:
    """Return the samples of the first files and of all batches; `opened` reads a folder in the data set's format.

    Raises:
        UserError: a batch cannot be read.
    """
    parts: list[Source] = [first]
    for folder, manifest in batch_folders(root).items():
        parts.append(AddedBatch(opened(folder), first, folder.name, manifest.samples))
    return parts[0] if len(parts) == 1 else JoinedSource(parts)


class JoinedSource(Source):
    """Several sources of the same classes, one after the other."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts, self.labels = parts, parts[0].labels
        self.ignored = [path for part in parts for path in part.ignored]
        self.findings = [finding for part in parts for finding in part.findings]
        known = [part.sample_labels for part in parts]
        labels = [label for own in known if own is not None for label in own]
        self.sample_labels = None if None in known else labels
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, index: int) -> Sample:
        """Return one sample."""
        part, place = self._place(index)
        return part.sample(place)

    def examined(self, index: int) -> tuple[Sample, list[Finding]]:
        """Return one sample with what was found in its annotations."""
        part, place = self._place(index)
        return part.examined(place)

    def stored_bytes(self, index: int) -> int | None:
        """Return how many bytes the image of a sample has, where that is known unread."""
        part, place = self._place(index)
        return part.stored_bytes(place)

    def _place(self, index: int) -> tuple[Source, int]:
        number = bisect_right(self._ends, index)
        return self.parts[number], index - (self._ends[number - 1] if number else 0)


class AddedBatch(Source):
    """The samples of a batch, with the class ids of the data set that it is added to.

    Args:
        source: the files of the batch.
        first: the first files of the data set.
        name: of the batch, which becomes part of the samples' paths; "" for files that are no batch yet.
        accepted: paths of the samples to be taken, None for all.

    Raises:
        UserError: the batch cannot be added to this data set.
    """

    def __init__(self, source: Source, first: Source, name: str, accepted: Mapping[str, str] | None) -> None:
        if not isinstance(source, FolderSource) or not isinstance(first, FolderSource):
            raise UserError(f"{name or 'the files'}: batches are image files, which this format does not have")
        if isinstance(source, AnnotatedSource) and isinstance(first, AnnotatedSource):
            source.masks = first.masks  # a batch without any outline still has (empty) masks
            names = map_names(source.labels.classes) if first.masks else ()
            source.labels = replace(source.labels, semantic=names)
        self.source, self.labels, self.name = source, first.labels, name
        self.numbers = _renumbering(source.labels, first)
        self.several = _several(source, first)
        self.changed = self.numbers != list(range(len(self.numbers)))
        paths = [source.path(index) for index in range(len(source))]
        self.indices = [index for index, path in enumerate(paths) if accepted is None or path in accepted]
        self.ignored = source.ignored if accepted is None else []
        told = source.findings if accepted is None else [one for one in source.findings if one.source in accepted]
        self.findings = [self._placed(finding) for finding in told]
        self.sample_labels = None
        if source.sample_labels is not None:
            self.sample_labels = [self.numbers[source.sample_labels[index]] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def path(self, index: int) -> str:
        """Return the path of an image below the batch's folder."""
        return self.source.path(self.indices[index])

    def stored_bytes(self, index: int) -> int | None:
        """Return how many bytes the image of a sample has, where that is known unread."""
        return self.source.stored_bytes(self.indices[index])

    def sample(self, index: int) -> Sample:
        """Return one sample."""
        return self.examined(index)[0]

    def examined(self, index: int) -> tuple[Sample, list[Finding]]:
        """Return one sample with what was found in its annotations."""
        try:
            sample, findings = self.source.examined(self.indices[index])
        except Unreadable as error:
            raise Unreadable(self._place(error.source), error.reason, error.code) from None
        return self._mapped(sample), [self._placed(finding) for finding in findings]

    def _place(self, path: str) -> str:
        return f"{BATCHES}/{self.name}/{path}" if self.name else path

    def _placed(self, finding: Finding) -> Finding:
        return replace(finding, source=self._place(finding.source))

    def _mapped(self, sample: Sample) -> Sample:
        source = self._place(sample.source)
        odd = sorted(set(sample.text) - set(self.labels.characters))
        if odd:
            told = f"{', '.join(map(repr, odd))} in {sample.text!r}: not a character of this data set"
            raise Unreadable(source, told, "new_character")
        if self.several and sample.label >= 0:
            sample = replace(sample, label=-1, labels=[sample.label])
        if not self.changed:
            return replace(sample, source=source, batch=self.name)
        used = {sample.label, *sample.labels, *sample.box_labels} - {-1}
        unknown = sorted(self.source.labels.classes[label] for label in used if self.numbers[label] < 0)
        if unknown:
            known = ", ".join(self.labels.classes[:10]) + (", ..." if len(self.labels) > 10 else "")
            told = f"{', '.join(map(repr, unknown))}: not a class of this data set ({known})"
            raise Unreadable(source, told, "new_class")
        return replace(
            sample,
            source=source,
            batch=self.name,
            label=self.numbers[sample.label] if sample.label >= 0 else -1,
            labels=sorted(self.numbers[label] for label in sample.labels),
            box_labels=[self.numbers[label] for label in sample.box_labels],
            semantic=None if sample.semantic is None else self._renumbered(sample.semantic),
        )

    def _renumbered(self, semantic: UINT8) -> UINT8:
        """Return a semantic mask made of objects (0 = background, class + 1) with the data set's classes."""
        new = np.zeros(256, np.uint8)
        new[IGNORED] = IGNORED
        for label, number in enumerate(self.numbers):
            if number >= 0:  # those of no known class were refused
                new[label + 1] = number + 1
        return new[semantic]


def _several(source: FolderSource, first: FolderSource) -> bool:
    """Return whether the one class of each image of a batch is to be one of several, as in the data set.

    Raises:
        UserError: the data set has one class per image, and the batch several.
    """
    if not isinstance(source, FileSource) or not isinstance(first, FileSource):
        return False
    one, own_one = (any(entry.label >= 0 for entry in files.entries) for files in (first, source))
    many, own_many = (any(entry.labels for entry in files.entries) for files in (first, source))
    if one and own_many and not own_one:
        raise UserError("its table has several classes per image, but the data set has one; use a column label")
    return many and not one and own_one and not own_many


def _renumbering(labels: LabelMap, first: Source) -> list[int]:
    """Return the data set's class id for each class id of a batch, -1 where it has no such class.

    Raises:
        UserError: the batch contradicts the data set about an image.
    """
    known = first.labels
    for what, own, wanted in (
        ("key points", labels.keypoints, known.keypoints),
        ("values", labels.values, known.values),
    ):
        if own != wanted:
            told = f"its {what} are {', '.join(own) or 'none'}, those of the data set {', '.join(wanted) or 'none'}"
            raise UserError(f"{told}; use the same in the batch")
    place = {name_of(name): number for number, name in enumerate(known.classes)}
    return [place.get(name_of(name), -1) for name in labels.classes]
