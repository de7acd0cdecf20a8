"""When a run of the pipeline will be done: what is expected before it, and corrected while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sightline.pipeline.durations import Guess, Share, guesses, remaining, running_share, time_words
from sightline.pipeline.notes import read_duration
from sightline.pipeline.ordering import Needs
from sightline.pipeline.reproduction import Result

# Seconds that DVC takes for a stage beside its process: imports, hashes, its cache. Median of the embedded demo
# (docs/performance.md), until stages of this run have ended.
AROUND = 2.0


@dataclass(frozen=True)
class Part:
    """The stages of one data set, model or other entry of `params.yaml`; `name` is "" for those of none."""

    name: str
    stages: list[str]
    seconds: float


class Forecast:
    """A follower of `reproduce` that knows how long it will take.

    Args:
        root: of the project.
        jobs: stages at a time.
        say: is called with this forecast and a stage after it was planned (""), has begun or has ended.
        clock: seconds, rising.
    """

    def __init__(
        self, root: Path, jobs: int, say: Callable[[Forecast, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.root, self.jobs, self._say, self._clock = root, jobs, say, clock
        self.needs: Needs = {}
        self.pending: set[str] = set()
        self.guesses: dict[str, Guess] = {}
        self.results: dict[str, Result] = {}
        self.begun: dict[str, float] = {}
        self._around: list[float] = []

    def plan(self, needs: Needs, pending: set[str]) -> None:
        """Look up what the pending stages are expected to take."""
        self.needs, self.pending = needs, pending
        self.guesses = guesses(self.root, pending)
        self._say(self, "")

    def begin(self, stage: str) -> None:
        """Take the time."""
        self.begun = {**self.begun, stage: self._clock()}  # replaced, as another thread may read it
        self._say(self, stage)

    def end(self, result: Result) -> None:
        """Learn from a stage how much time DVC takes around one."""
        self.begun = {stage: began for stage, began in self.begun.items() if stage != result.stage}
        self.results = {**self.results, result.stage: result}
        noted = read_duration(self.root, result.stage) if result.outcome == "ran" else None
        if noted is not None and noted["seconds"] <= result.seconds:
            self._around.append(result.seconds - noted["seconds"])
        self._say(self, result.stage)

    def told(self, stage: str) -> float:
        """Return the seconds that a stage was expected to take before anything ran."""
        return self.guesses[stage].seconds + AROUND

    def expected(self, stage: str) -> float:
        """Return the seconds that a stage is now expected to take, with what DVC does around it."""
        return self.guesses[stage].seconds + (median(self._around) if self._around else AROUND)

    def left(self) -> float:
        """Return the seconds until all is done."""
        durations = {stage: self.expected(stage) for stage in self.pending}
        done = (set(self.needs) - self.pending) | set(self.results)
        running = {stage: self._state(stage, began) for stage, began in self.begun.items()}
        return remaining(self.needs, durations, done, running, self.jobs)

    def _state(self, stage: str, began: float) -> float | Share:
        elapsed = self._clock() - began
        return running_share(self.root, stage, elapsed) or elapsed

    def words(self) -> str:
        """Say how far the run is, such as `3 of 9 stages, about 7 min left`."""
        count = f"{len(self.results)} of {len(self.pending)} stages"
        if not self.begun and len(self.results) == len(self.pending):
            return f"{count}, done"
        if any(result.outcome == "failed" for result in self.results.values()):
            return f"{count}, ends after a failure"
        return f"{count}, about {time_words(self.left())} left"

    def parts(self) -> list[Part]:
        """Return the pending stages by what they are of, in the order of the pipeline."""
        found: dict[str, list[str]] = {}
        for stage in self.needs:
            if stage in self.pending:
                found.setdefault(stage.partition("@")[2], []).append(stage)
        return [Part(name, stages, sum(map(self.expected, stages))) for name, stages in found.items()]

    def assumed(self) -> list[str]:
        """Return the stages of which nothing like it was measured or estimated here."""
        return sorted(stage for stage, guess in self.guesses.items() if guess.source == "assumed")
