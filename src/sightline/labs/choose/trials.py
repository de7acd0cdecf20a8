"""Trials as DVC experiments: a candidate is trained in a copy of the project, and measured on a part of validation."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from threading import Thread
from typing import Any

from sightline.config.models import Model
from sightline.data.subset import write_subset
from sightline.labs.choose.cost import Cost, Limits, measured_cost
from sightline.labs.choose.journal import Journal
from sightline.labs.choose.project_copy import ProjectCopy
from sightline.labs.choose.search import Curve, Ended, Stop, sign_of
from sightline.labs.choose.settings import Settings, possible
from sightline.labs.choose.space import Candidate
from sightline.labs.start.timing import StepTimes, time_steps
from sightline.operations.retraining.programs import guarded
from sightline.pipeline.notes import read_note
from sightline.pipeline.store import last_outputs
from sightline.registry.tracking import PARENT
from sightline.system.errors import UserError
from sightline.system.files import new_folder, write_json
from sightline.training.followed import CURVE, FOLLOWED, IDS

WEIGHTS = Path("data/weights")
_SHARE = 1 / 5  # of the search's time that one training may take, a ladder twice as much: epochs are cut to it
_FEWEST_EPOCHS = 2
_TIMING = 12.0  # seconds that it takes to time steps of a network
_POLL = 0.25  # seconds between two looks at a curve
_PATIENCE = 20.0  # seconds that DVC has to clear up after a training that was stopped
_LINES = 12  # of an experiment's output, shown if it fails


@dataclass(frozen=True)
class Part:
    """A part of the validation split, as a data set of its own that evaluation can read."""

    ids: tuple[str, ...]
    folder: Path


def write_part(prepared: Path, ids: Sequence[str], folder: Path) -> Part:
    """Write some validation images as the test split of a new data set."""
    with new_folder(folder) as work:
        write_subset(prepared, ids, work / "data", split="val")
    return Part(tuple(ids), folder / "data")


class DvcTrials:
    """Candidates of one model, trained by `dvc exp run`.

    Args:
        settings: the model as it is.
        project: the copy of the project to train in.
        journal: keeps what was timed.
        part: of validation, to choose by.
        context: a hash of all that decides results besides settings.
        work: a folder for curves.
        seconds: of the whole search.
        limits: of latency and size.
        sizes: of inputs that may be tried.
        parent: MLflow's run of the search.
        tracking: MLflow's address.
        lock: an open file, held by what is begun here.
        tell: shows a line.
    """

    def __init__(
        self,
        settings: Settings,
        project: ProjectCopy,
        journal: Journal,
        part: Part,
        context: str,
        work: Path,
        seconds: float,
        limits: Limits,
        sizes: Sequence[int],
        parent: str,
        tracking: str,
        lock: int,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.settings, self.project, self.journal, self.part = settings, project, journal, part
        self.context, self.work, self.budget, self.limits = context, work, seconds, limits
        self.sizes = sizes
        self.parent, self.tracking, self.lock, self.tell = parent, tracking, lock, tell
        self.prepared = project.main / "data/prepared" / settings.model.dataset
        self.stopped: Callable[[], None] = lambda: None  # called after a training was stopped

    @cached_property
    def metric(self) -> str | None:
        """The headline metric that the model is judged by, None for that of its kind of task."""
        return self.settings.params.evaluation.headline.get(self.settings.name)

    def most_epochs(self, candidate: Candidate) -> int | None:
        """Return the epochs that were settled for a candidate, None if none were yet."""
        known = self.journal.noted(_epochs_name(candidate))
        return None if known is None else int(known)

    def chosen(self, candidate: Candidate) -> Settings | None:
        """Return the settings of a candidate with the epochs that were settled for it."""
        return possible(self.settings, candidate, self.most_epochs(candidate))

    def possible(self, candidate: Candidate) -> bool:
        """Return whether the settings do not contradict each other."""
        return possible(self.settings, candidate) is not None

    def key(self, candidate: Candidate) -> str | None:
        """Return what identifies the result, after `seconds` has settled the epochs; None for contradictions.

        They are settled once for all runs of the search: another timing would make another trial.
        """
        settings = self.chosen(candidate)
        return None if settings is None else settings.key(self.context)

    def seconds(self, candidate: Candidate, left: float) -> float | None:
        """Return how long the training will take, None if there is no time even to find out."""
        settings = possible(self.settings, candidate)
        assert settings is not None
        times = self._times(candidate)
        if times is None:
            if left < _TIMING + self._at_least(candidate, settings):
                return None
            times = self._timed(candidate, settings)
        if self.most_epochs(candidate) is None:
            share, trainings = (
                (_SHARE, 1) if settings.model.ladder is None else (2 * _SHARE, _trainings(settings.model))
            )
            most = (share * self.budget - times.opening) / (max(1, trainings) * times.epoch)
            self.journal.note(_epochs_name(candidate), max(_FEWEST_EPOCHS, int(most)))
        chosen = self.chosen(candidate)
        return None if chosen is None else training_seconds(chosen.model, times)

    def _times(self, candidate: Candidate) -> StepTimes | None:
        known = self.journal.noted(f"times {candidate.network} {candidate.size}")
        return None if known is None else StepTimes(**known)

    def _at_least(self, candidate: Candidate, settings: Settings) -> float:
        """Return seconds that a training surely takes, by the network at another size; 0 where none was timed.

        Half of what pixels alone would say: small inputs have costs that do not shrink.
        """
        for size in self.sizes:
            times = self._times(replace(candidate, size=size))
            if times is not None:
                share = 0.5 * min(1.0, (candidate.size / size) ** 2)
                least = replace(times, step=share * times.step, image=share * times.image, opening=0.0)
                most = self.most_epochs(candidate) or _FEWEST_EPOCHS
                epochs = min(settings.model.trainer.max_epochs, most)
                return epochs * least.epoch
        return 0.0

    def _timed(self, candidate: Candidate, settings: Settings) -> StepTimes:
        """Time steps of a network, once for all recipes and rates, and what it costs where there are limits."""
        model, params = settings.model, settings.params
        self.tell(f"timing steps of {candidate.network} at {candidate.size} px ...")
        augmentation, seed = params.augmentations.get(model.augment), params.seed_of(settings.name)
        times = time_steps(model, seed, self.prepared, WEIGHTS, augmentation, tested=False)
        self.journal.note(f"times {candidate.network} {candidate.size}", asdict(times))
        return times

    def too_costly(self, candidate: Candidate) -> str | None:
        """Return which limit a network breaks, None if none: latency and size do not depend on what it learns."""
        if self.limits == Limits():
            return None
        name = f"cost {candidate.network} {candidate.size}"
        known = self.journal.noted(name)
        if known is None:
            settings = self.chosen(candidate)
            assert settings is not None
            cost = untrained_cost(settings.model, settings.params.seed_of(settings.name), self.prepared)
            known = None if cost is None else asdict(cost)
            self.journal.note(name, known or {})
        return self.limits.broken_by(Cost(**known)) if known else "no ONNX graph whose cost could be measured"

    def run(self, candidate: Candidate, key: str, keep_on: Callable[[Curve], Stop | None]) -> Ended:
        """Train a candidate in the copy, stop it if it is not worth going on with, and measure it."""
        settings = self.chosen(candidate)
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
        return Ended(
            "finished", {**found, **self.measured(model, self.part, settings), **cost_of(model, settings.model)}
        )

    def measured(self, model: Path, part: Part, settings: Settings) -> dict[str, Any]:
        """Return metric, score and interval of a model directory on a part of validation."""
        from sightline.evaluation.evaluate import evaluate_model

        with tempfile.TemporaryDirectory() as folder:
            rules = settings.params.evaluation
            metrics = evaluate_model(model, part.folder, rules, Path(folder), self.metric)
        headline = metrics["headline"]
        return {
            "metric": headline["name"],
            "score": headline["value"],
            "low": headline["low"],
            "high": headline["high"],
            "samples": metrics["samples"],
            "confidence": metrics["confidence"],
        }

    @contextmanager
    def _running(self, command: Sequence[str], folder: Path, lines: deque[str]) -> Iterator[Popen[str]]:
        """Run a command in the copy, with its output in `lines`; nothing of it outlives the block or this process."""
        environment = {
            FOLLOWED: str(folder.resolve()),
            PARENT: self.parent,
            "MLFLOW_TRACKING_URI": self.tracking,
        }
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


def _epochs_name(candidate: Candidate) -> str:
    return f"epochs {candidate.recipe} {candidate.network} {candidate.size}"


def _curve_name(folder: Path, metric: str | None) -> str:
    """Return the score that a curve is judged by: the headline where there is one, else the first, else the loss."""
    rows = read_note(folder / CURVE).get("rows") or [{}]
    scores = [name.removeprefix("val_") for name in rows[0] if name.startswith("val_") and name != "val_loss"]
    return metric if metric is not None and metric in scores else scores[0] if scores else "loss"


def training_seconds(model: Model, times: StepTimes) -> float:
    """Return how long a training takes, with the steps of a ladder, if it has one."""
    epochs = model.trainer.max_epochs * times.epoch
    if model.ladder is None:
        return times.opening + epochs
    forward = (times.train + len(model.ladder.rungs) * times.val) * times.image
    return times.opening + _trainings(model) * epochs + forward


def _trainings(model: Model) -> int:
    """Return how many trainings the steps of a ladder need."""
    assert model.ladder is not None
    rungs = set(model.ladder.rungs)
    tuned = model.ladder.seeds if rungs & {"soup", "distill"} else int("fine_tune" in rungs)
    return tuned + int("distill" in rungs)


def cost_of(folder: Path, model: Model) -> dict[str, Any]:
    """Return latency and size of a model directory, nothing where it has no ONNX graph."""
    file = folder / "model.onnx"
    if not file.is_file():
        return {}
    return asdict(measured_cost(file, model.input.extent, model.input.channels))


def untrained_cost(model: Model, seed: int, prepared: Path) -> Cost | None:
    """Return what a network will cost, before it is trained; None if it cannot be exported."""
    from sightline.labs.tuning.subject import open_subject
    from sightline.training.artifact.onnx import write_onnx

    task = open_subject(model, seed, prepared, WEIGHTS).task
    folder = Path(tempfile.mkdtemp())
    try:
        write_onnx(task.eval(), model.input.extent, model.input.channels, folder / "model.onnx", model.tiling)
        return measured_cost(folder / "model.onnx", model.input.extent, model.input.channels)
    except UserError:
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
