"""Compares a challenger with the champion on the same test samples: scores in, a decision with its reason out.

The interval is the percentile interval of a paired bootstrap: test samples are drawn with replacement, and both models
are judged on each draw (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.config.evaluation import Gate

_DRAWS_AT_ONCE = 2**22  # indices in memory at a time: 32 MB
_ROUNDING = 1e-9  # 1 of 20 samples is a drop of 0.05000000000000004


@dataclass(frozen=True)
class Scores:
    """What a model made of N test samples.

    Attributes:
        ids: N distinct sample ids, str.
        score: N contributions to the headline metric, which is their mean; higher is better.
        labels, predicted: N class ids, for tasks with one class per sample.
    """

    ids: NDArray[Any]
    score: NDArray[np.float64]
    labels: NDArray[np.int64] | None = None
    predicted: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("score", "labels", "predicted"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.ids):
                raise ValueError(f"{len(values)} {name}, but {len(self.ids)} ids")
        if len(self.ids) == 0:
            raise ValueError("no test samples: nothing can be compared")
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("test ids repeat")
        if not np.isfinite(self.score).all():
            raise ValueError("scores must be finite")

    def by_id(self) -> Scores:
        """Return the same samples in the order of their ids."""
        order = np.argsort(self.ids)
        labels = None if self.labels is None else self.labels[order]
        predicted = None if self.predicted is None else self.predicted[order]
        return Scores(self.ids[order], self.score[order], labels, predicted)


@dataclass(frozen=True)
class ClassChange:
    """Recall of one class under both models; `vetoes` when it falls by more than the rules allow.

    `chance` is the probability of so many more losses than gains if both models were alike (McNemar 1947, exact).
    """

    label: int
    name: str
    samples: int
    champion: float
    challenger: float
    vetoes: bool
    chance: float = 1.0

    @property
    def told(self) -> str:
        """Tell the change in words."""
        return (
            f"recall of {self.name} falls from {self.champion:.3f} to {self.challenger:.3f} on {self.samples} samples"
        )


@dataclass(frozen=True)
class Decision:
    """Whether the challenger replaces the champion; gain and interval are of challenger minus champion.

    `harmful` tells that the challenger is measurably worse, as a whole or in a class, beyond what chance explains.
    """

    outcome: Literal["promote", "refuse"]
    reason: str
    gain: float
    low: float
    high: float
    per_class: tuple[ClassChange, ...] = ()
    harmful: bool = False


def decide(
    champion: Scores,
    challenger: Scores,
    rules: Gate,
    resamples: int,
    confidence: float,
    *,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Decision:
    """Judge two models on the same samples; `names` are those of the classes 0..K-1, for the reason.

    Raises:
        ValueError: the two were tested on different samples or against different labels.
    """
    old, new = champion.by_id(), challenger.by_id()
    if not np.array_equal(old.ids, new.ids):
        raise ValueError("champion and challenger were tested on different samples")
    if old.labels is not None and new.labels is not None and not np.array_equal(old.labels, new.labels):
        raise ValueError("champion and challenger were tested against different labels")
    count = len(old.ids)
    difference = new.score - old.score
    gain = float(difference.mean())
    if not difference.any():
        return Decision("refuse", f"equal: no difference on {count} samples", 0.0, 0.0, 0.0)
    low, high = gain_interval(difference, resamples, confidence, seed)
    classes = class_changes(old, new, rules, names)
    told = f"{gain:+.4f} [{low:+.4f}, {high:+.4f}] at {confidence:.0%} confidence on {count} samples"
    vetoes = [c.told for c in classes if c.vetoes]
    harmful = high < 0 or any(c.vetoes and c.chance < (1 - confidence) / len(classes) for c in classes)
    limit = f", more than {rules.max_class_drop:g} allowed" if vetoes else ""
    if low <= rules.min_gain:
        word = "worse" if high < 0 else "within noise" if low <= 0 else "too small a gain"
        reason = f"{word}: gain {told}, needs more than {rules.min_gain:g} at the lower end"
        losses = vetoes or ([c.told for c in _worst(classes)] if high < 0 else [])
        return Decision("refuse", "; ".join([reason, *losses]) + limit, gain, low, high, classes, harmful)
    if vetoes:
        reason = f"vetoed: {'; '.join(vetoes)}{limit}, although the gain is {told}"
        return Decision("refuse", reason, gain, low, high, classes, harmful)
    return Decision("promote", f"better: gain {told}", gain, low, high, classes)


def gain_interval(
    difference: NDArray[np.float64], resamples: int, confidence: float, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the mean of N paired differences."""
    random = np.random.Generator(np.random.Philox(seed))
    count = len(difference)
    rows = max(1, _DRAWS_AT_ONCE // count)
    means = [
        difference[random.integers(0, count, (min(rows, resamples - start), count))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def class_changes(champion: Scores, challenger: Scores, rules: Gate, names: Sequence[str]) -> tuple[ClassChange, ...]:
    """Return each class's recall under both models, samples in the same order; () for tasks without classes."""
    if champion.labels is None or champion.predicted is None or challenger.predicted is None:
        return ()
    changes = []
    for label in np.unique(champion.labels).tolist():
        members = champion.labels == label
        samples = int(members.sum())
        old = float((champion.predicted[members] == label).mean())
        new = float((challenger.predicted[members] == label).mean())
        vetoes = samples >= rules.min_class_samples and old - new > rules.max_class_drop + _ROUNDING
        name = f"class {names[label] if 0 <= label < len(names) else label}"
        right, still = champion.predicted[members] == label, challenger.predicted[members] == label
        chance = sign_test(int((right & ~still).sum()), int((still & ~right).sum()))
        changes.append(ClassChange(label, name, samples, old, new, vetoes, chance))
    return tuple(changes)


def sign_test(losses: int, gains: int) -> float:
    """Return the probability of at least so many losses among fair coin tosses: the one-sided exact McNemar test."""
    tosses = losses + gains
    return float(sum(comb(tosses, count) for count in range(losses, tosses + 1)) / 2**tosses)


def _worst(classes: Sequence[ClassChange]) -> list[ClassChange]:
    """Return the three classes that lose most recall."""
    fallen = [change for change in classes if change.challenger < change.champion - _ROUNDING]
    return sorted(fallen, key=lambda change: change.challenger - change.champion)[:3]
