"""The card of a prepared data set: what it holds, what was found, and a page that tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any

from sightline.data.checks import Record
from sightline.data.findings import KINDS, Finding, by_code
from sightline.structures import SPLITS, LabelMap, SplitName

_LISTED = 20  # sources named per code; quarantine.csv has all that are bad


@dataclass(frozen=True)
class Card:
    """Plain values, the same for the same data.

    Attributes:
        counts: samples of each class, by split.
        sizes: smallest, median and largest height and width in pixels.
        channels: images by number of channels, as "1" and "3".
        findings: by code: whether such samples are left out, how many, and the first of them with reasons.
        digests: hash of each split's files.
    """

    name: str
    format: str
    classes: list[str]
    label_map: str
    counts: dict[SplitName, dict[str, int]]
    sizes: dict[str, dict[str, int]]
    channels: dict[str, int]
    findings: dict[str, dict[str, Any]]
    quarantined: int
    ignored: int
    digests: dict[SplitName, str]

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values for JSON."""
        return asdict(self)

    def total(self, split: SplitName) -> int:
        """Return the number of samples in a split."""
        return sum(self.counts[split].values())


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
    return Card(
        name=name,
        format=data_format,
        classes=list(labels.classes),
        label_map=labels.sha256,
        counts={split: count_classes(labels, parts[split]) for split in SPLITS},
        sizes={
            "height": _range([record.height for record in kept]),
            "width": _range([record.width for record in kept]),
        },
        channels={str(number): channels[number] for number in sorted(channels)},
        findings={code: _summary(group) for code, group in by_code(findings).items()},
        quarantined=len({finding.source for finding in findings if finding.bad}),
        ignored=ignored,
        digests=digests,
    )


def count_classes(labels: LabelMap, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of samples of each class, those without a label left out."""
    counted = Counter(record.label for record in records)
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


def render_report(card: Card) -> str:
    """Return the card as a Markdown page."""
    total = {split: card.total(split) for split in SPLITS}
    lines = [
        f"# Data set {card.name}",
        "",
        f"{sum(total.values())} images of {len(card.classes)} classes ({card.format}); "
        f"{card.quarantined} left out as bad, {card.ignored} other files ignored.",
        "",
        "| pixels | smallest | median | largest |",
        "|---|--:|--:|--:|",
        *(f"| {side} | {size['min']} | {size['median']} | {size['max']} |" for side, size in card.sizes.items()),
        "",
        "Images by channels: " + ", ".join(f"{count} with {number}" for number, count in card.channels.items()) + ".",
        "",
        "## Classes",
        "",
        "| class | train | val | test |",
        "|---|--:|--:|--:|",
        *(f"| {_cell(name)} | {' | '.join(str(card.counts[s][name]) for s in SPLITS)} |" for name in card.classes),
        f"| **all** | {' | '.join(f'**{total[split]}**' for split in SPLITS)} |",
        "",
        "![Some training images of each class](samples.png)",
        "",
        "## Findings",
        "",
        *(_finding_lines(card) or ["None."]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _finding_lines(card: Card) -> list[str]:
    lines = []
    for code, kind in KINDS.items():
        if code not in card.findings:
            continue
        found = card.findings[code]
        fate = "left out, all listed in quarantine.csv" if kind.bad else "kept"
        lines += [
            f"### {kind.title.capitalize()}: {found['count']}",
            "",
            f"`{code}`, {fate}. Remedy: {kind.remedy}.",
            "",
        ]
        lines += [f"- `{first['source']}`: {first['reason']}" for first in found["first"]]
        if found["count"] > len(found["first"]):
            lines.append(f"- and {found['count'] - len(found['first'])} more")
        lines.append("")
    return lines


def _summary(group: Sequence[Finding]) -> dict[str, Any]:
    first = [{"source": finding.source, "reason": finding.reason} for finding in group[:_LISTED]]
    return {"bad": group[0].bad, "count": len(group), "first": first}


def _range(values: Sequence[int]) -> dict[str, int]:
    return {"min": min(values), "median": median_low(values), "max": max(values)}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
