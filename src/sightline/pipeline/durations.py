"""How long stages take: what they took here, what they are expected to take, and when all will be done.

Each stage that succeeds writes `.sightline/durations/STAGE.json`, outside DVC and git. Nothing reads them but words
for people, so they are no part of a stage's stamp or outputs; one that cannot be written or read is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from sightline.pipeline.notes import DURATIONS, PROGRESS, is_time, read_note, settings_of, stamp_path, whole_run
from sightline.pipeline.ordering import Needs, chain_lengths, ready_stages
from sightline.system.files import write_json

EXPECTED = Path(".sightline/expected.json")
# Seconds of a stage that nothing is known of, by kind: medians of the embedded data sets and models on two shared cores
# (docs/performance.md); those of stylize, register and code are estimates. Once a stage has run, its time counts.
USUAL = {
    "prepare": 7.0,
    "augment": 4.0,
    "train": 56.0,
    "embed": 7.0,
    "fit_head": 8.0,
    "evaluate": 10.0,
    "stylize": 60.0,
    "explain": 20.0,
    "quantise": 6.0,
    "release": 2.0,
    "register": 10.0,
    "code": 1.0,
}
_ANY = 10.0  # of a stage of another name
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
    write_json(root / EXPECTED, {**read_note(root / EXPECTED), **own})


def expected_seconds(root: Path, stages: Iterable[str]) -> dict[str, float]:
    """Return how long each stage is expected to take, seconds from the start of its process to its end.

    The first of these that is known: what it took last here with the same settings; what was written by
    `write_expected` since it ran last; what it took last with other settings, a training in proportion to `max_epochs`;
    the median of stages of its kind here; a constant (`USUAL`).

    Args:
        root: of the project.
        stages: as DVC names them.
    """
    return {stage: guess.seconds for stage, guess in guesses(root, stages).items()}


def guesses(root: Path, stages: Iterable[str]) -> dict[str, Guess]:
    """Return what `expected_seconds` does, with how it is known."""
    told = read_note(root / EXPECTED)
    noted = {path.stem: whole_run(read_note(path)) for path in sorted((root / DURATIONS).glob("*.json"))}
    measured = {name: run for name, run in noted.items() if run is not None}
    return {stage: _guess(root, stage, told, measured) for stage in stages}


def _guess(root: Path, stage: str, told: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> Guess:
    own, kind = measured.get(stage), stage.split("@", 1)[0]
    if own is not None and own.get("settings") == settings_of(root, stage):
        return Guess(own["seconds"], "measured")
    written = told.get(stage) if isinstance(told.get(stage), dict) else None
    if written is not None and is_time(written.get("seconds")):
        since = written.get("written")
        if own is None or (is_time(since) and since > own.get("ended", 0.0)):
            return Guess(float(written["seconds"]), "estimated")
    if own is not None:
        return Guess(own["seconds"] * _longer(root, stage, own), "measured with other settings")
    alike = [one["seconds"] for name, one in measured.items() if name.split("@", 1)[0] == kind]
    return Guess(median(alike), "others like it") if alike else Guess(USUAL.get(kind, _ANY), "assumed")


def _longer(root: Path, stage: str, own: Mapping[str, Any]) -> float:
    """Return how many times as many epochs a training may take as when it was measured, 1 of what has none."""
    stamp, before = read_note(stamp_path(root, stage)), own.get("most_epochs")
    for value in stamp.get("values") or []:
        trainer = value.get("trainer") if isinstance(value, dict) else None
        epochs = trainer.get("max_epochs") if isinstance(trainer, dict) else None
        if is_time(epochs) and is_time(before) and before:
            return float(epochs / before)
    return 1.0


def running_share(root: Path, stage: str, elapsed: float) -> Share | None:
    """Return how far a running training is by the times of its epochs; None if it does not say so.

    Args:
        root: of the project.
        stage: as DVC names it.
        elapsed: seconds since it was begun; what was written before that is of an earlier run.
    """
    told = read_note(root / PROGRESS / f"{stage}.json")
    names = ("epochs_done", "epochs", "seconds", "written")
    if not all(is_time(told.get(name)) for name in names) or time.time() - told["written"] > elapsed:
        return None
    done, every = told["epochs_done"], told["epochs"]
    here = done - told.get("resumed_from", 0)
    if here <= 0:
        return None
    last = whole_run(read_note(root / DURATIONS / f"{stage}.json")) or {}
    if last.get("most_epochs") == every and is_time(last.get("epochs")) and last["epochs"] > done:
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
