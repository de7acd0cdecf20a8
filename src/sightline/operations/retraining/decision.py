"""Decides whether to retrain: new data, changes, drift and age in; the reasons, as a table and a line on disk, out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sightline.registry.ledger import Ledger, now
from sightline.system.files import append_line

Kind = Literal["new data", "changed", "drift", "age", "forced"]
_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Reason:
    """What speaks for a retraining."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Decision:
    """What speaks for a retraining, and whether there is anything to train.

    Attributes:
        time: ISO 8601, UTC.
        reasons: none where nothing speaks for it.
        changed: stages and pointers that differ from `dvc.lock`. Where there are none, the same models would come out
            again, regardless of the reasons.
    """

    time: str
    reasons: tuple[Reason, ...]
    changed: tuple[str, ...]

    @property
    def runs_stages(self) -> bool:
        """Return whether all stage groups run, not only the publishing one."""
        return bool(self.reasons and self.changed)

    def sentence(self) -> str:
        """Return the decision in one line."""
        if self.runs_stages:
            return f"retrain: {', '.join(dict.fromkeys(reason.kind for reason in self.reasons))}"
        if self.reasons:
            return "no input of a model has changed, so training would give the same models: only register runs"
        return "no reason to train: only register runs"


def decide(
    batches: Sequence[str],
    changed: Sequence[str],
    drifting: Mapping[str, str],
    old: Mapping[str, float],
    forced: bool,
) -> Decision:
    """Return the decision.

    Args:
        batches: what was ingested, a line each.
        changed: stages and pointers that differ from `dvc.lock`.
        drifting: why a data set or model drifts, by its name.
        old: age in days of champions beyond the limit, by name.
        forced: whether a person asked for it.
    """
    reasons = [Reason("new data", line) for line in batches]
    if changed:
        more = f" and {len(changed) - _NAMES_SHOWN} more" if len(changed) > _NAMES_SHOWN else ""
        reasons.append(Reason("changed", f"differ from dvc.lock: {', '.join(changed[:_NAMES_SHOWN])}{more}"))
    reasons += [Reason("drift", f"{name}: {why}") for name, why in sorted(drifting.items())]
    reasons += [Reason("age", f"{name}: its champion is {days:.0f} days old") for name, days in sorted(old.items())]
    if forced:
        reasons.append(Reason("forced", "started by hand"))
    return Decision(now(), tuple(reasons), tuple(changed))


def old_champions(ledger: Ledger, names: Sequence[str], max_age: float | None, today: str) -> dict[str, float]:
    """Return the age of the champions that were promoted more than `max_age` days before `today`, by name."""
    ages = {}
    for name in names if max_age is not None else ():
        champion = ledger.champion_of(name)
        first = next((e for e in ledger.of(name) if champion and e.model_md5 == champion.model_md5), None)
        if first is not None:  # a rollback makes no model younger
            ages[name] = (datetime.fromisoformat(today) - datetime.fromisoformat(first.time)).total_seconds() / 86400
    return {name: days for name, days in ages.items() if max_age is not None and days > max_age}


def record(decision: Decision, root: Path) -> None:
    """Append a decision to `.sightline/retrain.jsonl`."""
    told = json.dumps({**asdict(decision), "runs_stages": decision.runs_stages})
    append_line(root / ".sightline" / "retrain.jsonl", told)


def today_utc() -> str:
    """Return the date of a branch, in UTC as all times of the ledger."""
    return datetime.now(UTC).date().isoformat()
