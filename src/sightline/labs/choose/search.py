"""The search: what is tried next, whether there is time for it, when it is stopped, and which one has won."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sightline.config.metrics import smaller_is_better
from sightline.labs.choose.cost import Limits
from sightline.labs.choose.journal import Journal, Record, State
from sightline.labs.choose.proposals import proposed
from sightline.labs.choose.pruning import stopped_at
from sightline.labs.choose.ranking import NO_LIMITS, ranking
from sightline.labs.choose.space import Candidate, Space
from sightline.system.errors import UserError, first_line

Stop = float | Literal["time"]  # the rung at which a training is stopped, or that the time of the search is over
Curve = tuple[Sequence[float], int]  # scores of the epochs done, more is better; epochs of the whole training
Tell = Callable[[str], None]
_AROUND = 15.0  # seconds besides the training, until some trials have shown how many
_FAILURES = 3  # trials, after which a search gives up if all of them failed
_MARGIN = 1.1  # times what timed steps say: a long training also writes checkpoints and waits for others


@dataclass(frozen=True)
class Ended:
    """How a trial has ended, and what is known of it."""

    state: State
    found: dict[str, Any]


class Trials(Protocol):
    """Where candidates are trained and measured."""

    def possible(self, candidate: Candidate) -> bool:
        """Return whether the settings do not contradict each other."""

    def key(self, candidate: Candidate) -> str | None:
        """Return what identifies the result, after `seconds`; None if the settings contradict each other."""

    def seconds(self, candidate: Candidate, left: float) -> float | None:
        """Return how long the training will take; None if there is no time left even to find out.

        Args:
            candidate: the settings.
            left: seconds that are left for it.

        Raises:
            UserError: it cannot be trained.
        """

    def too_costly(self, candidate: Candidate) -> str | None:
        """Return why the network breaks a limit of latency or size, None if it keeps them."""

    def run(self, candidate: Candidate, key: str, keep_on: Callable[[Curve], Stop | None]) -> Ended:
        """Train and measure a candidate; one that was stopped because the time is over is still `running`.

        Args:
            candidate: the settings.
            key: of the trial.
            keep_on: is called again and again with the curve so far; returns why to stop, or None.
        """


class Search:
    """Tries candidates until the time is over.

    Args:
        space: what may be tried.
        journal: of what was done.
        trials: where they run.
        seconds: for the whole search, all its runs together.
        seed: of what is random.
        smaller: whether a smaller score is better.
        limits: of latency and size.
        follow: is told of each beginning and end.
    """

    def __init__(
        self,
        space: Space,
        journal: Journal,
        trials: Trials,
        seconds: float,
        seed: int,
        smaller: bool = False,
        limits: Limits = NO_LIMITS,
        follow: Tell = print,
    ) -> None:
        self.space, self.journal, self.trials, self.budget = space, journal, trials, seconds
        self.seed, self.smaller, self.limits, self.follow = seed, smaller, limits, follow
        self.left_out: dict[Candidate, str] = {}

    def left(self) -> float:
        """Return the seconds that are left."""
        self.journal.tick()
        return self.budget - self.journal.spent()

    def run(self) -> None:
        """Try one candidate after the other; those that a killed run left half done come first."""
        self.journal.tick()
        records = self.journal.records()
        for record in records:
            if record.state == "running":
                self._try(record.candidate, records)
        while True:
            records = self.journal.records()
            candidate = proposed(
                self.space, [record.candidate for record in records], self.left_out, self.ranked(records), self.seed
            )
            if candidate is None or self.left() < 0:
                break
            _complain_if_all_fail(records)
            if self.trials.possible(candidate):
                self._try(candidate, records)
            else:
                self.left_out[candidate] = "its settings contradict each other"

    def ranked(self, records: Sequence[Record]) -> list[Candidate]:
        """Return the finished candidates that keep the limits, the best one first."""
        return [record.candidate for record in ranking(records, self.smaller, self.limits)]

    def expected(self, training: float) -> float:
        """Return how long a trial will take, with what earlier ones took besides.

        Args:
            training: seconds of the training alone, by timed steps.
        """
        done = [record for record in self.journal.records() if record.state == "finished" and record.seconds]
        whole = [record for record in done if record.starts == 1]  # others went on in the middle
        around = [max(0.0, (record.seconds or 0.0) - _MARGIN * record.found["timed"]) for record in whole]
        return (statistics.median(around) if around else _AROUND) + _MARGIN * training

    def _try(self, candidate: Candidate, records: Sequence[Record]) -> None:
        """Train a candidate if there is time for it and it keeps the limits.

        Raises:
            UserError: the model as it is cannot be trained.
        """
        try:
            training = self.trials.seconds(candidate, self.left() - self.expected(0.0))
            why = self._obstacle(candidate, training, records)
        except UserError as error:
            if candidate == self.space.first:
                raise
            why = first_line(error)
        if why is not None:
            self.left_out[candidate] = why
            return
        assert training is not None
        self._begin(candidate, self.expected(training), training)

    def _obstacle(self, candidate: Candidate, training: float | None, records: Sequence[Record]) -> str | None:
        """Return why a candidate is not to be trained, None if it is."""
        if training is None:
            return "no time to find out how long it takes"
        key = self.trials.key(candidate)
        if key is None:
            return "its settings contradict each other"
        if key in {record.key for record in records if record.state != "running"}:
            return "means the same as a trial before"
        expected = self.expected(training)
        if expected > self.left():
            return f"takes about {expected:.0f} s, of which {max(0.0, self.left()):.0f} s are left"
        return self.trials.too_costly(candidate)

    def _begin(self, candidate: Candidate, expected: float, training: float) -> None:
        """Train a candidate, and note how that ends."""
        key = self.trials.key(candidate)
        assert key is not None
        self.journal.begin(key, candidate, expected, training)
        number = next(record.number for record in self.journal.records() if record.key == key)
        self.follow(f"trial {number}: {candidate.words()}: about {expected:.0f} s; {self.left():.0f} s are left")
        others = {
            record.key: (record.found["curve"], int(record.found["epochs"]))
            for record in self.journal.records()
            if record.key != key and record.found.get("curve")
        }
        began = time.monotonic()

        def keep_on(curve: Curve) -> Stop | None:
            return "time" if self.left() < 0 else stopped_at(*curve, others)

        ended = self.trials.run(candidate, key, keep_on)
        if ended.state != "running":
            self.journal.end(key, ended.state, time.monotonic() - began, ended.found)
        self.journal.tick()
        self.follow(f"trial {number}: {told(ended)}")


def _complain_if_all_fail(records: Sequence[Record]) -> None:
    """Give up where nothing can be trained at all.

    Raises:
        UserError: the first trials have failed.
    """
    if len(records) >= _FAILURES and all(record.state == "failed" for record in records):
        lines = records[-1].found.get("output") or [records[-1].found.get("reason", "")]
        raise UserError([f"the first {len(records)} trials failed; the last one said:", *lines])


def sign_of(score: str) -> float:
    """Return by what a score of a curve is multiplied so that more is better."""
    return -1.0 if score == "loss" or smaller_is_better(score) else 1.0


def told(ended: Ended) -> str:
    """Return how a trial has ended, in a few words."""
    match ended.state:
        case "finished":
            return f"{ended.found['metric']} {ended.found['score']:.4f}"
        case "stopped":
            return f"stopped after {ended.found['rung']:.0%} of its epochs: others were better then"
        case "running":
            return "the time is over; it goes on with more --minutes"
        case _:
            return f"{ended.state}: {ended.found.get('reason', '')}"
