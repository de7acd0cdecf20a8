"""Looks for the network in integers that loses little: a model directory and its data in, a file and a report out.

Ranges are measured on training images, losses on validation images; the test split is not opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from sightline.config.evaluation import Evaluation
from sightline.config.export import Export
from sightline.data.store import SplitStore
from sightline.data.structures import Prediction
from sightline.evaluation.evaluate import check_labels
from sightline.evaluation.parity import headline_value
from sightline.evaluation.predictor import Predictor, load_network
from sightline.evaluation.quantise.calibration import calibration_batches
from sightline.evaluation.quantise.integers import Integers
from sightline.evaluation.quantise.layers import Layer
from sightline.evaluation.quantise.loss import Loss, measured_loss, too_few
from sightline.system.disk import told_as
from sightline.system.errors import UserError, first_line
from sightline.system.files import work_folder, write_json
from sightline.tasks.base import Measurement
from sightline.tasks.metrics.by_kind import metrics_of, names_of
from sightline.training.artifact.folder import ONNX
from sightline.training.artifact.int8 import INT8, INT8_REPORT
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.truth import truth_of

TRIES = 5
_SHARES_KEPT = (8, 4, 2)  # then the worst eighth, quarter and half of the layers stay as they are


@dataclass(frozen=True)
class Try:
    """A graph in integers, as it was judged.

    Attributes:
        what: which layers stayed as they are, in words.
        kept: their names.
        loss: of the headline metric.
        value: the metric itself.
    """

    what: str
    kept: tuple[str, ...]
    loss: Loss
    value: float

    def to_json(self, bound: float) -> dict[str, Any]:
        """Return plain values."""
        own = {"what": self.what, "kept_fp32": list(self.kept), "within": self.loss.within(bound)}
        return own | {"int8": self.value if np.isfinite(self.value) else None, **self.loss.to_json()}


def quantise_model(
    model: Path, prepared: Path, settings: Export, evaluation: Evaluation, folder: Path, headline: str | None = None
) -> dict[str, Any]:
    """Write `int8.json` into an existing folder, and `model.int8.onnx` if it loses little enough.

    Args:
        model: the model directory.
        prepared: folder of the prepared data set; its train and val are read.
        settings: the section `export.NAME`.
        evaluation: resamples, confidence, batch size.
        folder: an existing folder.
        headline: the metric by which the model is judged; None: that of its kind of task.

    Returns:
        The values of `int8.json`.

    Raises:
        UserError: the model's classes are not those of the data, or the headline metric is unknown.
    """
    predictor = load_network(model, "cpu", "auto")
    check_labels(predictor, prepared, model)
    known = names_of(predictor.task.kind, predictor.task.labels)
    if headline is not None and headline not in known:
        raise UserError(f"evaluation.headline.{model.name}: {headline!r} is none of {', '.join(known)}")
    if predictor.onnx is None:
        report = _refused("the model has no model.onnx to make it from, as its network is no fixed graph")
    else:
        with work_folder(folder) as work:
            report = _Search(predictor, model, prepared, settings, evaluation, headline).run(work, folder / INT8)
    write_json(folder / INT8_REPORT, report)
    return report


def _refused(reason: str, **more: Any) -> dict[str, Any]:
    return {"released": False, "reason": reason, **more}


class _Search:
    """One model's networks in integers, tried in turn."""

    def __init__(
        self,
        predictor: Predictor,
        model: Path,
        prepared: Path,
        settings: Export,
        evaluation: Evaluation,
        headline: str | None,
    ) -> None:
        self.predictor, self.source, self.settings, self.evaluation = predictor, model / ONNX, settings, evaluation
        self.train, self.val = (SplitStore(prepared / split) for split in ("train", "val"))
        self.original = self._measured(predictor)
        self.metric = headline or self.original.headline

    def run(self, work: Path, out: Path) -> dict[str, Any]:
        """Try graphs until one loses little enough, which is put at `out`; return the report."""
        sha256, bound = hashlib.sha256(self.source.read_bytes()).hexdigest(), self.settings.max_loss
        facts: dict[str, Any] = {
            "of": sha256,
            "metric": self.metric,
            "fp32": _known(headline_value(self.predictor.task, self.original, self.metric)),
            "max_loss": bound,
            "samples": len(self.val),
            "confidence": self.evaluation.confidence,
            "fp32_bytes": self.source.stat().st_size,
        }
        if few := too_few(len(self.val), self.metric, bound):
            return _refused(few, **facts)
        batches = calibration_batches(self.predictor, self.train, self.settings.calibration_images)
        facts["calibration_images"] = sum(len(batch) for batch in batches)
        try:
            with told_as(work):  # a full disk says nothing of the graph
                return self._tried(Integers(self.source, sha256, batches, work), work, out, facts)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever ONNX Runtime's tools raise of a graph that they do not understand
            return _refused(f"ONNX Runtime cannot quantise this graph: {first_line(error)}", **facts)

    def _tried(self, integers: Integers, work: Path, out: Path, facts: dict[str, Any]) -> dict[str, Any]:
        bound = self.settings.max_loss
        if not integers.layers:
            return _refused("the network has no layer with weights that ONNX Runtime computes in integers", **facts)
        facts["layers"] = len(integers.layers)
        tried: list[Try] = []
        for what, kept in candidates(integers.layers, integers.noise):
            path = work / f"{len(tried)}.onnx"
            integers.write(path, kept)
            own = self._judged(path, what, kept)
            tried.append(own)
            if own.loss.within(bound):
                copyfile(path, out)
                return self._released(own, tried, facts, out)
        best = min(tried, key=lambda one: one.loss.high if np.isfinite(one.loss.high) else float("inf"))
        told = (
            f"it loses {best.loss.told} of {self.metric} on {len(self.val)} validation images with {best.what}, and "
            f"the upper end must be at most {bound:g}; tried {len(tried)}: {', '.join(one.what for one in tried)}"
        )
        return _refused(told, **facts, tries=[one.to_json(bound) for one in tried])

    def _released(self, own: Try, tried: Sequence[Try], facts: dict[str, Any], out: Path) -> dict[str, Any]:
        layers, size = facts["layers"], out.stat().st_size
        inside = layers - len(own.kept)
        told = (
            f"it loses {own.loss.told} of {self.metric} on {len(self.val)} validation images, at most "
            f"{self.settings.max_loss:g} is allowed; {inside} of {layers} layers in int8, {own.what}"
        )
        return facts | {
            "released": True,
            "reason": told,
            "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
            "bytes": size,
            "size_ratio": size / facts["fp32_bytes"],
            "layers_int8": inside,
            "layers_share": inside / layers,
            "kept_fp32": list(own.kept),
            "int8": own.value,
            "loss": own.loss.to_json(),
            "tries": [one.to_json(self.settings.max_loss) for one in tried],
        }

    def _judged(self, path: Path, what: str, kept: tuple[str, ...]) -> Try:
        task = self.predictor.task
        measured = self._measured(replace(self.predictor, onnx=OnnxNetwork(path)))
        loss = measured_loss(
            self.original.rows,
            measured.rows,
            self.metric,
            lambda rows: metrics_of(task.kind, rows, task.labels),
            self.evaluation.resamples,
            self.evaluation.confidence,
            TRIES,
        )
        return Try(what, kept, loss, headline_value(task, measured, self.metric))

    def _measured(self, predictor: Predictor) -> Measurement:
        """Measure a network on the validation split."""
        task = predictor.task
        return task.measure(self._predictions(predictor), truth_of(self.val, task), self.evaluation.calibration_bins)

    def _predictions(self, predictor: Predictor) -> Iterator[Prediction]:
        size = predictor.sight.at_once(self.evaluation.batch_size)
        for start in range(0, len(self.val), size):
            images = [self.val.image(place) for place in range(start, min(start + size, len(self.val)))]
            yield from predictor.predict_pixels(*predictor.seen(images))


def candidates(layers: Sequence[Layer], noise: Callable[[], dict[str, float]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield which layers stay as they are, in words and by name: none, the outer ones, then also the noisiest.

    Args:
        layers: of a graph.
        noise: returns the signal-to-noise ratio of each layer; asked only where the first ones do not do.
    """
    yield "all layers in int8", ()
    outer = {layer.name for layer in layers if layer.first or layer.last}
    kept = tuple(layer.name for layer in layers if layer.name in outer)
    if len(kept) < len(layers):
        yield "the first and the last layers in fp32", kept
        inner = [layer.name for layer in layers if layer.name not in outer]
        ratios, before = noise(), 0
        inner.sort(key=lambda name: ratios[name])  # stable: of equal ones the first
        for part in _SHARES_KEPT:
            count = max(before + 1, round(len(layers) / part))
            if count >= len(inner):
                return
            worst, before = set(inner[:count]), count
            names = tuple(layer.name for layer in layers if layer.name in outer or layer.name in worst)
            yield f"the first, the last and the {count} noisiest layers in fp32", names


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
