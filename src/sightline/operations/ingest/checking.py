"""Checks delivered files with the same checks as `prepare`, and against what the data set holds already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sightline.config.datasets import Dataset, InstanceMasks, MaskFolder
from sightline.data.raw.checks import Record, inspect_all, truth_of
from sightline.data.raw.duplicates import PROTECTION, find_conflicts
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats import Source, Unreadable, open_files
from sightline.data.raw.formats.batches import AddedBatch
from sightline.data.raw.names import printable
from sightline.system.in_order import in_order


@dataclass(frozen=True)
class Checked:
    """What is to become of delivered files, by their paths.

    Attributes:
        accepted: sha256 of each image to be taken.
        bad: images to be left out, in order.
        known: images that the data set has already, or that were delivered twice.
        findings: everything found, the reason for each bad image among it.
    """

    accepted: dict[str, str]
    bad: list[str]
    known: list[str]
    findings: list[Finding] = field(default_factory=list)


class _Known(NamedTuple):
    source: str
    label: int
    truth: str


def check_delivery(dataset: Dataset, folder: Path, first: Source, whole: Source) -> Checked:
    """Check the files in `folder`, in the format of `dataset`.

    Args:
        dataset: format and limits.
        folder: the delivered files.
        first: the first files of the data set, which define its classes.
        whole: everything that the data set holds.

    Raises:
        UserError: the files cannot be read as a whole, or contradict the data set.
    """
    delivered = open_files(dataset.model_copy(update={"root": str(folder)}))
    source = AddedBatch(delivered, first, "", None)
    findings = [*source.findings, *(Finding("ignored", path, "not read") for path in source.ignored)]
    records: list[Record] = []
    for record, found, _ in inspect_all(source, dataset.checks.max_pixels):
        records += [record] if record is not None else []
        findings += found
    classes = first.labels.classes
    known = _known(whole, {record.sha256: record.size for record in records})
    findings += find_conflicts(records, classes)
    contradictions = (_contradiction(record, known, classes) for record in records)
    findings += [contradiction for contradiction in contradictions if contradiction is not None]
    strict = dataset.on_bad_sample == "fail"
    bad = {finding.source for finding in findings if finding.bad or (strict and finding.fate == "annotation")}
    good = [record for record in records if record.source not in bad]
    accepted = _once(record for record in good if record.sha256 not in known)
    paths = [source.path(index) for index in range(len(source))]
    return Checked(
        accepted,
        [path for path in paths if printable(path) in bad],
        [record.source for record in good if record.source not in accepted],
        findings,
    )


def _known(whole: Source, delivered: Mapping[str, int]) -> dict[str, _Known]:
    """Return what the data set says of delivered images, of hash and size; only files of these sizes are read."""
    if not delivered:
        return {}
    sizes = {None, *delivered.values()}

    def look(index: int) -> tuple[str, _Known] | None:
        try:
            sample = whole.sample(index)
        except Unreadable:
            return None
        digest = hashlib.sha256(sample.image).hexdigest()
        return (digest, _Known(sample.source, sample.label, truth_of(sample))) if digest in delivered else None

    alike = [index for index in range(len(whole)) if whole.stored_bytes(index) in sizes]
    return dict(found for found in in_order(look, alike) if found is not None)


def _contradiction(record: Record, known: Mapping[str, _Known], classes: Sequence[str]) -> Finding | None:
    other = known.get(record.sha256)
    if other is None or (other.label, other.truth) == (record.label, record.truth):
        return None
    if other.label != record.label:
        own, theirs = (repr(classes[label]) if label >= 0 else "not at all" for label in (record.label, other.label))
        told = f"labelled {own}, but the same image {other.source} of the data set {theirs}"
    else:
        told = f"annotated differently from the same image {other.source} of the data set"
    return Finding("conflict", record.source, told)


def _once(records: Iterable[Record]) -> dict[str, str]:
    """Return path and hash of each different image: the copy in the part that tests, else the first."""
    best: dict[str, Record] = {}
    for record in records:
        other = best.setdefault(record.sha256, record)
        if PROTECTION[record.split or "train"] > PROTECTION[other.split or "train"]:
            best[record.sha256] = record
    return {record.source: record.sha256 for record in sorted(best.values(), key=lambda one: one.index)}


def belongings(dataset: Dataset, files: Iterable[str], images: Iterable[str]) -> dict[str, set[str]]:
    """Return the images that each other file belongs to by its name: masks, text and XML files; none for tables.

    Args:
        dataset: may give masks a suffix.
        files: all that was delivered.
        images: the samples among them.
    """
    samples = set(images)
    suffix = dataset.mask_suffix if isinstance(dataset, MaskFolder | InstanceMasks) else ""
    by_stem: dict[str, set[str]] = {}
    for path in samples:
        by_stem.setdefault(PurePosixPath(path).stem, set()).add(path)
    others = (path for path in files if path not in samples)
    return {
        path: by_stem.get(PurePosixPath(path).stem) or by_stem.get(PurePosixPath(path).stem.removesuffix(suffix), set())
        for path in others
    }
