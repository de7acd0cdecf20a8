"""Checks become verdicts, and their files are what others read."""

import json
from pathlib import Path

import pytest

from sightline.operations.drift import Verdict, last_verdicts
from sightline.operations.drift.verdicts import CheckRecord, past_checks, record_check
from sightline.system.errors import UserError


def check(day: int, drifting: bool, dataset: str = "digits") -> CheckRecord:
    p = 1e-6 if drifting else 0.5
    return CheckRecord(dataset, f"2026-11-{day:02}T02:00:00+00:00", drifting, p, 200, "brightness: lower")


def verdicts(root: Path, results: list[bool], flag_after: int = 2, clear_after: int = 2) -> list[tuple[bool, bool]]:
    told = [record_check(root, check(day, found), flag_after, clear_after) for day, found in enumerate(results, 1)]
    return [(verdict.drifting, began) for verdict, began in told]


def test_two_in_a_row_begin_it_and_two_in_a_row_end_it(tmp_path: Path) -> None:
    found = verdicts(tmp_path, [True, False, True, True, True, False, True, False, False, False])
    assert [drifting for drifting, _ in found] == [False, False, False, True, True, True, True, True, False, False]
    assert [began for _, began in found] == [False, False, False, True, *[False] * 6]


def test_one_is_enough_where_that_is_wanted(tmp_path: Path) -> None:
    found = verdicts(tmp_path, [True, False, True], flag_after=1, clear_after=1)
    assert found == [(True, True), (False, False), (True, True)]


def test_the_file_of_verdicts(tmp_path: Path) -> None:
    assert last_verdicts(tmp_path) == {}
    verdicts(tmp_path, [True, True, True])
    record_check(tmp_path, check(9, False, "scenes"), 2, 2)
    values = json.loads((tmp_path / ".sightline/monitor.json").read_text())
    assert values["digits"] == {
        "drifting": True,
        "since": "2026-11-02T02:00:00+00:00",
        "reason": "brightness: lower",
        "checked": "2026-11-03T02:00:00+00:00",
        "samples": 200,
    }
    assert values["scenes"]["since"] is None
    assert last_verdicts(tmp_path)["digits"] == Verdict(**values["digits"])
    assert len(past_checks(tmp_path, "digits")) == 3


def test_the_reason_tells_how_many_checks_are_missing(tmp_path: Path) -> None:
    verdict, _ = record_check(tmp_path, check(1, True), 3, 2)
    assert verdict.reason == "brightness: lower; check 1 of 3 needed in a row before the verdict changes"


@pytest.mark.parametrize("name", ["monitor.json", "monitor_checks.jsonl"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str) -> None:
    verdicts(tmp_path, [True])
    (tmp_path / ".sightline" / name).write_text("[1]\n")
    with pytest.raises(UserError) as error:
        record_check(tmp_path, check(2, True), 2, 2)
    [line] = error.value.lines
    assert name in line
    assert "damaged" in line
