"""What is remembered of how a data set was divided, so that its samples keep their parts when others are added.

`division.json` is an output of `prepare` like the others. DVC deletes outputs before a stage runs, but its cache still
has them, and dvc.lock says which: so the next run can read what the last one did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.config.dataset_section import Split
from sightline.data.raw.checks import Record
from sightline.data.raw.findings import Finding
from sightline.data.raw.splits import Rule, key
from sightline.data.structures import SPLITS, SplitName
from sightline.system.errors import UserError

FILE = "division.json"


@dataclass(frozen=True)
class Division:
    """How a data set was divided.

    Attributes:
        by: the rule.
        settings: fractions and salt.
        parts: the part of each sample or group, by `mark`; only where the rule needs it to keep them in place.
        lost: md5 of the file that would say all this, where neither the project nor DVC has it any more, else "".
    """

    by: Rule
    settings: dict[str, float] = field(default_factory=dict)
    parts: dict[str, SplitName] = field(default_factory=dict)
    lost: str = ""

    def to_bytes(self) -> bytes:
        """Return the division as JSON, the same bytes for the same division."""
        values = {"by": self.by, "settings": self.settings, "parts": {}}
        text = json.dumps(values, indent=1, sort_keys=True) + "\n"
        # As `json.dumps` would write `parts`; indented, it makes several texts of each entry before it joins them.
        lines = ",\n".join(f'  "{mark}": "{self.parts[mark]}"' for mark in sorted(self.parts))
        return (text.replace('"parts": {}', f'"parts": {{\n{lines}\n }}') if lines else text).encode()


def mark(record: Record) -> str:
    """Return what stands for a sample or its group: 64 bits, as a record of a million should stay small."""
    return hashlib.blake2b(key(record).encode(), digest_size=8).hexdigest()


def make_division(by: Rule, split: Split, records: Sequence[Record], splits: Sequence[SplitName]) -> Division:
    """Return what is to be remembered; by hash or order, a sample's part can be found again without it."""
    pairs = zip(records, splits, strict=True) if by == "stratified" else ()
    free = {mark(record): part for record, part in pairs if record.split in (None, "train")}
    return Division(by, _settings(split), free)


def _settings(split: Split) -> dict[str, float]:
    return {"train": split.train, "val": split.val, "test": split.test, "salt": split.salt}


def read_division(content: bytes) -> Division:
    """Return what `to_bytes` wrote.

    Raises:
        ValueError: it is something else.
    """
    values: dict[str, Any] = json.loads(content)
    if set(values) != {"by", "settings", "parts"} or not set(values["parts"].values()) <= set(SPLITS):
        raise ValueError("not a division")
    return Division(**values)


def last_division(folder: Path, recorded: tuple[str, bytes | None] | None, ran: bool) -> Division | None:
    """Return how a data set was divided last, None if it was not yet.

    Args:
        folder: the prepared data set, which is there where the stage did not run by DVC.
        recorded: md5 and bytes of the last run's file as DVC knows them, no bytes where its cache has lost them; None
            where the last run wrote no such file.
        ran: whether DVC knows of a last run.

    Raises:
        UserError: the file in the folder is damaged.
    """
    file = folder / FILE
    if file.is_file():
        try:
            return read_division(file.read_bytes())
        except (ValueError, TypeError, AttributeError, KeyError):
            raise UserError(f"{file}: damaged; remove {folder} to divide the samples again") from None
    if recorded is not None:
        md5, content = recorded
        return read_division(content) if content is not None else Division("stratified", lost=md5)
    # What was prepared before divisions were remembered was divided by hash.
    return Division("hash") if ran or (folder / "card.json").is_file() else None


def rule_of(split: Split, last: Division | None) -> Rule:
    """Return the rule to divide by: the one that is asked for; else data that was divided by hash stays as it is."""
    if split.by is not None:
        return split.by
    if last is not None and (last.by == "hash" or last.lost == _md5(Division("hash", _settings(split)))):
        return "hash"
    return "stratified"


def known_parts(by: Rule, split: Split, last: Division | None, records: Sequence[Record]) -> Mapping[str, SplitName]:
    """Return the parts that samples had, by `splits.key`; none after a change of rule, fractions or salt."""
    if by != "stratified" or last is None or last.by != by or last.settings != _settings(split):
        return {}
    return {key(record): last.parts[mark(record)] for record in records if mark(record) in last.parts}


def told(split: Split, by: Rule) -> list[Finding]:
    """Return a finding where the data set keeps an older rule than the usual one."""
    if split.by is None and by == "hash":
        return [
            Finding(
                "divided_by_hash",
                "split",
                "divided by hash, as before; the shares of classes may differ between splits",
            )
        ]
    return []


def require_kept(name: str, last: Division | None, new: Division) -> None:
    """Check that samples did not move because the record of where they were is lost.

    Raises:
        UserError: the record is lost, and the new division is another one.
    """
    if last is not None and last.lost and new.by == "stratified" and last.lost != _md5(new):
        raise UserError(
            f"data/prepared/{name}/{FILE}: what dvc.lock names ({last.lost}) is neither in DVC's cache nor in its "
            "remote, so the previous division is unknown, and some images would change split; restore it "
            f"with `dvc pull` from a remote that has it, or remove prepare@{name} from dvc.lock to divide the "
            f"samples again"
        )


def _md5(division: Division) -> str:
    return hashlib.md5(division.to_bytes()).hexdigest()
