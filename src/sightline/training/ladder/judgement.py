"""Whether a step is better than what was kept before it: rows of both on the validation split in, a judgement out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from sightline.config.ladder import Ladder, Rung
from sightline.config.metrics import smaller_is_better, unknown_metric
from sightline.data.cache import decoded
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task
from sightline.tasks.metrics.by_kind import metrics_of, value_of
from sightline.tasks.metrics.paired import gain_interval
from sightline.training.job import Job
from sightline.training.truth import truth_of

_BINS = 15  # of calibration, which is not compared


@dataclass(frozen=True)
class Judgement:
    """What became of a step.

    Attributes:
        rung: its name.
        score: the metric on validation; None if the step could not be taken.
        gain: how much better than what was kept before; of an error, how much smaller. None for the first step.
        low: lower end of the interval of the gain.
        high: its upper end.
        kept: whether its weights took the place of those kept before.
        reason: in a few words.
    """

    rung: Rung
    score: float | None
    gain: float | None
    low: float | None
    high: float | None
    kept: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as plain values."""
        return dict(self.__dict__)


def measured(job: Job, task: Task) -> Measurement:
    """Measure a task on the validation split; it is in evaluation mode and on the CPU then."""
    store, image, size = SplitStore(job.prepared / "val"), job.config.input, job.config.trainer.batch_size
    task.eval().to(job.device)
    said = []
    for start in range(0, len(store), size):
        encoded = [store.image(index) for index in range(start, min(start + size, len(store)))]
        pixels, placements = decoded(encoded, image.extent, image.channels, image.resize, image.interpolation)
        with torch.inference_mode():
            said += task.predictions(task(torch.from_numpy(pixels).to(job.device)), placements)
    task.cpu()
    return task.measure(said, truth_of(store, task), _BINS)


def judged(
    settings: Ladder,
    kind: str,
    labels: LabelMap,
    rung: Rung,
    metric: str,
    before: pd.DataFrame | None,
    after: pd.DataFrame,
) -> Judgement:
    """Compare a step with what was kept before it by a paired bootstrap; the first step is kept in any case.

    Equal networks win with a probability of about (1 - confidence) / 2.

    Args:
        settings: the section `ladder`.
        kind: of task.
        labels: of the data.
        rung: the step.
        metric: by which.
        before: rows of what was kept before, None at the first step.
        after: rows of the step, on the same samples in the same order.

    Raises:
        UserError: there is no such metric, or it cannot be measured on these samples.
    """
    new = _metric(kind, after, labels, metric)
    score = value_of(new, len(after))
    if not np.isfinite(score):
        raise UserError(f"ladder.metric: {metric}: nothing to measure on the validation split; choose another one")
    if before is None:
        return Judgement(rung, score, None, None, None, True, "the first")
    old = _metric(kind, before, labels, metric)
    gain, low, high = gain_interval(old, new, len(after), settings.resamples, settings.confidence)
    if smaller_is_better(metric):
        gain, low, high = -gain, -high, -low
    kept = bool(low > 0)
    reason = "better" if kept else "worse" if high < 0 else "no difference beyond chance"
    return Judgement(rung, score, gain, low, high, kept, reason)


def _metric(kind: str, rows: pd.DataFrame, labels: LabelMap, name: str) -> Any:
    known = metrics_of(kind, rows, labels)
    if name not in known:
        raise UserError(f"ladder.metric: {unknown_metric(name, list(known))}")
    return known[name]
