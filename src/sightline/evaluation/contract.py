"""What every task, format and metric must do, whoever wrote it: one list of promises, each tried on small data."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from sightline.config import plugins
from sightline.config.datasets import Dataset
from sightline.config.metrics import of_kind, own_metrics
from sightline.config.models import Input, Model
from sightline.config.own import OwnFormat
from sightline.config.plugins import implementation, sections
from sightline.config.tasks import OwnTask
from sightline.config.tasks import Task as TaskConfig
from sightline.data.images import place
from sightline.data.raw.formats import open_files
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Prediction
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.tasks.metrics.by_kind import metrics_of, names_of, value_of, whole
from sightline.training.artifact.folder import ONNX, ModelCard, read_model, write_model
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.batch import Batch
from sightline.training.datamodule import PreparedData
from sightline.training.truth import truth_of

_IMAGES = 8
_STEPS = 20
_CLOSE = 2e-3  # between torch's network and the exported one
_EXAMPLES: dict[str, dict[str, object]] = {
    "classification": {"format": "digits", "root": "data/embedded"},
    "autoencoder": {"format": "digits", "root": "data/embedded"},
    "keypoints": {"format": "figures", "root": "data/embedded", "count": 40, "size": 64},
    "text_recognition": {"format": "strings", "root": "data/embedded", "count": 40, "longest": 4},
}
_SCENES: dict[str, object] = {"format": "scenes", "root": "data/embedded", "count": 40, "size": 64}


@dataclass(frozen=True)
class Promise:
    """One line of the contract.

    Attributes:
        subject: a task, format or metric, by its entry point.
        what: it must do.
        broken: how it fails; None if it does not.
    """

    subject: str
    what: str
    broken: str | None


def check_installed() -> Iterator[Promise]:
    """Try what the installed packages bring; yield each promise as it was tried."""
    for name, section in sections(plugins.FORMATS, OwnFormat, "format").items():
        yield from check_format(name, section)
    examples = dict(_EXAMPLES)
    for kind, task in sections(plugins.TASKS, OwnTask, "kind").items():
        examples[kind] = task.example
        with tempfile.TemporaryDirectory() as folder:
            yield from check_task({"kind": kind}, example_of(task.example, Path(folder)))
    kinds = {kind for metric in plugins.installed(plugins.METRICS).values() for kind in metric.kinds}
    for kind in sorted(kinds):
        with tempfile.TemporaryDirectory() as folder:
            yield from check_metrics(kind, example_of(examples.get(kind, _SCENES), Path(folder)))


def example_of(section: dict[str, object], folder: Path) -> Path:
    """Prepare a small data set in a folder; return where."""
    dataset = TypeAdapter(Dataset).validate_python(section)
    prepare("contract", dataset, folder / "prepared", progress=False)
    return folder / "prepared"


def check_format(name: str, section: type[OwnFormat]) -> Iterator[Promise]:
    """Write the example of the format, read it, and prepare it."""
    subject = f"format {name}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made: dict[str, Any] = {}

        def written() -> None:
            root = folder / "raw"
            root.mkdir()
            more = implementation(section.example)(root) or {}
            values = {"format": name, "root": str(root), **more}
            made["dataset"] = TypeAdapter(Dataset).validate_python(values)

        def opened() -> None:
            source, again = open_files(made["dataset"]), open_files(made["dataset"])
            _require(len(source) >= 2, f"the example has {len(source)} samples, at least 2 are needed")
            _require(source.labels == again.labels, "the classes change when it is read again")
            names = [[own.sample(index).source for index in range(len(own))] for own in (source, again)]
            _require(names[0] == names[1], "the order of the samples changes when it is read again")
            _require(len(set(names[0])) == len(names[0]), "two samples have one name (`source`)")

        def prepared() -> None:
            card = prepare("contract", made["dataset"], folder / "prepared", progress=False)
            _require(not card.quarantined, f"{card.quarantined} samples of its example were rejected")

        yield from _tried(
            subject,
            {
                "writes an example that its section accepts": written,
                "gives the same samples, classes and names each time": opened,
                "is prepared without a bad sample": prepared,
            },
        )


def check_task(section: dict[str, Any], prepared: Path, size: int = 64) -> Iterator[Promise]:
    """Build a task, let it learn a batch, predict, measure, save, load and export it.

    Args:
        section: `task` of a model.
        prepared: folder of a prepared data set with what it learns.
        size: of the input, pixels.
    """
    trial = _Trial(section, prepared, Input(size=size, channels=3))
    yield from _tried(
        f"task {section['kind']}",
        {
            "is built from its section": trial.build,
            "lowers its loss on one batch, with finite gradients": trial.learn,
            "predicts one JSON value per image": trial.predict,
            "measures its headline metric, and rows from which each metric can be recomputed": trial.measure,
            "predicts the same after saving and loading": trial.reload,
            "predicts the same as an ONNX network, unless it has no export": trial.export,
        },
    )


def check_metrics(kind: str, prepared: Path) -> Iterator[Promise]:
    """Measure an untrained network by the metrics that other packages bring for a kind of task."""
    model = Model.model_validate({"dataset": "contract", "task": kind, "weights": "random"})
    trial = _Trial(model.task.model_dump(), prepared, Input(size=64, channels=3))

    def tried() -> None:
        for step in (trial.build, trial.predict, trial.measure):
            step()

    for promise in _tried(f"metrics of {kind}", {"can measure an untrained network": tried}):
        yield promise
        if promise.broken:
            return
    for name, metric in own_metrics(kind).items():

        def measured(name: str = name, function: str = metric.function) -> None:
            rows = trial.measured.rows
            found = implementation(function)(rows, trial.task.labels)
            once, twice = (found(np.full((2, len(rows)), times, np.float32)) for times in (1, 2))
            _require(np.shape(once) == (2,), f"gives {np.shape(once)} for two resamples, must be (2,)")
            _require(bool(np.allclose(once, twice, equal_nan=True)), "changes when every row counts twice")

        yield from _tried(f"metric {name} of {kind}", {"gives one value per resample": measured})


class _Trial:
    """The steps of a task's contract, each of which goes on where the one before it ended."""

    task: Task
    batch: Batch
    before: list[Prediction]
    measured: Any

    def __init__(self, section: dict[str, Any], prepared: Path, image: Input) -> None:
        self.section, self.prepared, self.image = section, prepared, image
        self.store = SplitStore(prepared / "train")

    def build(self) -> None:
        torch.manual_seed(0)
        self.config = TypeAdapter(TaskConfig).validate_python(self.section)
        self.task = build(self.config, self.image, load_labels(self.prepared), train=self.store)
        _require(self.task.kind == self.section["kind"], f"its class says kind = {self.task.kind!r}")
        data = PreparedData(
            self.prepared,
            self.task.targets,
            size=self.image.extent,
            channels=self.image.channels,
            resize="letterbox",
            augment="none",
            batch_size=_IMAGES,
            num_workers=0,
            seed=0,
        )
        self.batch = data.data["train"].__getitems__([(0, index) for index in range(_IMAGES)])

    def learn(self) -> None:
        optimizer = torch.optim.Adam(self.task.parameters(), 1e-3)
        self.task.train()
        losses = []
        for _ in range(_STEPS):
            loss = self.task.training_loss(self.batch.images, self.batch.targets)
            _require(loss.dim() == 0 and bool(torch.isfinite(loss)), f"the loss is {loss}, must be a finite number")
            losses.append(float(loss.detach()))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            gradients = [one.grad for one in self.task.parameters() if one.grad is not None]
            _require(bool(gradients), "no weight has a gradient")
            _require(all(bool(torch.isfinite(one).all()) for one in gradients), "a gradient is not finite")
            optimizer.step()
        _require(min(losses[1:]) < losses[0], f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g}")

    def predict(self) -> None:
        self.task.eval()
        if self.task.calibrates:
            with torch.inference_mode():
                self.task.calibrate(self.task(self.batch.images), self.batch.targets)
        self.before = self._predictions(self.task)
        _require(len(self.before) == _IMAGES, f"{len(self.before)} predictions for {_IMAGES} images")
        for one in self.before:
            json.dumps(one.to_json(self.task.labels), allow_nan=False)

    def measure(self) -> None:
        truth = truth_of(self.store, self.task).iloc[:_IMAGES]
        self.measured = self.task.measure(iter(self.before), truth, bins=15)
        rows, labels, kind = self.measured.rows, self.task.labels, self.task.kind
        missing = {"id", "source", "told", "score"} - set(rows)
        _require(not missing, f"its rows lack the columns {', '.join(sorted(missing))}")
        _require(len(rows) == _IMAGES, f"{len(rows)} rows for {_IMAGES} samples")
        found = metrics_of(kind, rows, labels)
        _require(
            self.measured.headline in found, f"its headline {self.measured.headline} is not among {', '.join(found)}"
        )
        _require(set(found) == set(names_of(kind, labels)), f"its metrics are {', '.join(of_kind(kind)[0])} by name")
        for name, metric in whole(found).items():
            if name in own_metrics(kind):
                continue
            again, told = value_of(metric, len(rows)), self.measured.values[name]
            _require(
                bool(np.isclose(again, told, atol=1e-4, equal_nan=True)), f"{name} is {told}, but {again} from rows"
            )

    def reload(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            loaded, _ = self._written(Path(folder) / "model")
        difference = self._difference(self._predictions(loaded))
        _require(difference == 0, f"predictions differ by {difference:.3g}")

    def export(self) -> None:
        if not self.task.exports:
            return
        with tempfile.TemporaryDirectory() as folder:
            self._written(Path(folder) / "model")
            path = Path(folder) / "model" / ONNX
            _require(path.is_file(), "it cannot be exported; set `exports = False` in its class")
            outputs = OnnxNetwork(path)(self.batch.images.numpy())
        difference = self._difference(self._predictions(self.task, outputs))
        _require(difference <= _CLOSE, f"predictions differ by {difference:.3g}")

    def _written(self, folder: Path) -> tuple[Task, ModelCard]:
        card = ModelCard(self.config, self.image, self.task.labels, "32", False, 1, "0" * 64)
        write_model(folder, self.task, card)
        return read_model(folder)

    def _predictions(self, task: Task, outputs: Any = None) -> list[Prediction]:
        shapes = list(zip(self.store.column("height"), self.store.column("width"), strict=True))[:_IMAGES]
        task.eval()
        with torch.inference_mode():
            outputs = task(self.batch.images) if outputs is None else outputs
            return task.predictions(outputs, [place(*shape, self.image.extent, "letterbox") for shape in shapes])

    def _difference(self, others: list[Prediction]) -> float:
        """Return the largest relative difference between numbers, objects left aside where their order may differ."""
        largest = 0.0
        for one, other in zip(self.before, others, strict=True):
            for name, value in vars(one).items():
                if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or name in ("boxes", "box_scores"):
                    continue
                theirs = getattr(other, name)
                _require(np.shape(theirs) == np.shape(value), f"{name} is {np.shape(theirs)}, was {np.shape(value)}")
                largest = max(largest, float((np.abs(value - theirs) / (1 + np.abs(value))).max(initial=0)))
        return largest


class _Broken(Exception):  # noqa: N818 - a promise, not an error
    """A promise that is not kept."""


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise _Broken(otherwise)


def _tried(subject: str, steps: dict[str, Callable[[], None]]) -> Iterator[Promise]:
    """Yield each step; those behind a broken one are not tried."""
    for what, step in steps.items():
        try:
            step()
        except _Broken as error:
            yield Promise(subject, what, str(error))
            return
        except Exception as error:
            yield Promise(subject, what, f"{type(error).__name__}: {error}")
            return
        yield Promise(subject, what, None)
