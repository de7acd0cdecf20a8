"""Trials as DVC experiments: a candidate is trained in a copy of the project, and measured on a part of validation."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from threading import Thread
from typing import Any

from sightline.labs.choose.cost import Cost, Limits
from sightline.labs.choose.measuring import Part, cost_of, measured, untrained_cost
from sightline.labs.choose.project_copy import ProjectCopy
from sightline.labs.choose.ranking import NO_LIMITS
from sightline.labs.choose.search import Curve, Ended, Stop, sign_of
from sightline.labs.choose.settings import possible
from sightline.labs.choose.space import Candidate
from sightline.labs.choose.times import TrainingTimes
from sightline.labs.start.chooser import WEIGHTS
from sightline.operations.retraining.programs import guarded
from sightline.pipeline.notes import read_note
from sightline.pipeline.store import last_outputs
from sightline.system.files import write_json
from sightline.training.followed import CURVE, FOLLOWED, IDS

_POLL = 0.25  # seconds between two looks at a curve
_PATIENCE = 20.0  # seconds that DVC has to clear up after a training that was stopped
_LINES = 12  # of an experiment's output, shown if it fails


class DvcTrials:
    """Candidates of one model, trained by `dvc exp run`.

    Args:
        times: of trainings, with the model's settings and the journal.
        project: the copy of the project to train in.
        part: of validation, to choose by.
        context: a hash of all that decides results besides settings.
        work: a folder for curves.
        limits: of latency and size.
        environment: variables for trainings, by which MLflow shows them below the search.
        lock: an open file, held by what is begun here.
        stopped: is called after a training was stopped or failed.
    """

    def __init__(
        self,
        times: TrainingTimes,
        project: ProjectCopy,
        part: Part,
        context: str,
        work: Path,
        limits: Limits,
        environment: Mapping[str, str],
        lock: int,
        stopped: Callable[[], None],
    ) -> None:
        self.times, self.settings, self.journal = times, times.settings, times.journal
        self.project, self.part, self.context, self.work, self.limits = project, part, context, work, limits
        self.environment, self.lock, self.stopped = environment, lock, stopped

    @cached_property
    def metric(self) -> str | None:
        """The headline metric that the model is judged by, None for that of its kind of task."""
        return self.settings.params.evaluation.headline.get(self.settings.name)

    def possible(self, candidate: Candidate) -> bool:
        """Return whether the settings do not contradict each other."""
        return possible(self.settings, candidate) is not None

    def key(self, candidate: Candidate) -> str | None:
        """Return what identifies the result, after `seconds` has settled the epochs; None for contradictions."""
        settings = self.times.chosen(candidate)
        return None if settings is None else settings.key(self.context)

    def seconds(self, candidate: Candidate, left: float) -> float | None:
        """Return how long the training will take, None if there is no time even to find out."""
        return self.times.seconds(candidate, left)

    def too_costly(self, candidate: Candidate) -> str | None:
        """Return which limit a network breaks, None if none: latency and size do not depend on what it learns."""
        if self.limits == NO_LIMITS:
            return None
        name = f"cost {candidate.network} {candidate.size}"
        known = self.journal.noted(name)
        if known is None:
            settings = self.settings.of(candidate)
            seed = settings.params.seed_of(settings.name)
            cost = untrained_cost(settings.model, seed, self.times.prepared, WEIGHTS)
            known = {} if cost is None else asdict(cost)
            self.journal.note(name, known)
        return self.limits.broken_by(Cost(**known)) if known else "no ONNX graph whose cost could be measured"

    def run(self, candidate: Candidate, key: str, keep_on: Callable[[Curve], Stop | None]) -> Ended:
        """Train a candidate in the copy, stop it if it is not worth going on with, and measure it."""
        settings = self.times.chosen(candidate)
        assert settings is not None
        folder = self.work / key
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / IDS, sorted(self.part.ids))
        self.project.write_params(settings.text)
        experiment = f"choose-{settings.name}-{key[:8]}"
        command = ["dvc", "exp", "run", "--single-item", "--name", experiment, f"train@{settings.name}"]
        lines: deque[str] = deque(maxlen=_LINES)
        why: Stop | None = None
        with self._running(command, folder, lines) as process:
            while process.poll() is None:
                time.sleep(_POLL)
                why = keep_on(self._curve(folder))
                if why is not None:
                    self._stop(process, folder)
                    break
        curve, epochs = self._curve(folder)
        found: dict[str, Any] = {"curve": list(curve), "epochs": epochs, "experiment": experiment}
        found["curve_of"] = _curve_name(folder, self.metric)
        if why is not None:
            self.stopped()
            return Ended("running", {}) if why == "time" else Ended("stopped", {**found, "rung": why})
        if process.returncode != 0:
            self.stopped()
            reason = next((line for line in reversed(lines) if line and not line.startswith("ERROR: ")), "")
            return Ended("failed", {**found, "reason": reason, "output": list(lines)})
        self.project.hand_over(experiment)
        model = self.project.root / "models" / settings.name
        made = last_outputs(self.project.root, f"train@{settings.name}") or {}
        found["model_md5"] = made[f"models/{settings.name}"]
        score = measured(model, self.part, settings.params.evaluation, self.metric)
        return Ended("finished", {**found, **score, **cost_of(model, settings.model)})

    @contextmanager
    def _running(self, command: Sequence[str], folder: Path, lines: deque[str]) -> Iterator[Popen[str]]:
        """Run a command in the copy, with its output in `lines`; nothing of it outlives the block or this process."""
        environment = {**self.environment, FOLLOWED: str(folder.resolve())}
        mirror = os.environ.get("SIGHTLINE_WEIGHTS", "")
        if mirror and "://" not in mirror:
            environment["SIGHTLINE_WEIGHTS"] = str(Path(mirror).resolve())
        whole = [sys.executable, "-m", *command]
        with guarded(whole, self.project.root, locks=[self.lock], environment=environment) as process:
            reader = Thread(target=lambda: lines.extend(line.rstrip() for line in process.stdout or ()), daemon=True)
            reader.start()
            yield process
        reader.join(5)

    def _stop(self, process: Popen[str], folder: Path) -> None:
        """End a training, and give DVC some time to notice and clear up."""
        import psutil

        pid = int(read_note(folder / CURVE).get("process", 0))
        with suppress(psutil.Error):
            training = psutil.Process(pid)
            if process.pid in [parent.pid for parent in training.parents()]:  # it is ours, not a number used again
                training.terminate()
        until = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < until:
            time.sleep(_POLL)

    def _curve(self, folder: Path) -> Curve:
        """Return the scores of the epochs so far, more is better, and the number of epochs."""
        note, name = read_note(folder / CURVE), _curve_name(folder, self.metric)
        rows, sign = note.get("rows") or [], sign_of(name)
        return [sign * row[f"val_{name}"] for row in rows if f"val_{name}" in row], int(note.get("epochs") or 0)


def _curve_name(folder: Path, metric: str | None) -> str:
    """Return the score that a curve is judged by: the headline where there is one, else the first, else the loss."""
    rows = read_note(folder / CURVE).get("rows") or [{}]
    scores = [name.removeprefix("val_") for name in rows[0] if name.startswith("val_") and name != "val_loss"]
    return metric if metric is not None and metric in scores else scores[0] if scores else "loss"
