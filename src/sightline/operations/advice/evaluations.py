"""What the evaluations of a data set's models show: head or network, and which differences the test split can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import ndtri

from sightline.config.metrics import smaller_is_better
from sightline.data.store import load_labels
from sightline.data.structures import LabelMap
from sightline.operations.advice.candidates import Candidate, evaluation_folder, read_metrics
from sightline.registry.gate import paired
from sightline.registry.power import images_needed, smallest_difference
from sightline.registry.release import read_rows
from sightline.tasks.metrics.by_kind import metrics_of
from sightline.tasks.metrics.paired import expanded_tail, gain_interval

POINT = 0.01  # a difference that a test split should show
_RESAMPLES = 1000
_SHARES = frozenset({"accuracy", "class_accuracy", "exact_match"})  # of images that are right


@dataclass(frozen=True)
class Evaluated:
    """A candidate with the figures of its evaluation."""

    candidate: Candidate
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return self.candidate.name

    @property
    def metric(self) -> str:
        """Name of the headline metric."""
        return str(self.metrics["headline"]["name"])

    @property
    def value(self) -> float:
        """Value of the headline metric."""
        return float(self.metrics["headline"]["value"])

    @property
    def confidence(self) -> float:
        """Of its intervals, and of the gate's."""
        return float(self.metrics.get("confidence", 0.95))

    def comparable(self, other: Evaluated) -> bool:
        """Return whether both were measured by the same metric of the same kind of task."""
        return (self.metrics["task"], self.metric) == (other.metrics["task"], other.metric)


@dataclass(frozen=True)
class HeadAgainstNetwork:
    """The best head over fixed features and the best network, on the same test images.

    `gain` is of the network over the head in the metric's unit, positive if the network is better; `better` is head or
    network where the interval leaves out 0, else "".
    """

    head: str
    network: str
    metric: str
    head_value: float
    network_value: float
    gain: float
    low: float
    high: float
    images: int
    confidence: float

    @property
    def better(self) -> str:
        """Which is better beyond chance."""
        return "network" if self.low > 0 else "head" if self.high < 0 else ""


@dataclass(frozen=True)
class SmallestDifference:
    """The smallest true difference that the gate finds in four of five cases on this test split.

    Attributes:
        metric: the headline metric.
        difference: in its unit.
        images: in the test split.
        needed: test images on which a difference of `POINT` would be found; None for metrics that are no shares.
        pair: the two models whose disagreement was measured; () where it was assumed.
        power: 0.8.
    """

    metric: str
    difference: float
    images: int
    needed: int | None
    pair: tuple[str, ...]
    power: float = 0.8


def evaluated(root: Path, every: Sequence[Candidate]) -> list[Evaluated]:
    """Return those that are evaluated."""
    found = [(one, read_metrics(root, one.name)) for one in every]
    return [Evaluated(one, metrics) for one, metrics in found if metrics is not None]


def head_against_network(root: Path, dataset: str, models: Sequence[Evaluated]) -> HeadAgainstNetwork | None:
    """Compare the best head with the best network by the gate's paired interval; None where there are not both."""
    heads = [one for one in models if one.candidate.role == "head"]
    if not heads:
        return None
    head = _best(heads)
    networks = [one for one in models if one.candidate.role == "network" and one.comparable(head)]
    if not networks:
        return None
    network = _best(networks)
    found = _difference(root, dataset, head, network)
    if found is None:
        return None
    gain, low, high, count = found
    return HeadAgainstNetwork(
        head.name, network.name, head.metric, head.value, network.value, gain, low, high, count, head.confidence
    )


def smallest(root: Path, dataset: str, subject: Evaluated, models: Sequence[Evaluated]) -> SmallestDifference | None:
    """Return which difference the test split can show, from the model that is nearest in score where there is one.

    None where neither is known: one model alone, measured by a metric that is no share of right images.
    """
    others = [one for one in models if one.name != subject.name and one.comparable(subject)]
    for other in sorted(others, key=lambda one: abs(one.value - subject.value)):
        found = _difference(root, dataset, subject, other)
        if found is not None and found[2] > found[1]:
            _, low, high, count = found
            deviation = (high - low) / (2 * -float(ndtri(expanded_tail((1 - subject.confidence) / 2, count))))
            return _told(subject, deviation**2 * count, count, (subject.name, other.name))
    if subject.metric not in _SHARES:
        return None
    # Two models of this accuracy with half of their errors in common: on as many images exactly one of them is right.
    count = int(subject.metrics["samples"])
    return _told(subject, ((1 - subject.value) * count + 1) / (count + 2), count, ())


def _told(subject: Evaluated, variance: float, count: int, pair: tuple[str, ...]) -> SmallestDifference:
    difference = smallest_difference(variance, count, subject.confidence)
    share = subject.metric in _SHARES or (0 <= subject.value <= 1 and not smaller_is_better(subject.metric))
    needed = images_needed(variance, POINT, subject.confidence) if share else None
    return SmallestDifference(subject.metric, difference, count, needed, pair)


def _best(models: Sequence[Evaluated]) -> Evaluated:
    sign = -1 if smaller_is_better(models[0].metric) else 1
    same = [one for one in models if one.comparable(models[0])]
    return max(same, key=lambda one: sign * one.value)


def _difference(root: Path, dataset: str, one: Evaluated, other: Evaluated) -> tuple[float, float, float, int] | None:
    """Return how much better the other is, its interval and the number of images; None if that cannot be compared."""
    prepared = root / "data" / "prepared" / dataset
    files = [evaluation_folder(root, model.name) / "predictions.parquet" for model in (one, other)]
    if not all(path.is_file() for path in [prepared / "labels.json", *files]):
        return None
    labels = load_labels(prepared)
    rows = [read_rows(evaluation_folder(root, model.name)) for model in (one, other)]
    try:
        pair = paired(*rows)
    except ValueError:  # evaluated on different test images, so one of them is out of date
        return None
    first, second = (_metric(model, own, labels) for model, own in zip((one, other), pair, strict=True))
    if first is None or second is None:
        return None
    count = len(pair[0])
    gain, low, high = gain_interval(first, second, count, _RESAMPLES, one.confidence)
    return (-gain, -high, -low, count) if smaller_is_better(one.metric) else (gain, low, high, count)


def _metric(model: Evaluated, rows: pd.DataFrame, labels: LabelMap) -> Any:
    return metrics_of(model.metrics["task"], rows, labels).get(model.metric)
