"""Compares a challenger with the champion on the same test samples: rows of both in, a decision with its reason out.

The interval is the percentile interval of a paired bootstrap of the metric itself: test samples are drawn with
replacement, and the metric of both models is computed on each draw (B. Efron and R. J. Tibshirani, An Introduction to
the Bootstrap, 1993, chapters 13 and 16). So any metric of the rows can be judged, be it a mean of samples or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtrc

from sightline.config.evaluation import Gate
from sightline.config.metrics import smaller_is_better
from sightline.registry.grounds import WORDS, ClassLoss, Code, GuardCheck
from sightline.tasks.metrics.by_kind import value_of
from sightline.tasks.metrics.paired import gain_interval
from sightline.tasks.metrics.resampling import FLOAT64, Metric, resampled_counts

MetricsOf = Callable[[pd.DataFrame], Mapping[str, Metric]]
_ROUNDING = 1e-9  # 1 of 20 samples is a drop of 0.05000000000000004


@dataclass(frozen=True)
class ClassChange:
    """Recall of one class under both models; `vetoes` when it falls by more than the rules allow and chance explains.

    `chance` is the probability of so many more losses than gains if both models were equal (McNemar 1947, exact),
    corrected for the number of classes that could veto (Holm 1979, Tarone 1990); 1 for the others.
    """

    label: int
    name: str
    samples: int
    champion: float
    challenger: float
    vetoes: bool
    chance: float = 1.0

    @property
    def loss(self) -> ClassLoss:
        """The figures for the ledger."""
        return ClassLoss(name=self.name, samples=self.samples, champion=self.champion, challenger=self.challenger)

    @property
    def told(self) -> str:
        """Tell the change in words."""
        fall = f"falls from {self.champion:.3f} to {self.challenger:.3f} on {self.samples} samples"
        return f"recall of {self.name} {fall} (chance {self.chance:.2g})"


@dataclass(frozen=True)
class Decision:
    """Whether the challenger replaces the champion; gain and interval are of challenger minus champion.

    Of errors, which are better when smaller, they are champion minus challenger. `code` is the reason for machines.
    `harmful` says that the challenger is measurably worse, as a whole or in a class, beyond what chance explains.
    """

    outcome: Literal["promote", "refuse"]
    code: Code
    reason: str
    gain: float
    low: float
    high: float
    per_class: tuple[ClassChange, ...] = ()
    harmful: bool = False


def decide(
    champion: pd.DataFrame,
    challenger: pd.DataFrame,
    metric: str,
    metrics_of: MetricsOf,
    rules: Gate,
    resamples: int,
    confidence: float,
    *,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Decision:
    """Judge two models by their rows of the same samples, in any order.

    Args:
        champion: rows of a measurement, with at least id, `truth` where it is known, and what the metric needs; with
            the columns label and predicted, classes can veto.
        challenger: rows of the same samples.
        metric: by which the two are compared.
        metrics_of: returns the metrics of rows by name, see `metrics.by_kind`.
        rules: of the gate.
        resamples: number of draws.
        confidence: of the interval, and that a class which vetoes has really lost.
        seed: of the draws.
        names: of the classes 0..K-1, for the reason.

    Raises:
        ValueError: there are no samples, the two were tested on different ones or against different truth, or the
            metric is not one of those that can be resampled.
    """
    old, new = paired(champion, challenger)
    ours, theirs = (_metric(metrics_of(rows), metric) for rows in (new, old))
    gain, low, high = gain_interval(theirs, ours, len(old), resamples, confidence, seed)
    if smaller_is_better(metric):
        gain, low, high = -gain, -high, -low
    count = len(old)
    if gain == low == high == 0:
        return Decision("refuse", "equal", f"equal: no difference on {count} samples", 0.0, 0.0, 0.0)
    if not np.isfinite([gain, low, high]).all():
        raise ValueError(f"{metric} cannot be measured on these {count} test samples")
    classes = class_changes(old, new, rules, confidence, names)
    told = f"{gain:+.4f} [{low:+.4f}, {high:+.4f}] at {confidence:.0%} confidence on {count} samples"
    vetoes = [c.told for c in classes if c.vetoes]
    harmful = high < 0 or bool(vetoes)
    limit = f", more than the allowed {rules.max_class_drop:g} and more than chance explains" if vetoes else ""
    if low <= rules.min_gain:
        code: Code = "worse" if high < 0 else "within_noise" if low <= 0 else "too_small_gain"
        reason = f"{WORDS[code]}: gain {told}, its lower end must be above {rules.min_gain:g}"
        losses = vetoes or ([c.told for c in _worst(classes)] if high < 0 else [])
        return Decision("refuse", code, "; ".join([reason, *losses]) + limit, gain, low, high, classes, harmful)
    if vetoes:
        reason = f"vetoed: {'; '.join(vetoes)}{limit}, although the gain is {told}"
        return Decision("refuse", "class_veto", reason, gain, low, high, classes, harmful)
    return Decision("promote", "better", f"better: gain {told}", gain, low, high, classes)


def paired(champion: pd.DataFrame, challenger: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both models' rows in the order of their ids.

    Raises:
        ValueError: there are none, or they are not of the same samples and the same truth.
    """
    old, new = (rows.sort_values("id", ignore_index=True) for rows in (champion, challenger))
    if not len(old) or not len(new):
        raise ValueError("no test samples: nothing can be compared")
    if old["id"].duplicated().any() or new["id"].duplicated().any():
        raise ValueError("duplicate test ids")
    if not np.array_equal(old["id"], new["id"]):
        raise ValueError("champion and challenger were tested on different samples")
    for column in ("truth", "label"):
        if column in old and column in new and not np.array_equal(old[column], new[column]):
            raise ValueError("champion and challenger were tested against different annotations")
    return old, new


