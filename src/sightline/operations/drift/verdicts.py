"""Checks become verdicts: a data set begins to drift, and stops, after several checks in a row."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.system.errors import UserError
from sightline.system.files import new_file, read_json, write_json

STATE = Path(".sightline/monitor.json")
HISTORY = Path(".sightline/monitor_checks.jsonl")


@dataclass(frozen=True)
class Verdict:
    """What is held of a data set.

    Attributes:
        drifting: whether its recent images differ from what its models were judged on.
        since: when that began, ISO 8601; None if it does not drift.
        reason: what has changed, in one line.
        checked: when it was last checked, ISO 8601.
        samples: recent images of that check.
    """

    drifting: bool
    since: str | None
    reason: str
    checked: str
    samples: int


@dataclass(frozen=True)
class CheckRecord:
    """One check, as a line of the history."""

    dataset: str
    checked: str
    drifting: bool
    p: float
    samples: int
    reason: str


def last_verdicts(root: Path) -> dict[str, Verdict]:
    """Return the verdict on each data set that has been checked, by its name.

    Raises:
        UserError: the file of verdicts is damaged.
    """
    path = root / STATE
    try:
        return {name: Verdict(**values) for name, values in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it, and the next checks will write it again") from None


def past_checks(root: Path, dataset: str) -> list[CheckRecord]:
    """Return the checks of a data set, the oldest first.

    Raises:
        UserError: the history is damaged.
    """
    return [check for check in _history(root) if check.dataset == dataset]


def record_check(root: Path, check: CheckRecord, flag_after: int, clear_after: int) -> tuple[Verdict, bool]:
    """Add a check to the history and write the verdict that follows.

    Args:
        root: of the project.
        check: the newest one.
        flag_after: checks in a row that find drift before the data set is drifting.
        clear_after: checks in a row that find none before it is not any more.

    Returns:
        The verdict, and whether drift begins with it.
    """
    verdicts = last_verdicts(root)
    history = [*_history(root), check]
    before = verdicts.get(check.dataset)
    verdict = judge([own for own in history if own.dataset == check.dataset], before, flag_after, clear_after)
    with new_file(root / HISTORY) as work:
        work.write_text("".join(json.dumps(asdict(own), sort_keys=True) + "\n" for own in history), encoding="utf-8")
    write_json(root / STATE, {name: asdict(own) for name, own in {**verdicts, check.dataset: verdict}.items()})
    return verdict, verdict.drifting and not (before is not None and before.drifting)


def judge(checks: list[CheckRecord], before: Verdict | None, flag_after: int, clear_after: int) -> Verdict:
    """Return the verdict after the last of some checks, given the one before it."""
    last = checks[-1]
    streak = 0
    for check in reversed(checks):
        if check.drifting != last.drifting:
            break
        streak += 1
    was = before is not None and before.drifting
    drifting = (was and streak < clear_after) if not last.drifting else (was or streak >= flag_after)
    since = (before.since if was and before is not None else last.checked) if drifting else None
    reason = last.reason
    if drifting != last.drifting:
        needed = flag_after if last.drifting else clear_after
        reason = f"{last.reason}; check {streak} of {needed} needed in a row before the verdict changes"
    return Verdict(drifting, since, reason, last.checked, last.samples)


def _history(root: Path) -> list[CheckRecord]:
    path = root / HISTORY
    if not path.exists():
        return []
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [CheckRecord(**values) for values in lines]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it, and checks will be counted from the start") from None
