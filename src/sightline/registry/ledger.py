"""The registry's memory: a line of `registry/ledger.jsonl` per promotion, refusal or rollback, never changed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sightline.registry.grounds import DECISIONS, BudgetCheck, ClassLoss, Code, GuardCheck, short_words
from sightline.system.errors import UserError
from sightline.system.files import append_line


def _utc(value: str) -> str:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() != UTC.utcoffset(None):
        raise ValueError("must be an ISO time in UTC")
    return value


_Directory = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$", description="DVC's md5 of a directory")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """One decision.

    Attributes:
        time: ISO 8601, UTC.
        model_md5, training_md5, evaluation_md5: DVC's md5 of the model judged (of the one restored, in a rollback)
            and of its two reports, by which its files are found in DVC's cache.
        champion_md5: the model that was champion before, if any.
        reason: why, in a sentence.
        code: why, for machines; null in lines that are older than codes.
        test_ids: sha256 of the sorted ids of the test samples, each with the hash of its truth.
        headline: the metric that was compared (name), and the model's own value and interval.
        gain, low, high: of the headline metric, positive where the model judged is better; null where nothing was
            compared.
        losses: classes whose loss of recall vetoes.
        guards: what `gate.guards` asked for, and what was measured.
        budget: what `gate.budget` allows, and what was measured.
        int8_md5: DVC's md5 of the folder with the model's network in integers; null if it has none.
        promotions_on_test_set: promotions of this name decided on the same test samples before this decision.
        batches: those that were part of the model's data.
        blamed_batches: those of them that a refusal puts down to, to be withdrawn.
        compared: test samples that both models were judged on; null where nothing was compared.
        git_sha, lock_md5: the commit and `dvc.lock` that made the model.
        git_dirty: whether what makes a model differed from that commit; null where this was not looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    time: Annotated[str, AfterValidator(_utc)]
    name: Annotated[str, Field(min_length=1)]
    decision: Literal["promote", "refuse", "rollback"]
    model_md5: _Directory
    training_md5: _Directory
    evaluation_md5: _Directory
    champion_md5: _Directory | None
    reason: Annotated[str, Field(min_length=1)]
    test_ids: _Sha256
    headline: dict[str, Any]
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    promotions_on_test_set: Annotated[int, Field(ge=0)]
    batches: tuple[str, ...] = ()
    blamed_batches: tuple[str, ...] = ()
    compared: int | None = None
    code: Code | None = None
    losses: tuple[ClassLoss, ...] = ()
    guards: tuple[GuardCheck, ...] = ()
    budget: tuple[BudgetCheck, ...] = ()
    int8_md5: _Directory | None = None
    git_sha: str | None = None
    lock_md5: str | None = None
    git_dirty: bool | None = None

    @property
    def short(self) -> str:
        """Why, in a few words and figures; the whole reason in lines that are older than codes."""
        if self.code is None:
            return self.reason
        return short_words(
            self.code, (self.gain, self.low, self.high), self.compared, self.losses, self.guards, self.budget
        )


def now() -> str:
    """Return the present time as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """All decisions, read and checked at once; `append` writes one more and waits until the disk has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = list(_read(path)) if path.exists() else []
        self.entries: list[Entry] = [entry for entry, _ in lines]
        self._hashes: list[str] = [_hash(line) for _, line in lines]  # of what is written: fields come and go

    def append(self, entry: Entry) -> None:
        """Add a decision; when this returns it survives a power cut, and where it fails nothing of it is there."""
        line = entry.model_dump_json()
        append_line(self.path, line)
        self.entries.append(entry)
        self._hashes.append(_hash(line))

    def head(self, name: str) -> str | None:
        """Return the hash of the newest decision on a name, None if there is none."""
        hashes = self._hashes_of(name)
        return hashes[-1] if hashes else None

    def knows(self, name: str, head: str) -> bool:
        """Return whether a decision with this hash is here, be it the newest or an older one."""
        return head in self._hashes_of(name)

    def _hashes_of(self, name: str) -> list[str]:
        pairs = zip(self.entries, self._hashes, strict=True)
        return [hashed for entry, hashed in pairs if entry.name == name]

    def of(self, name: str) -> list[Entry]:
        """Return the decisions on one name, oldest first."""
        return [entry for entry in self.entries if entry.name == name]

    def champions_of(self, name: str) -> list[Entry]:
        """Replay the decisions: the line of champions that a rollback walks back, the present one last."""
        line: list[Entry] = []
        for entry in self.of(name):
            if entry.decision == "promote":
                line.append(entry)
            elif entry.decision == "rollback":
                while line and line[-1].model_md5 != entry.model_md5:
                    line.pop()
                line = [*line[:-1], entry]
        return line

    def champion_of(self, name: str) -> Entry | None:
        """Return the decision that made the present champion."""
        line = self.champions_of(name)
        return line[-1] if line else None

    def judgement(self, name: str, model_md5: str, champion_md5: str | None, test_ids: str) -> Entry | None:
        """Return the decision already taken on the same two models and test samples.

        A model that was rolled back stays out, until it is promoted again.
        """
        banned = True
        for entry in reversed(self.of(name)):
            if (entry.model_md5, entry.champion_md5, entry.test_ids) == (model_md5, champion_md5, test_ids):
                return entry
            if entry.model_md5 == model_md5 and entry.decision == "promote":
                banned = False
            if banned and entry.decision == "rollback" and entry.champion_md5 == model_md5:
                return entry
        return None

    def last_on(self, name: str, model_md5: str) -> Entry | None:
        """Return the newest decision on a model, be it that another took its place."""
        for entry in reversed(self.of(name)):
            replaced = entry.decision != "refuse" and entry.champion_md5 == model_md5
            if entry.model_md5 == model_md5 or replaced:
                return entry
        return None

    def reason(self, name: str, model_md5: str, short: bool = False) -> str:
        """Return why a model is where it is, in a sentence or in a few words."""
        entry = self.last_on(name, model_md5)
        if entry is None:
            return "not judged"
        told = entry.short if short else entry.reason
        if entry.model_md5 == model_md5 or entry.decision == "rollback":
            return told
        return f"replaced by {entry.model_md5[:8]}: {told}"

    def word(self, name: str, model_md5: str) -> str:
        """Return in one word what was decided last on a model, the same whenever it is asked."""
        entry = self.last_on(name, model_md5)
        if entry is None:
            return "not judged"
        if entry.model_md5 == model_md5:
            return DECISIONS[entry.decision]
        return "rolled back" if entry.decision == "rollback" else "replaced"

    def promotions(self, name: str, test_ids: str) -> int:
        """Return how many promotions of a name were decided on these test samples."""
        return sum(entry.decision == "promote" and entry.test_ids == test_ids for entry in self.of(name))


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _read(path: Path) -> Iterator[tuple[Entry, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    mistakes = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield Entry.model_validate_json(line), line
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            mistakes.append(f"{path}: line {number}: {where + ': ' if where else ''}{first['msg']}")
    if lines[-1]:
        mistakes.append(f"{path}: line {len(lines)}: unfinished (no newline at its end)")
    if mistakes:
        remedy = "the ledger is append-only: restore the good lines from git, or delete an unfinished last line"
        raise UserError([*mistakes, remedy])
