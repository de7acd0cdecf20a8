"""What a search has found: its winner, what that is worth, and all that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sightline.labs.choose.cost import Limits
from sightline.labs.choose.journal import Record
from sightline.labs.choose.ranking import breaks, ranking
from sightline.labs.choose.space import Candidate


@dataclass(frozen=True)
class Estimate:
    """A score with its interval.

    Attributes:
        value, low, high: of the metric.
        samples: images that it was measured on.
    """

    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Outcome:
    """Of the search for one model.

    Attributes:
        model, dataset: their names.
        metric: by which candidates are judged.
        smaller: whether less of it is better.
        confidence: of the intervals.
        limits: of latency and size.
        seconds: that the search was given.
        spent: seconds that it took.
        records: of all trials.
        left_out: candidates that were not tried, with the reason.
        winner: the best trial that keeps the limits; None if there is none.
        naive: the winner's score on the images that chose it, too good on average.
        reported: the winner's score on images that had no part in choosing.
        changes: settings of the winner that differ from the model as it was, by dotted path.
    """

    model: str
    dataset: str
    metric: str
    smaller: bool
    confidence: float
    limits: Limits
    seconds: float
    spent: float
    records: tuple[Record, ...]
    left_out: tuple[tuple[Candidate, str], ...]
    winner: Record | None
    naive: Estimate | None
    reported: Estimate | None
    changes: dict[str, Any]

    @property
    def finished(self) -> list[Record]:
        """Finished trials, the best one first; those that break a limit last."""
        ranked = ranking(self.records, self.smaller, self.limits)
        others = [record for record in ranking(self.records, self.smaller) if record not in ranked]
        return [*ranked, *others]

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        winner, best = self.winner, {record.number for record in front(self.records, self.smaller)}
        return {
            "model": self.model,
            "dataset": self.dataset,
            "metric": self.metric,
            "smaller_is_better": self.smaller,
            "confidence": self.confidence,
            "limits": asdict(self.limits),
            "seconds": self.seconds,
            "spent": round(self.spent, 1),
            "winner": None
            if winner is None
            else {
                "trial": winner.number,
                "changes": self.changes,
                "reported": None if self.reported is None else asdict(self.reported),
                "naive": None if self.naive is None else asdict(self.naive),
            },
            "trials": [{**self._trial(record), "front": record.number in best} for record in self.records],
            "left_out": [{**candidate.to_json(), "why": why} for candidate, why in self.left_out],
        }

    def _trial(self, record: Record) -> dict[str, Any]:
        known = {name: value for name, value in record.found.items() if name != "output"}
        return {
            "trial": record.number,
            "key": record.key,
            **record.candidate.to_json(),
            "state": record.state,
            "starts": record.starts,
            "expected_seconds": round(record.expected, 1),
            "seconds": None if record.seconds is None else round(record.seconds, 1),
            "breaks": breaks(record, self.limits) if record.state == "finished" else None,
            **known,
        }


def estimate_of(found: Mapping[str, Any]) -> Estimate:
    """Return the score of what was measured."""
    return Estimate(float(found["score"]), float(found["low"]), float(found["high"]), int(found["samples"]))


def front(records: Sequence[Record], smaller: bool) -> list[Record]:
    """Return the finished trials that no other one beats in score, latency and size alike (the Pareto front).

    Args:
        records: of a search.
        smaller: whether a smaller score is better.
    """
    known = [(record, _costs(record, smaller)) for record in records if record.state == "finished"]

    def beaten(own: tuple[float, ...]) -> bool:
        return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for _, other in known)

    return [record for record, costs in known if not beaten(costs)]


def _costs(record: Record, smaller: bool) -> tuple[float, float, float]:
    score = float(record.score or 0.0)
    latency, size = (record.found.get(name) for name in ("latency_ms", "size_bytes"))
    unknown = float("inf")
    return (
        score if smaller else -score,
        unknown if latency is None else float(latency),
        unknown if size is None else float(size),
    )
