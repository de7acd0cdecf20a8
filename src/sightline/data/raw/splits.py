"""Divides samples into train, val and test; pure functions of hashes, groups and fractions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Literal, assert_never

from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.raw.stratification import Counts, contents, stratify
from sightline.data.structures import SPLITS, SplitName
from sightline.system.errors import UserError

Rule = Literal["stratified", "hash", "order"]


def divide(
    records: Sequence[Record],
    fractions: Mapping[SplitName, float],
    by: Rule,
    salt: int,
    known: Mapping[str, SplitName] = MappingProxyType({}),
) -> list[SplitName]:
    """Return the split of each record; the records of a batch come together, those of older batches first.

    Parts that the data set defines are kept; each other part is taken out of its train samples. Equal groups, and
    without groups equal images, share a part. Batches are divided one after the other, and what was divided before them
    stays: by order each is cut for itself, and a group goes where its first samples are. Stratified, the parts of each
    class fill their quotas of all samples up to then. By hash, a sample's part depends on nothing but its group or
    bytes, regardless of the others.

    Args:
        records: what is to be divided.
        fractions: of the whole, adding up to 1.
        by: the rule.
        salt: another one gives another division.
        known: parts of samples that were divided before, by `key`; these stay as well.
    """
    taken: dict[str, SplitName] = {}
    counts = Counts()
    free = [record for record in records if record.split in (None, "train")]
    for record in free:
        if key(record) in known:
            taken[key(record)] = known[key(record)]
            counts.add(contents(record.present), known[key(record)])
    before = set(taken)
    defined: set[SplitName] = set()
    for _, batch in groupby(records, key=lambda record: record.batch):
        members = list(batch)
        defined |= {record.split for record in members if record.split is not None}
        shares = carved(fractions, defined)
        free = [record for record in members if record.split in (None, "train")]
        new = [record for record in free if key(record) not in taken]
        for record in free:  # members of a group that older batches have brought
            if key(record) in taken and key(record) not in before:
                counts.add(contents(record.present), taken[key(record)])
        taken |= _placed(new, shares, by, salt, counts)
        for record in members:
            if record.split in ("val", "test"):
                taken.setdefault(key(record), record.split)
    return [record.split if record.split in ("val", "test") else taken[key(record)] for record in records]


def _placed(
    records: Sequence[Record], shares: Mapping[SplitName, float], by: Rule, salt: int, counts: Counts
) -> dict[str, SplitName]:
    match by:
        case "stratified":
            return stratify(_units(records), shares, counts, lambda unit: uniform(unit, salt))
        case "hash":
            return _by_hash(records, shares, salt)
        case "order":
            return _by_order(records, shares)
        case _:
            assert_never(by)


def _units(records: Sequence[Record]) -> dict[str, Counter[int]]:
    """Return what each group, or image without one, counts for; images with equal classes share what they count for."""
    found: dict[str, Counter[int]] = {}
    shared: dict[tuple[int, ...], Counter[int]] = {}
    for record in records:
        unit = key(record)
        if record.present not in shared:
            shared[record.present] = contents(record.present)
        own = shared[record.present]
        found[unit] = found[unit] + own if unit in found else own
    return found


def key(record: Record) -> str:
    """Return what decides a sample's part: its group, else its bytes."""
    return f"sha256:{record.sha256}" if record.group is None else f"group:{record.group}"


def carved(fractions: Mapping[SplitName, float], defined: set[SplitName]) -> dict[SplitName, float]:
    """Return the shares of the train samples that stay and that go to each part that the data set does not define.

    With train and test defined and fractions 0.8, 0.2, 0: val gets 0.2 / (0.8 + 0.2) of train.
    """
    wanted: list[SplitName] = [name for name in SPLITS if name == "train" or name not in defined]
    total = sum(fractions[name] for name in wanted)
    return {name: fractions[name] / total for name in wanted}


def uniform(text: str, salt: int) -> float:
    """Return a number in [0, 1) that looks random but is the same for the same text and salt."""
    digest = hashlib.blake2b(f"{salt}:{text}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # as many bits as a float holds


def _by_hash(records: Sequence[Record], shares: Mapping[SplitName, float], salt: int) -> dict[str, SplitName]:
    bounds = list(zip(shares, accumulate(shares.values()), strict=True))

    def part(text: str) -> SplitName:
        place = uniform(text, salt)
        last = [name for name, share in shares.items() if share > 0][-1]  # the sum may end a rounding error below 1
        return next((name for name, bound in bounds if place < bound), last)

    return {text: part(text) for text in {key(record) for record in records}}


def _by_order(records: Sequence[Record], shares: Mapping[SplitName, float]) -> dict[str, SplitName]:
    """Cut the sequence at rounded bounds; copies and members of a group follow the first of them."""
    ends = [round(bound * len(records)) for bound in accumulate(shares.values())]
    bounds = list(zip(shares, ends, strict=True))
    taken: dict[str, SplitName] = {}
    for place, record in enumerate(records):
        taken.setdefault(key(record), next(name for name, bound in bounds if place < bound))
    return taken


def find_divided_groups(records: Sequence[Record], splits: Sequence[SplitName]) -> list[Finding]:
    """Return a finding for each group whose samples are in several splits that the data set defines."""
    parts: dict[str, dict[SplitName, str]] = {}
    for record, split in zip(records, splits, strict=True):
        if record.group is not None:
            parts.setdefault(record.group, {}).setdefault(split, record.source)
    return [
        Finding("divided_group", f"group {group}", ", ".join(f"{source} in {split}" for split, source in own.items()))
        for group, own in parts.items()
        if len(own) > 1
    ]


def find_given_parts(records: Sequence[Record], shares: Mapping[SplitName, float], wanted: bool) -> list[Finding]:
    """Return a finding on which parts the data set itself defines, where fractions were meant for others.

    Args:
        records: samples, each with the part that the data set puts it in.
        shares: the configured fractions.
        wanted: whether the user has set them.
    """
    given = [part for part in SPLITS if any(record.split == part for record in records)]
    carved = [part for part, share in shares.items() if part not in given and share > 0 and part != "train"]
    if not given or (not carved and not wanted):
        return []
    told = f"{' and '.join(given)} as defined by the data set; the fractions of split "
    rest = sum(record.split is None for record in records)
    unused = f"apply only to the {rest} other samples" if rest else "are not used"
    told += f"are used only to take {' and '.join(carved)} from the rest" if carved else unused
    return [Finding("given_split", "split", told)]


def require_parts(name: str, counts: Mapping[SplitName, int]) -> None:
    """Check that no part is empty.

    Raises:
        UserError: with one line per empty part.
    """
    total = sum(counts.values())
    lines = [
        f"datasets.{name}.split.{part}: none of the {total} good samples is in {part}; "
        f"raise datasets.{name}.split.{part}, add images, or try another split.salt"
        for part, count in counts.items()
        if count == 0
    ]
    if lines:
        raise UserError(lines)
