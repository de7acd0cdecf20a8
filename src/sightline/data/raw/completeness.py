"""Stops before a data set is prepared that nobody meant: annotations that no image uses, a split without one object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, lgamma

import numpy as np

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError

_LOST = 0.9  # share of the images or annotations above which the files do not fit together
_CHANCE = 0.001  # probability below which a division does not leave a split without objects by chance
_MANY_IGNORED = 0.01  # share of pixels; outlines that are left out take less
_ALLOW = "set `allow_empty: true` in the data set's entry of params.yaml if this is intended"
_Parts = Mapping[SplitName, Sequence[Record]]


def require_used(root: str, findings: Sequence[Finding]) -> None:
    """Check that every annotation file belongs to an image.

    Raises:
        UserError: one does not.
    """
    unused = [finding for finding in findings if finding.code == "unused_file"]
    if unused:
        more = f"{root}: {len(unused)} annotation files have no image; the first: " if len(unused) > 1 else ""
        raise UserError(more + unused[0].line(root))


def require_objects(root: str, total: int, parts: _Parts, findings: Sequence[Finding]) -> None:
    """Check that the annotations reached the images.

    An image without annotation is background, and the report lists a few rejected ones. But a split without
    an
    object comes from a wrong path, suffix or id, which training would learn as background.

    Args:
        root: folder of the raw files, for messages.
        total: number of images before any was left out.
        parts: what is kept of them.
        findings: all that was found.

    Raises:
        UserError: nearly all images or annotations were left out, or nothing can be learned from a split.
    """
    kept = [record for members in parts.values() for record in members]
    lost = [cause(finding, findings) for finding in findings if finding.bad]
    _require_most(root, "images", len(kept), total, lost)
    dropped = [finding for finding in findings if finding.fate == "annotation" and finding.code != "repeated"]
    objects = sum(len(record.objects) for record in kept)
    _require_most(root, "annotations", objects, objects + len(dropped), dropped)
    _require_each(root, parts, lost)


def find_empty_splits(parts: _Parts) -> list[Finding]:
    """Return a finding for each split in which nothing can be learned or scored."""
    reason = "none of its {} images has an object"
    return [Finding("empty_split", f"split {split}", reason.format(len(parts[split]))) for split in _empty(parts)]


def require_classes(root: str, labels: LabelMap, ignored_values: Sequence[int], parts: _Parts) -> None:
    """Check that masks hold more than one class where many pixels have a value that is ignored.

    Raises:
        UserError: they do not, as with masks of 0 and 255 that are read with two names for 0 and 1.
    """
    seen, share = _seen(labels, parts)
    if len(labels) < 2 or len(seen) != 1 or share < _MANY_IGNORED or not ignored_values:
        return
    value = 255 if 255 in ignored_values else ignored_values[0]
    unseen = [name for name in labels.classes if name not in seen]
    own = labels.source_ids[labels.classes.index(seen[0])]
    shown = f"{{{seen[0]}: {own}, {unseen[0]}: {value}{', ...' if len(unseen) > 1 else ''}}}"
    raise UserError(
        f"{root}: {seen[0]!r} is the only class in the masks, and {share:.0%} of their pixels have the ignored "
        f"value {value}; if that value means {unseen[0]!r}, set `names: {shown}` in params.yaml, otherwise {_ALLOW}"
    )


def find_hidden_classes(labels: LabelMap, parts: _Parts) -> list[Finding]:
    """Return a finding for each class that is in no mask while many pixels are ignored."""
    seen, share = _seen(labels, parts)
    hidden = [name for name in labels.classes if name not in seen] if share >= _MANY_IGNORED else []
    return [
        Finding(
            "ignored_pixels",
            f"class {name}",
            f"is not in any mask, and {share:.0%} of all pixels have an ignored value",
        )
        for name in hidden
    ]


def _seen(labels: LabelMap, parts: _Parts) -> tuple[list[str], float]:
    """Return the classes that masks hold, and the share of ignored pixels."""
    kept = [record for members in parts.values() for record in members if record.pixels]
    totals = np.sum([record.pixels for record in kept], axis=0) if kept else np.zeros(len(labels), int)
    ignored = sum(record.ignored for record in kept)
    return [name for name, total in zip(labels.classes, totals, strict=True) if total], ignored / max(
        1, ignored + int(totals.sum())
    )


def find_crowds(labels: LabelMap, parts: _Parts) -> list[Finding]:
    """Return a finding for each class of which more objects are crowds than single ones."""
    kept = [record for members in parts.values() for record in members]
    objects, crowds = (
        Counter(label for record in kept for label in getattr(record, of)) for of in ("objects", "crowds")
    )
    return [
        Finding("crowds", f"class {name}", f"{crowds[label]} of its {objects[label]} objects are crowds")
        for label, name in enumerate(labels.classes)
        if 2 * crowds[label] > objects[label]
    ]


def _empty(parts: _Parts) -> list[SplitName]:
    return [split for split, members in parts.items() if members and not any(map(_learnable, members))]


def _learnable(record: Record) -> bool:
    """Return whether there is an object to be learned, or a pixel that has a class."""
    return len(record.objects) > len(record.crowds) or any(record.pixels)


def cause(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """Return why an image was left out: what is wrong with its annotations where they all fell away."""
    if finding.code != "all_dropped":
        return finding
    own = (other for other in findings if other.source == finding.source and other.fate == "annotation")
    return next(own, finding)


def _require_most(root: str, what: str, kept: int, total: int, lost: Sequence[Finding]) -> None:
    if lost and total - kept > _LOST * total:
        told = f"{total - kept} of {total} {what} were left out; the first: {lost[0].line(root)}"
        raise UserError(f"{root}: {told}; {_ALLOW}")


def _require_each(root: str, parts: _Parts, lost: Sequence[Finding]) -> None:
    every = [record for members in parts.values() for record in members]
    empty = [split for split in _empty(parts) if not _by_chance(split, parts[split], every)]
    if not empty:
        return
    members = [record for split in empty for record in parts[split]]
    where = "of the data set" if len(members) == len(every) else f"of {' and '.join(empty)}"
    crowds = sum(len(record.crowds) for record in members)
    if crowds:
        raise UserError(
            f"{root}: all {crowds} objects {where} are crowds (iscrowd), which are neither learned nor "
            f"scored; set iscrowd to 0 for single objects, set `crowds: objects` to read crowds as single "
            f"objects (CVAT marks brush masks as crowds), "
            f"or {_ALLOW}"
        )
    told = f"{root}: none of the {len(members)} images {where} has an object"
    if lost:
        told += f", after {len(lost)} were left out; the first: {lost[0].line(root)}"
    raise UserError(f"{told}; correct the annotations or their names, or {_ALLOW}")


def _by_chance(split: SplitName, members: Sequence[Record], every: Sequence[Record]) -> bool:
    """Return whether a division at random may well have left these images without an object.

    Drawing n of N images, k of them with objects, gives none with the probability C(N - k, n) / C(N, n).
    """
    with_objects = sum(map(_learnable, every))
    if not with_objects or any(record.split == split for record in members):
        return False  # nowhere an object, or the data set itself defines the split
    drawn, total = len(members), len(every)
    return exp(_log_comb(total - with_objects, drawn) - _log_comb(total, drawn)) >= _CHANCE


def _log_comb(total: int, drawn: int) -> float:
    return lgamma(total + 1) - lgamma(drawn + 1) - lgamma(total - drawn + 1)
