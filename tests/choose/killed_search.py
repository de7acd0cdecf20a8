"""A search with a stand-in for trainings, to be killed: `python killed_search.py DATABASE LOG RUN LINES`.

A trial takes seven steps and goes on with the step that it was at, as a training does with its checkpoint. After so
many lines in the log it waits, so that a kill that comes late, on a busy machine, still comes before the end.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sightline.labs.choose.journal import Journal, alone
from sightline.labs.choose.search import Curve, Ended, Search, Stop
from sightline.labs.choose.space import Candidate, Space

SPACE = Space(("fast", "good"), ("one", "two"), (16, 24, 32), (1.0, 0.5, 2.0))
LARGE = Space(SPACE.recipes, (*SPACE.networks, "three"), SPACE.sizes, SPACE.rates)
STEPS, STEP = 7, 0.006


def score(candidate: Candidate) -> float:
    """A number between 0 and 1 by the settings alone."""
    digest = hashlib.sha256(json.dumps(candidate.to_json()).encode()).digest()
    return digest[0] / 255


class StandIn:
    def __init__(self, folder: Path, log: Callable[[str], None]) -> None:
        self.folder, self.log = folder, log
        folder.mkdir(exist_ok=True)

    def possible(self, candidate: Candidate) -> bool:
        return candidate.size != 24 or candidate.rate != 2.0  # some contradict each other

    def key(self, candidate: Candidate) -> str:
        return hashlib.sha256(json.dumps(candidate.to_json()).encode()).hexdigest()[:16]

    def seconds(self, candidate: Candidate, left: float) -> float:
        return 1.0

    def too_costly(self, candidate: Candidate) -> str | None:
        return None

    def run(self, candidate: Candidate, key: str, keep_on: Callable[[Curve], Stop | None]) -> Ended:
        file = self.folder / key
        done = int(file.read_text()) if file.exists() and file.read_text() else 0
        self.log(f"begin {key} {done}")
        scores = [score(candidate) * (place + 1) / STEPS for place in range(STEPS)]
        while True:
            rung = keep_on((scores[:done], STEPS)) if done else None  # also at what a killed run has left
            if rung is not None:
                return Ended("stopped", {"curve": scores[:done], "epochs": STEPS, "rung": rung})
            if done == STEPS:
                break
            time.sleep(STEP)
            done += 1
            file.write_text(str(done))
        self.log(f"end {key}")
        return Ended("finished", {"curve": scores, "epochs": STEPS, "metric": "accuracy", "score": score(candidate)})


def main(database: Path, log: Path, run: str, most: int) -> None:
    written = 0
    with log.open("a", buffering=1) as file, alone(database.with_suffix(".lock")):

        def write(line: str) -> None:
            nonlocal written
            print(f"{run} {line}", file=file)
            written += 1
            if written >= most:
                time.sleep(1e6)

        trials = StandIn(database.with_suffix(".steps"), write)
        print("ready", flush=True)
        Search(LARGE, Journal(database, "c"), trials, 1e9, seed=3, follow=lambda line: None).run()
        print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
