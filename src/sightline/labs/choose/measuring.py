"""What a model of a search is worth on a part of the validation images, and what it costs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.subset import write_subset
from sightline.labs.choose.cost import Cost, measured_cost
from sightline.labs.choose.ranking import LOSS, calibrated_log_loss
from sightline.system.errors import UserError
from sightline.system.files import new_folder


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


def measured(model: Path, part: Part, rules: Evaluation, metric: str | None) -> dict[str, Any]:
    """Return metric, score, interval and log loss of a model directory on a part of validation.

    Args:
        model: the directory.
        part: of validation.
        rules: of evaluation.
        metric: that it is judged by, None for that of its kind of task.
    """
    from sightline.evaluation.evaluate import evaluate_model

    with tempfile.TemporaryDirectory() as folder:
        metrics = evaluate_model(model, part.folder, rules, Path(folder), metric)
        loss = _loss(pd.read_parquet(Path(folder) / "predictions.parquet"))
    headline = metrics["headline"]
    return {
        **loss,
        "metric": headline["name"],
        "score": headline["value"],
        "low": headline["low"],
        "high": headline["high"],
        "samples": metrics["samples"],
        "confidence": metrics["confidence"],
    }


def _loss(rows: pd.DataFrame) -> dict[str, float]:
    """Return the log loss where a model gives probabilities of one class per image, else nothing."""
    if not {"probabilities", "label"} <= set(rows.columns) or rows.empty:
        return {}
    return {LOSS: calibrated_log_loss(np.stack(rows["probabilities"].to_list()), rows["label"].to_numpy(np.int64))}


def cost_of(folder: Path, model: Model) -> dict[str, Any]:
    """Return latency and size of a model directory, nothing where it has no ONNX graph."""
    file = folder / "model.onnx"
    if not file.is_file():
        return {}
    return asdict(measured_cost(file, model.input.extent, model.input.channels))


def untrained_cost(model: Model, seed: int, prepared: Path, weights: Path) -> Cost | None:
    """Return what a network will cost, before it is trained; None if it cannot be exported."""
    from sightline.labs.tuning.subject import open_subject
    from sightline.training.artifact.onnx import write_onnx

    task = open_subject(model, seed, prepared, weights).task
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            write_onnx(task.eval(), model.input.extent, model.input.channels, file, model.tiling)
        except UserError:
            return None
        return measured_cost(file, model.input.extent, model.input.channels)
