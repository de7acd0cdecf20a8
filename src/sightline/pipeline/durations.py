"""How long stages take: what they took here, what they are expected to take, and when all will be done.

Each stage that succeeds writes `.sightline/durations/STAGE.json`, outside DVC and git. Nothing reads them but words
for people, so they are no part of a stage's stamp or outputs; one that cannot be written or read is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from sightline.pipeline.ordering import Needs, chain_lengths, ready_stages
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json

DURATIONS = Path(".sightline/durations")
EXPECTED = Path(".sightline/expected.json")
PROGRESS = Path(".sightline/progress")  # written by trainings, an epoch at a time
_STAMPS = Path(".sightline/code")
# Seconds of a stage that nothing is known of, by kind: medians of the embedded data sets and models on two shared cores
# (docs/performance.md). They are a first guess: once a stage has run, its time counts.
USUAL = {
    "prepare": 7.0,
    "augment": 6.0,
    "train": 60.0,
    "embed": 8.0,
    "fit_head": 9.0,
    "evaluate": 12.0,
    "stylize": 60.0,
    "explain": 22.0,
    "release": 3.0,
    "register": 10.0,
    "code": 2.0,
}
_ANY = 10.0  # of a stage of another name
_IMPORTED = time.monotonic()
_OVERDUE = 0.1  # a stage that takes longer than expected is assumed to take a tenth of its time more

Source = Literal["measured", "measured with other settings", "estimated", "others like it", "assumed"]


@dataclass(frozen=True)
class Guess:
    """How long a stage may take, seconds, and how that is known."""

    seconds: float
    source: Source


@dataclass(frozen=True)
class Share:
    """How far a running stage is.

    Attributes:
        done: share of its work, 0 to 1.
        elapsed: seconds that this took.
    """

    done: float
    elapsed: float


def write_expected(root: Path, seconds: Mapping[str, float]) -> None:
    """Remember how long stages are expected to take.

    Args:
        root: of the project.
        seconds: by stage, such as train@flowers; other stages stay as they are.

    Raises:
        DiskError: the disk is full, or not to be written to.
    """
    now = time.time()
    own = {stage: {"seconds": round(float(value), 3), "written": now} for stage, value in seconds.items()}
    write_json(root / EXPECTED, {**_read(root / EXPECTED), **own})


def expected_seconds(root: Path, stages: Iterable[str]) -> dict[str, float]:
    """Return how long each stage is expected to take, seconds from the start of its process to its end.

    The first of these that is known: what it took last here with the same settings; what was written by
    `write_expected` since it ran last; what it took last with other settings, in proportion to `max_epochs`; the median of stages of its kind here; a
    constant (`USUAL`).

    Args:
        root: of the project.
        stages: as DVC names them.
    """
    return {stage: guess.seconds for stage, guess in guesses(root, stages).items()}


def guesses(root: Path, stages: Iterable[str]) -> dict[str, Guess]:
    """Return what `expected_seconds` does, with how it is known."""
    told = _read(root / EXPECTED)
    measured = {
        path.stem: whole for path in sorted((root / DURATIONS).glob("*.json")) if (whole := _whole(_read(path)))
    }
    return {stage: _guess(root, stage, told, measured) for stage in stages}


def _guess(root: Path, stage: str, told: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> Guess:
    own, kind = measured.get(stage), stage.split("@", 1)[0]
    if own is not None and own.get("settings") == settings_of(root, stage):
        return Guess(own["seconds"], "measured")
    written = told.get(stage) if isinstance(told.get(stage), dict) else None
    if written is not None and _is_time(written.get("seconds")):
        since = written.get("written")
        if own is None or (_is_time(since) and since > own.get("ended", 0.0)):
            return Guess(float(written["seconds"]), "estimated")
    if own is not None:
        return Guess(own["seconds"] * _longer(root, stage, own), "measured with other settings")
    alike = [one["seconds"] for name, one in measured.items() if name.split("@", 1)[0] == kind]
    return Guess(median(alike), "others like it") if alike else Guess(USUAL.get(kind, _ANY), "assumed")


def _longer(root: Path, stage: str, own: Mapping[str, Any]) -> float:
    """Return how many times as many epochs a training may take as when it was measured, 1 of what has none."""
    stamp, before = _read(_stamp(root, stage)), own.get("most_epochs")
    for value in stamp.get("values") or []:
        trainer = value.get("trainer") if isinstance(value, dict) else None
        epochs = trainer.get("max_epochs") if isinstance(trainer, dict) else None
        if _is_time(epochs) and _is_time(before) and before:
            return float(epochs / before)
    return 1.0


def _stamp(root: Path, stage: str) -> Path:
    name, _, key = stage.partition("@")
    return root / _STAMPS / name / f"{key}.json"


def settings_of(root: Path, stage: str) -> str:
    """Return a hash of the settings that a stage reads, defaults included; "" for a stage without any."""
    stamp = _read(_stamp(root, stage))
    text = json.dumps(stamp.get("values", ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if stamp else ""


def read_duration(root: Path, stage: str) -> dict[str, Any] | None:
    """Return what a stage noted when it ended last: seconds, expected, ended, settings, and `resumed`; None if nothing.

    `resumed` is true of a training that went on after it was killed: its seconds are those after the last start.
    """
    found = _read(root / DURATIONS / f"{stage}.json")
    return found if _is_time(found.get("seconds")) else None


def note_duration(root: Path, stage: str, expected: float | None) -> None:
    """Write how long this process, which has done the work of a stage, has run; whatever fails, the stage does not.

    Args:
        root: of the project.
        stage: as DVC names it.
        expected: seconds, None if not known.
    """
    if not _leads():
        return
    with suppress(OSError, ValueError, UserError):
        made: dict[str, Any] = {
            "seconds": round(process_seconds(), 3),
            "expected": None if expected is None else round(expected, 3),
            "ended": time.time(),
            "settings": settings_of(root, stage),
        }
        epochs = _read(root / PROGRESS / f"{stage}.json")
        if epochs.get("process") == os.getpid():
            names = {"epochs_done": "epochs", "epochs": "most_epochs"}
            made |= {own: epochs.get(name) for name, own in names.items()}
            made["resumed"] = bool(epochs.get("resumed_from"))
            (root / PROGRESS / f"{stage}.json").unlink(missing_ok=True)
        path = root / DURATIONS / f"{stage}.json"
        if made.get("resumed"):
            made["whole"] = _whole(_read(path))
        write_json(path, made)


def _leads() -> bool:
    """Return whether this is the first of the processes of one training."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))


