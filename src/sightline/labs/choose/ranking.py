"""Which trial of a search is the best one, where a few images cannot tell the best score from the next.

With 60 images an accuracy of 0.95 has a standard error of 0.03, and the first of a dozen trainings is mostly the
luckiest. So all trials within one standard error of the best score count as equal (the one-standard-error rule, Breiman
et al. 1984, section 3.4.3), and the log loss decides among them: it sees how sure a network was of each image. Label
smoothing and long trainings change how sure it is of all images alike; so each is first given the temperature that fits
it best (Guo et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sightline.labs.choose.cost import Cost, Limits
from sightline.labs.choose.journal import Record

NO_LIMITS = Limits()
LOSS = "calibrated_log_loss"  # of what is known of a trial
_LEAST_PROBABILITY = 1e-7
_TEMPERATURES = np.geomspace(0.2, 5, 65)


def ranking(records: Sequence[Record], smaller: bool = False, limits: Limits = NO_LIMITS) -> list[Record]:
    """Return the finished trials that keep the limits, the best one first.

    Those within one standard error of the best score are ordered by their log loss, where it is known. Of equal ones
    the smaller network is first, then the earlier trial.

    Args:
        records: of a search.
        smaller: whether a smaller score is better.
        limits: of latency and size.
    """
    able = [record for record in records if record.state == "finished" and not breaks(record, limits)]
    if not able:
        return []
    sign = 1 if smaller else -1
    unknown = float("inf")  # of a network without a graph

    def place(one: Record) -> tuple[float, float, int, int]:
        return sign * (one.score or 0.0), one.found.get("size_bytes", unknown), one.candidate.size, one.number

    ranked = sorted(able, key=place)
    worst = place(ranked[0])[0] + _standard_error(ranked[0])
    level = [one for one in ranked if place(one)[0] <= worst and LOSS in one.found]
    if ranked[0] not in level:
        return ranked
    level.sort(key=lambda one: (one.found[LOSS], *place(one)))
    return [*level, *(one for one in ranked if one not in level)]


def _standard_error(record: Record) -> float:
    """Return that of a score, by its interval; 0 where it has none."""
    found = record.found
    if not {"low", "high", "confidence"} <= found.keys():
        return 0.0
    width = NormalDist().inv_cdf((1 + found["confidence"]) / 2)
    return float(found["high"] - found["low"]) / (2 * width)


def calibrated_log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of -log p of the true class, at the temperature for which it is least.

    Args:
        probabilities: N x K.
        labels: N, the true classes.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), _LEAST_PROBABILITY, 1))
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[rows, labels]).mean())

    return min(map(loss, _TEMPERATURES))


def breaks(record: Record, limits: Limits) -> str | None:
    """Return which limit a finished trial breaks, None if none; a network without a graph breaks any."""
    cost = record.found.get("latency_ms"), record.found.get("size_bytes")
    if cost[0] is None or cost[1] is None:
        return None if limits == NO_LIMITS else "has no ONNX graph whose latency and size could be measured"
    return limits.broken_by(Cost(float(cost[0]), int(cost[1])))
