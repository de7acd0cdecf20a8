"""What became of each model, and the memo of the last registration.

With a local SQLite file, a register that would find nothing new is known from the state of a few files, without
MLflow's import. On a server anything may have changed, so it is always asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sightline.registry.ledger import Ledger
from sightline.registry.release import headline_text
from sightline.registry.tracking import tracking_uri
from sightline.system.files import read_json, write_json
from sightline.system.version import VERSION


@dataclass(frozen=True)
class Outcome:
    """What became of one model.

    Attributes:
        headline: name, value, and where there is an interval low and high.
        model_md5: of the released model.
        version, alias: of the released model now.
        decision: what this run decided; `kept` where there was nothing to decide.
        reason: of the newest decision on the model.
        short: the same in a few words and figures.
        word: the newest decision on the model, whichever run took it.
        numbers: of the versions of all models of the name, by their md5.
        leader: the champion, where it is another model.
    """

    name: str
    task: str
    headline: dict[str, Any]
    model_md5: str
    version: str
    alias: Literal["champion", "challenger"]
    decision: Literal["promote", "refuse", "rollback", "kept"]
    reason: str
    short: str
    word: str = ""
    numbers: dict[str, str] = field(default_factory=dict)
    leader: Outcome | None = None

    @property
    def place(self) -> str:
        """Its version, or its md5 where the version is not known."""
        return f"v{self.version}" if self.version else self.model_md5[:8]

    def headline_text(self) -> str:
        """Return the headline metric with its interval, where it has one."""
        return headline_text(self.headline)

    def decision_text(self, short: bool = False) -> str:
        """Return the newest decision with its reason, or with that in a few words."""
        told = self.short if short else self.reason
        return told if self.word == "replaced" else f"{self.word}: {told}"  # by which model, the reason says

    def with_champion(self) -> list[Outcome]:
        """Return the champion, where it is another model, and the model itself."""
        return [self] if self.leader is None else [self.leader, self]


def last_outcomes(root: Path) -> list[Outcome]:
    """Return what the last complete `register` found, brought up to date with later decisions by hand."""
    root = root.resolve()
    try:
        known = _read(root)["outcomes"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # only a memo
    ledger = Ledger(_ledger(root))
    return [_updated(outcome, ledger) for outcome in known]


def known_outcomes(root: Path, releases: list[Path], asked: str) -> list[Outcome]:
    """Return what the last `register` found, if it would find the same now; else nothing. `asked` are the guards."""
    state = _state(root, releases, asked)
    try:
        if state is None or (known := _read(root))["state"] != state:
            return []
        return [replace(outcome, decision="kept") for outcome in known["outcomes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(root: Path, releases: list[Path], asked: str, outcomes: list[Outcome]) -> None:
    """Keep what a complete `register` found."""
    state = _state(root, releases, asked)
    write_json(_path(root), {"state": state, "outcomes": [asdict(outcome) for outcome in outcomes]})


def in_force(outcome: Outcome, ledger: Ledger) -> Outcome:
    """Return an outcome with the word of the newest decision on its model, and with the present champion."""
    name, md5, champion = outcome.name, outcome.model_md5, ledger.champion_of(outcome.name)
    leader = None
    if champion is not None and champion.model_md5 != md5:
        last = ledger.last_on(name, md5)
        leader = Outcome(
            name=name,
            task="" if last is not None and last.code == "other_task" else outcome.task,
            headline=champion.headline,
            model_md5=champion.model_md5,
            version=outcome.numbers.get(champion.model_md5, ""),
            alias="champion",
            decision="kept",
            reason=ledger.reason(name, champion.model_md5),
            short=ledger.reason(name, champion.model_md5, short=True),
            word=ledger.word(name, champion.model_md5),
        )
    return replace(outcome, word=ledger.word(name, md5), leader=leader)


def _updated(outcome: Outcome, ledger: Ledger) -> Outcome:
    outcome = in_force(outcome, ledger)
    champion, last = ledger.champion_of(outcome.name), ledger.last_on(outcome.name, outcome.model_md5)
    if champion is None or last is None:
        return outcome
    alias: Literal["champion", "challenger"] = "champion" if outcome.leader is None else "challenger"
    if alias == outcome.alias:
        return outcome
    reason, short = (ledger.reason(outcome.name, outcome.model_md5, own) for own in (False, True))
    return replace(outcome, alias=alias, decision=last.decision, reason=reason, short=short)


def _read(root: Path) -> dict[str, Any]:
    known = read_json(_path(root))
    return {"state": known["state"], "outcomes": [_outcome(values) for values in known["outcomes"]]}


def _outcome(values: dict[str, Any]) -> Outcome:
    leader = values.get("leader")
    return Outcome(**{**values, "leader": None if leader is None else _outcome(leader)})


def _state(root: Path, releases: list[Path], asked: str) -> str | None:
    """Hash guards, releases, ledger and the identity of MLflow's files; None if those are not local or not there."""
    uri = tracking_uri(root)
    database = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not database.is_file() or not (root / "mlartifacts").is_dir():
        return None
    texts = [path.read_text(encoding="utf-8") for path in [*releases, _ledger(root)] if path.exists()]
    stats = [path.stat() for path in (database, Path(f"{database}-wal")) if path.exists()]
    files = [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]
    form = [own.name for own in fields(Outcome)]  # a memo that lacks some of them is written again
    values = [VERSION, form, uri, asked, [str(path) for path in releases], texts, files]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _path(root: Path) -> Path:
    return root / ".sightline" / "registry.json"


def _ledger(root: Path) -> Path:
    return root / "registry" / "ledger.jsonl"