def process_seconds() -> float:
    """Return how long this process has run, interpreter and imports included."""
    import psutil

    try:
        return max(0.0, time.time() - float(psutil.Process().create_time()))
    except psutil.Error:  # a system that does not say
        return time.monotonic() - _IMPORTED


def running_share(root: Path, stage: str, elapsed: float) -> Share | None:
    """Return how far a running training is by the times of its epochs; None if it does not say so.

    Args:
        root: of the project.
        stage: as DVC names it.
        elapsed: seconds since it was begun; what was written before that is of an earlier run.
    """
    told = _read(root / PROGRESS / f"{stage}.json")
    names = ("epochs_done", "epochs", "seconds", "written")
    if not all(_is_time(told.get(name)) for name in names) or time.time() - told["written"] > elapsed:
        return None
    done, every = told["epochs_done"], told["epochs"]
    here = done - told.get("resumed_from", 0)
    if here <= 0:
        return None
    last = _whole(_read(root / DURATIONS / f"{stage}.json")) or {}
    if last.get("most_epochs") == every and _is_time(last.get("epochs")) and last["epochs"] > done:
        every = last["epochs"]  # where it stopped early
    left = max(0.0, (every - done) * told["seconds"] / here - (time.time() - told["written"]))
    return Share(elapsed / (elapsed + left) if elapsed + left else 0.0, elapsed)


def remaining(
    needs: Needs, durations: Mapping[str, float], done: Iterable[str], running: Mapping[str, float | Share], jobs: int
) -> float:
    """Return the seconds until every stage is done, by going through the schedule that `reproduce` would follow.

    Args:
        needs: of every stage, the stages that it needs.
        durations: seconds that each stage is expected to take.
        done: stages that have run, or do not have to.
        running: stages that run now, with the seconds since they began or how far they are.
        jobs: stages at a time, 1 or more.
    """
    finished, lengths, now = set(done), chain_lengths(needs), 0.0
    ends = {stage: _left(durations[stage], state) for stage, state in running.items()}
    pending = set(needs) - finished - set(ends)
    while ends or pending:
        for stage in ready_stages(needs, pending, finished, lengths)[: max(0, jobs - len(ends))]:
            pending.remove(stage)
            ends[stage] = now + durations[stage]
        stage = min(ends, key=lambda one: (ends[one], one))
        now = ends.pop(stage)
        finished.add(stage)
    return now


def _left(expected: float, state: float | Share) -> float:
    if isinstance(state, Share):
        if state.done > 0:
            return state.elapsed * (1 - state.done) / state.done
        state = state.elapsed
    return max(expected - state, _OVERDUE * state)


def time_words(seconds: float) -> str:
    """Return a time as a person would say it, such as 80 s, 7 min or 2 h 5 min."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _whole(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last record of a stage that ran from its beginning to its end, None if there is none."""
    own = record.get("whole") if record.get("resumed") else record
    return dict(own) if isinstance(own, Mapping) and _is_time(own.get("seconds")) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
