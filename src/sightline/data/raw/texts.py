"""Texts of samples: how they are written down, and the characters that they are made of."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.structures import SPLITS, SplitName

_NAMED = 3  # samples of a finding


def composed(text: str) -> str:
    """Return a text as it is compared and counted: without blanks around it, an accent and its letter as one (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def problem_of(text: str) -> str | None:
    """Return what is wrong with a text, None if nothing is."""
    if not text:
        return "is empty; give the text, or remove the line"
    odd = next((one for one in text if not one.isprintable()), None)
    return None if odd is None else f"has the character U+{ord(odd):04X}, which nobody sees; remove it"


def characters_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the different characters of texts, by code point."""
    return tuple(sorted(set().union(*texts)))


def count_characters(parts: Mapping[SplitName, Sequence[Record]]) -> dict[SplitName, dict[str, int]]:
    """Return how often each character of the data set is in each split; empty without any text."""
    counts = {split: Counter("".join(record.text for record in parts[split])) for split in SPLITS}
    known = characters_of(record.text for members in parts.values() for record in members)
    return {split: {one: counts[split][one] for one in known} for split in SPLITS} if known else {}


def find_unlearned_characters(parts: Mapping[SplitName, Sequence[Record]]) -> list[Finding]:
    """Return a finding for each character of val and test that no training text has."""
    counts = count_characters(parts)
    findings = []
    for one in counts.get("train", {}):
        if not counts["train"][one]:
            found = [f"{record.source} in {split}" for split in SPLITS for record in parts[split] if one in record.text]
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            told = f"in no training text, but in {', '.join(found[:_NAMED])}{more}"
            findings.append(Finding("character_without_train", f"character {one!r}", told))
    return findings
