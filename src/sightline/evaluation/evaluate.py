"""Measures a model on the test split: metrics, bootstrap intervals, one row per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightline.config.evaluation import Evaluation
from sightline.config.metrics import own_metrics, unknown_metric
from sightline.data.cache import counted
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Crop, Prediction
from sightline.evaluation.parity import Batch, compare_engines, headline_value
from sightline.evaluation.predictor import Predictor, load_predictor
from sightline.system.device import chosen_device
from sightline.system.errors import UserError
from sightline.system.files import write_json
from sightline.tasks.base import Measurement, Task
from sightline.tasks.metrics.by_kind import metrics_of, names_of, value_of, whole
from sightline.tasks.metrics.resampling import FLOAT64, resampled_counts
from sightline.tasks.metrics.truth import truth_hashes
from sightline.training.artifact.folder import read_onnx
from sightline.training.heads.artifact import HeadCard
from sightline.training.truth import truth_of

_SHARES = ("accuracy", "exact_match")  # of images that are right


def evaluate_model(
    model: Path, prepared: Path, settings: Evaluation, folder: Path, headline: str | None = None
) -> dict[str, Any]:
    """Measure a model directory on the test split of a prepared data set.

    Writes into `folder`: `metrics.json`, `predictions.parquet` (one row per sample, with the hash of its `truth`) and a
    CSV per table. It is torch's network that is measured; `onnx` in `metrics.json` says how the exported one compares,
    see `parity`.

    Args:
        model: the model directory.
        prepared: folder of the prepared data set.
        settings: resamples, confidence, calibration bins, batch size.
        folder: an existing folder.
        headline: the metric by which the model is judged; None: that of its kind of task.

    Returns:
        The values of `metrics.json`.

    Raises:
        UserError: the model's classes are not those of the data, or the headline metric is unknown or not measurable.
    """
    predictor = load_predictor(model, chosen_device(), engine="torch")
    check_labels(predictor, prepared, model)
    known = names_of(predictor.task.kind, predictor.task.labels)
    if headline is not None and headline not in known:
        raise UserError(f"evaluation.headline.{model.name}: {unknown_metric(headline, known)}")
    store = SplitStore(prepared / "test")
    truth, bins = truth_of(store, predictor.task), settings.calibration_bins
    crops: list[Crop] = []
    measured = predictor.task.measure(_predict(predictor, store, settings.batch_size, crops), truth, bins)
    measured = replace(measured, headline=headline or measured.headline)
    metrics = with_intervals(predictor.task, measured, settings)
    if crops:
        metrics["crop"] = {"images": len(crops), "without_box": sum(crop.box is None for crop in crops)}
    onnx = None if isinstance(predictor.card, HeadCard) else read_onnx(model, predictor.card)
    if onnx is not None:
        batches = _batches(predictor, store, settings.batch_size)
        task, sight = predictor.task.cpu(), predictor.sight
        metrics["onnx"] = compare_engines(task, onnx, batches, truth, bins, measured, sight.compared)
    write_json(folder / "metrics.json", metrics)
    rows = measured.rows.assign(truth=truth_hashes(truth, [*predictor.task.targets, *predictor.task.truth_fields]))
    rows.to_parquet(folder / "predictions.parquet", index=False)
    for name, table in measured.tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    return metrics


def comparable_numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the metrics that `dvc metrics` should compare: plain numbers, and the headline's interval."""
    headline = metrics["headline"]
    settings = ("samples", "confidence")
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float) and name not in settings}
    return numbers | {f"{headline['name']}_{bound}": headline[bound] for bound in ("low", "high")}


def check_labels(predictor: Predictor, prepared: Path, model: Path) -> None:
    """Refuse a model whose label map is not that of the data.

    Raises:
        UserError: showing both maps.
    """
    theirs, ours = load_labels(prepared), predictor.card.labels
    if theirs.sha256 != ours.sha256:
        what = "characters" if theirs.classes == ours.classes and theirs.characters != ours.characters else "classes"
        raise UserError(
            f"{model}: its {what} are {list(getattr(ours, what))}, those of {prepared} are "
            f"{list(getattr(theirs, what))}; train again with dvc repro"
        )