def _metric(metrics: Mapping[str, Metric], name: str) -> Metric:
    if name not in metrics:
        raise ValueError(f"{name} is not a metric that can be resampled; use one of {', '.join(metrics)}")
    return metrics[name]


def class_changes(
    champion: pd.DataFrame, challenger: pd.DataFrame, rules: Gate, confidence: float, names: Sequence[str]
) -> tuple[ClassChange, ...]:
    """Return each class's recall under both models, rows in the same order; () for tasks without classes.

    A class vetoes when its recall falls by more than `rules.max_class_drop` and by more than chance explains: with
    equally good models, some class vetoes with a probability of at most 1 - confidence.
    """
    if not all({"label", "predicted"} <= set(rows.columns) for rows in (champion, challenger)):
        return ()
    truth = champion["label"].to_numpy(np.int64)
    before, after = (rows["predicted"].to_numpy() == truth for rows in (champion, challenger))
    labels, place = np.unique(truth, return_inverse=True)

    def counted(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(place[flags], minlength=len(labels))

    samples, losses, gains = counted(np.ones_like(before)), counted(before & ~after), counted(after & ~before)
    old, new = counted(before) / samples, counted(after) / samples
    tested = could_veto(np.where(samples >= rules.min_class_samples, losses + gains, 0), 1 - confidence)
    chances = np.ones(len(labels))
    chances[tested] = holm(sign_test(losses, gains)[tested])
    vetoes = tested & (old - new > rules.max_class_drop + _ROUNDING) & (chances < 1 - confidence)
    return tuple(
        ClassChange(label, f"class {names[label] if 0 <= label < len(names) else label}", *own)
        for label, *own in zip(*(one.tolist() for one in (labels, samples, old, new, vetoes, chances)), strict=True)
    )


def guard_checks(
    rows: pd.DataFrame, metrics: Mapping[str, Metric], guards: Mapping[str, float], resamples: int, confidence: float
) -> tuple[GuardCheck, ...]:
    """Return what each guarded metric is on N test samples, with its percentile interval.

    Args:
        rows: of the challenger's own evaluation.
        metrics: of these rows, by name.
        guards: metric -> what it must reach; a metric that is not there guards nothing.
        resamples: number of draws.
        confidence: of the interval.
    """
    count, tail = len(rows), (1 - confidence) / 2
    checks = []
    for name, bound in guards.items():
        if name not in metrics:
            continue
        value = value_of(metrics[name], count)
        draws = np.concatenate([metrics[name](own) for own in resampled_counts(count, resamples)])
        draws = draws[np.isfinite(draws)]
        if len(np.unique(draws)) < 2:  # no miss among the samples does not prove that there never is one
            draws = draws[:0]
        low, high = np.quantile(draws, [tail, 1 - tail]).tolist() if len(draws) else (None, None)
        known = value if np.isfinite(value) else None
        checks.append(GuardCheck(metric=name, bound=float(bound), value=known, low=low, high=high))
    return tuple(checks)


def sign_test(losses: Any, gains: Any) -> FLOAT64:
    """Return the probability of at least so many losses among fair coin tosses: the one-sided exact McNemar test."""
    chances: FLOAT64 = bdtrc(np.asarray(losses) - 1.0, np.asarray(losses) + np.asarray(gains), 0.5)
    return chances


def could_veto(tosses: NDArray[np.int64], alpha: float) -> NDArray[np.bool_]:
    """Return K flags: the class has so many tosses that a sign test could find a loss, among all that have.

    Classes on which both models hardly differ could never be found to lose, so the correction need not count them
    (R. E. Tarone 1990, A modified Bonferroni method for discrete data); small classes that collapse are found oftener.
    """
    least = 0.5 ** tosses.astype(np.float64)
    able = tosses > 0
    for count in range(1, len(tosses) + 1):
        able = (tosses > 0) & (least <= alpha / count)
        if able.sum() <= count:
            break
    return able


def holm(chances: FLOAT64) -> FLOAT64:
    """Return K probabilities corrected for being looked at together (S. Holm 1979, as adjusted p-values)."""
    order = np.argsort(chances)
    stepped = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    adjusted = np.empty_like(chances)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _worst(classes: Sequence[ClassChange]) -> list[ClassChange]:
    """Return the three classes that lose most recall."""
    fallen = [change for change in classes if change.challenger < change.champion - _ROUNDING]
    return sorted(fallen, key=lambda change: change.challenger - change.champion)[:3]
