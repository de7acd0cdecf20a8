"""A search that is killed again and again repeats no finished trial, and ends as an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline.labs.choose.journal import Journal, Record

KILLS = 20
PROGRAM = Path(__file__).with_name("killed_search.py")


def begun(database: Path, log: Path, run: int, most: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(database), str(log), str(run), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def completed(database: Path, log: Path, run: int) -> list[Record]:
    process = begun(database, log, run, most=10**6)
    said, complained = process.communicate(timeout=60)
    assert said.split() == ["ready", "done"], complained
    return Journal(database, "c").records()


def lines(log: Path) -> int:
    return len(log.read_bytes().splitlines()) if log.exists() else 0


def wait_for_lines(log: Path, count: int) -> None:
    """Wait until trials have begun or ended so often, however fast the disk is."""
    until = time.monotonic() + 20
    while lines(log) < count and time.monotonic() < until:
        time.sleep(0.002)


@pytest.mark.faults
def test_twenty_kills_repeat_no_finished_trial(tmp_path: Path) -> None:
    draws = random.Random(5)
    database, log = tmp_path / "killed.db", tmp_path / "log"
    ended_before: list[set[str]] = []  # what the journal held when each run began
    for run in range(KILLS):
        ended_before.append({record.key for record in Journal(database, "c").records() if record.state != "running"})
        before, more = lines(log), draws.randint(0, 3)
        process = begun(database, log, run, most=more + 1)
        if run % 5:  # every fifth is killed somewhere in its imports, or whenever that is
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        wait_for_lines(log, before + more)
        time.sleep(draws.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        _, complained = process.communicate()
        assert process.returncode == -signal.SIGKILL, complained or "all was tried before the last kill"
    ended_before.append({record.key for record in Journal(database, "c").records() if record.state != "running"})
    assert len(ended_before[-1]) > 3  # kills came between trials as well as within
    records = completed(database, log, KILLS)
    began: dict[str, list[int]] = {}
    for line in log.read_text().splitlines():
        number, word, key, *_ = line.split()
        if word == "begin":
            assert key not in ended_before[int(number)], "a finished trial was begun again"
            began.setdefault(key, []).append(int(number))
    assert max(map(len, began.values())) > 1  # some were taken up again
    assert all(len(runs) == len(set(runs)) for runs in began.values())  # within a run no trial begins twice
    assert {record.state for record in records} == {"finished", "stopped"}
    assert sorted(began) == sorted(record.key for record in records)
    undisturbed = completed(tmp_path / "undisturbed.db", tmp_path / "undisturbed.log", 0)
    told = [[(one.key, one.state, one.found.get("score")) for one in own] for own in (records, undisturbed)]
    assert told[0] == told[1]