def with_intervals(task: Task, measured: Measurement, settings: Evaluation) -> dict[str, Any]:
    """Add percentile bootstrap intervals (Efron and Tibshirani 1993, section 13.3) to the metrics.

    Args:
        task: of the model.
        measured: on N samples.
        settings: number of resamples and confidence.

    Raises:
        UserError: the headline metric has nothing to measure, as precision of a class that is never predicted.
    """
    draws: dict[str, list[FLOAT64]] = {}
    every = metrics_of(task.kind, measured.rows, task.labels)
    metrics = whole(every) | {measured.headline: every[measured.headline]}
    value = headline_value(task, measured, measured.headline)
    if not np.isfinite(value):
        raise UserError(f"evaluation.headline: {measured.headline}: nothing to measure on the test split")
    for counts in resampled_counts(len(measured.rows), settings.resamples):
        for name, metric in metrics.items():
            draws.setdefault(name, []).append(metric(counts))
    tail = (1 - settings.confidence) / 2
    joined = {name: np.concatenate(values) for name, values in draws.items()}
    intervals = {
        name: [float(edge) for edge in np.nanquantile(values, [tail, 1 - tail])]
        for name, values in joined.items()
        if np.isfinite(values).any()  # what a test split has nothing of, as masks, has no interval
    }
    for name, count in _trials(measured.rows).items():
        if name in intervals and count:
            intervals[name] = _never_certain(intervals[name], count, settings.confidence)
    own = {name: value_of(metrics[name], len(measured.rows)) for name in own_metrics(task.kind)}
    low, high = intervals[measured.headline]
    headline = {"name": measured.headline, "value": value, "low": low, "high": high}
    return {
        "task": task.kind,
        "headline": headline,
        "samples": len(measured.rows),
        "confidence": settings.confidence,
        **measured.values,
        **own,
        measured.headline: value,
        "interval": {name: {"low": edges[0], "high": edges[1]} for name, edges in intervals.items()},
    }


def _trials(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many independent trials a share is of, by the name of the metric.

    AUROC is the chance that a pair is in order, and of N good and M defective images min(N, M) pairs share no image.
    """
    trials = dict.fromkeys(_SHARES, len(rows))
    if "anomalous" in rows:
        defective = int(rows["anomalous"].sum())
        good = len(rows) - defective
        trials |= {"false_alarms": good, "missed": defective, "auroc": min(good, defective)}
    return trials


def _never_certain(interval: list[float], count: int, confidence: float) -> list[float]:
    """Return the interval of a share of trials, of which every resample is alike if all are right, or all wrong.

    Then it is the exact one of Clopper and Pearson (1934).
    """
    if interval not in ([0.0, 0.0], [1.0, 1.0]):
        return interval
    from scipy.stats import binomtest

    exact = binomtest(round(interval[0] * count), count).proportion_ci(confidence, method="exact")
    return [float(exact.low), float(exact.high)]


def _predict(predictor: Predictor, store: SplitStore, batch_size: int, crops: list[Crop]) -> Iterator[Prediction]:
    """Yield a prediction for each sample; what they were cropped to, if they were, is added to `crops`."""
    for pixels, placements in _batches(predictor, store, batch_size):
        predictions = predictor.predict_pixels(pixels, placements)
        crops += [prediction.crop for prediction in predictions if prediction.crop is not None]
        yield from predictions


def _batches(predictor: Predictor, store: SplitStore, batch_size: int) -> Iterator[Batch]:
    size = predictor.sight.at_once(batch_size)
    with counted(len(store), "predicting") as advance:
        for start in range(0, len(store), size):
            images = [store.image(index) for index in range(start, min(start + size, len(store)))]
            yield predictor.seen(images)
            advance(len(images))
