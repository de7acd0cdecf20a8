"""The card of a prepared data set: its contents, the findings, and its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median_low
from typing import Any

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding, by_code
from sightline.data.raw.texts import count_characters
from sightline.data.structures import SPLITS, LabelMap, SplitName

_LISTED = 20  # sources named per code; quarantine.csv has all that are bad


@dataclass(frozen=True)
class Card:
    """Plain values, the same for the same data.

    Attributes:
        samples: images in each split.
        counts: images with each class, by split.
        objects: boxes of each class, by split; empty where the data set has no boxes.
        pixels: pixels of each class, by split; empty where it has no masks, or boxes too.
        values: smallest, mean and largest of each regression target, by its name.
        sizes: smallest, median and largest height and width in pixels.
        channels: images by number of channels, as "1" and "3".
        findings: by code: what is left out ("sample" or "annotation", else "kept"), how many, the first with reasons.
        quarantined: samples left out.
        dropped: annotations left out of samples that stay.
        digests: hash of each split's files.
        batches: images in each split, by the batch that brought them; without those of the first data.
        characters: how often each is in the texts of each split; empty where the data set has no texts.
    """

    name: str
    format: str
    classes: list[str]
    label_map: str
    samples: dict[SplitName, int]
    counts: dict[SplitName, dict[str, int]]
    objects: dict[SplitName, dict[str, int]]
    pixels: dict[SplitName, dict[str, int]]
    values: dict[str, dict[str, float]]
    sizes: dict[str, dict[str, int]]
    channels: dict[str, int]
    findings: dict[str, dict[str, Any]]
    quarantined: int
    dropped: int
    ignored: int
    digests: dict[SplitName, str]
    batches: dict[str, dict[SplitName, int]] = field(default_factory=dict)
    characters: dict[SplitName, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "characters" or value}

    def total(self, split: SplitName) -> int:
        """Return the number of samples in a split."""
        return self.samples[split]


def make_card(
    name: str,
    data_format: str,
    labels: LabelMap,
    parts: Mapping[SplitName, Sequence[Record]],
    findings: Sequence[Finding],
    ignored: int,
    digests: dict[SplitName, str],
) -> Card:
    """Return the card of what was written."""
    kept = [record for split in SPLITS for record in parts[split]]
    channels = Counter(record.channels for record in kept)
    has_objects, has_pixels = (any(getattr(record, name) for record in kept) for name in ("objects", "pixels"))
    return Card(
        name=name,
        format=data_format,
        classes=list(labels.classes),
        label_map=labels.sha256,
        samples={split: len(parts[split]) for split in SPLITS},
        counts={split: count_classes(labels, parts[split]) for split in SPLITS},
        objects={split: _count_objects(labels, parts[split]) for split in SPLITS} if has_objects else {},
        pixels={split: _count_pixels(labels, parts[split]) for split in SPLITS} if has_pixels else {},
        values={name: _spread([record.values[place] for record in kept]) for place, name in enumerate(labels.values)},
        sizes={
            "height": _range([record.height for record in kept]),
            "width": _range([record.width for record in kept]),
        },
        channels={str(number): channels[number] for number in sorted(channels)},
        findings={code: _summary(group) for code, group in by_code(findings).items()},
        quarantined=len({finding.source for finding in findings if finding.bad}),
        dropped=sum(finding.fate == "annotation" for finding in findings),
        ignored=ignored,
        digests=digests,
        batches=_count_batches(parts),
        characters=count_characters(parts),
    )


def count_classes(labels: LabelMap, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of images with each class; one with several classes counts for each of them."""
    return _named(labels, Counter(label for record in records for label in record.present))


def _count_batches(parts: Mapping[SplitName, Sequence[Record]]) -> dict[str, dict[SplitName, int]]:
    names = sorted({record.batch for members in parts.values() for record in members} - {""})
    return {name: {split: sum(record.batch == name for record in parts[split]) for split in SPLITS} for name in names}


def _count_objects(labels: LabelMap, records: Sequence[Record]) -> dict[str, int]:
    return _named(labels, Counter(label for record in records for label in record.objects))


def _count_pixels(labels: LabelMap, records: Sequence[Record]) -> dict[str, int]:
    total: Counter[int] = Counter()
    for record in records:
        total.update(dict(enumerate(record.pixels)))
    return _named(labels, total)


def _named(labels: LabelMap, counted: Mapping[int, int]) -> dict[str, int]:
    return {name: counted[label] for label, name in enumerate(labels.classes)}


def find_scarce_classes(counts: Mapping[SplitName, Mapping[str, int]], least: int) -> list[Finding]:
    """Return findings for classes with few samples in all, none to learn from, or none to evaluate with."""
    findings = []
    for name in counts["train"]:
        have = [split for split in SPLITS if counts[split][name]]
        total = sum(counts[split][name] for split in SPLITS)
        if total < least:
            findings.append(Finding("small_class", f"class {name}", f"{total} samples in all, fewer than {least}"))
        if "train" not in have:
            where = f"only in {' and '.join(have)}" if have else "no samples at all"
            findings.append(Finding("class_without_train", f"class {name}", where))
        elif have == ["train"]:
            findings.append(Finding("class_in_one_split", f"class {name}", "only in train"))
    return findings


def _summary(group: Sequence[Finding]) -> dict[str, Any]:
    first = [{"source": finding.source, "reason": finding.reason} for finding in group[:_LISTED]]
    return {"left_out": group[0].fate, "count": len(group), "first": first}


def _range(values: Sequence[int]) -> dict[str, int]:
    return {"min": min(values), "median": median_low(values), "max": max(values)}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "mean": fmean(values), "max": max(values)}
