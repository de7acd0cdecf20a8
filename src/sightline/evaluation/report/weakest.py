"""Which parts of a test set a model is worse on than chance explains: values of units with a group each in, names out.

A unit is what one prediction is right or wrong on: an image, a true label or object, a point. If groups do not matter,
any assignment of values to groups is as likely as the one at hand, so the least of all groups' standardised sums is
compared with those of random assignments: a permutation test with the single-step correction of the minimum for many
groups (P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993, chapter 2). If no group is worse, it
names one in at most a share ALPHA of all test sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from sightline.evaluation.report.quality import UNKNOWN
from sightline.tasks.metrics.segmentation import Overlap

FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
ALPHA = 0.05
_AT_50 = 1  # bit of an overlap of 0.5 in the column found
_LARGE = 8  # objects of a class in one image above which their number is rounded down to a power of two
_DRAWS = (199, 999)  # least and most random assignments
_NUMBERS = 20_000_000  # drawn in all, as far as the least allows
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Units:
    """U units of G groups, which may share units.

    Attributes:
        names: of the groups.
        values: U, larger is better: shares, or counts out of `sizes`.
        sizes: U, what the score of a group divides the sum of its values by.
        members: U x G, 1 where a unit is in a group.
        strata: U, values are exchanged within these alone.
        samples: U places of rows, -1 if not known.
    """

    names: list[str]
    values: FLOAT64
    sizes: FLOAT64
    members: sparse.csr_array
    strata: INT64
    samples: INT64

    def score(self, group: int | None = None) -> float:
        """Return the mean over a group's units, or over all."""
        own = slice(None) if group is None else self.of(group)
        return float(self.values[own].sum() / max(self.sizes[own].sum(), 1e-12))

    def of(self, group: int) -> INT64:
        """Return the units of a group."""
        return np.flatnonzero(self.members[:, [group]].toarray()[:, 0]).astype(np.int64)


def units(names: Sequence[str], values: FLOAT64, groups: INT64, samples: INT64, sizes: FLOAT64 | None = None) -> Units:
    """Return units with one group each, exchanged among units of equal size."""
    count = len(values)
    sizes = np.ones(count) if sizes is None else sizes
    places = (np.ones(count), (np.arange(count), groups))
    members = sparse.coo_array(places, shape=(count, len(names))).tocsr()
    small = sizes <= _LARGE
    strata = np.where(small, sizes, 2.0 ** np.floor(np.log2(np.maximum(sizes, 1)))).astype(np.int64)
    return Units(list(names), values, sizes, members, strata, samples)


def find_weak(units: Units, alpha: float = ALPHA, least: int = 1) -> list[tuple[int, float]]:
    """Return the groups that are worse than chance explains, the one with the lowest score first, and their p-values.

    Args:
        units: any number.
        alpha: how often at most it may name a group if none is worse.
        least: units of a group below which it is not judged.
    """
    judged = np.flatnonzero(units.members.sum(0) >= max(1, least))
    if len(judged) < 1 or len(units.names) < 2 or not len(units.values):
        return []
    members = units.members[:, judged]
    rates, expected, spread = _moments(units, members)
    judged, members = judged[spread > 0], members[:, spread > 0]
    if not len(judged):
        return []
    expected, spread = expected[spread > 0], spread[spread > 0]
    found = (members.T @ rates - expected) / spread
    least_drawn = _least_of_draws(rates, units.strata, members, expected, spread)
    values = (1 + (least_drawn[:, None] <= found + 1e-9).sum(0)) / (1 + len(least_drawn))
    weak = [(int(group), float(p)) for group, p in zip(judged, values, strict=True) if p <= alpha]
    return sorted(weak, key=lambda one: (units.score(one[0]), units.names[one[0]]))


def _moments(units: Units, members: sparse.csr_array) -> tuple[FLOAT64, FLOAT64, FLOAT64]:
    """Return the units' values, and mean and deviation of each group's sum over all assignments.

    A group's units in a stratum are then drawn from it without replacement.
    """
    _, codes = np.unique(units.strata, return_inverse=True)
    strata = sparse.coo_array((np.ones(len(codes)), (codes, np.arange(len(codes))))).tocsr()
    totals = strata.sum(1)
    means = strata @ units.values / totals
    variances = np.maximum(strata @ units.values**2 / totals - means**2, 0.0)
    counts = (strata @ members).toarray()
    shares = counts * (totals[:, None] - counts) / np.maximum(totals - 1, 1)[:, None]
    spread = np.sqrt((variances[:, None] * shares).sum(0))
    return units.values, (counts * means[:, None]).sum(0), np.where(spread > 1e-9, spread, 0.0)


def _least_of_draws(
    values: FLOAT64, strata: INT64, members: sparse.csr_array, expected: FLOAT64, spread: FLOAT64
) -> FLOAT64:
    """Return the least standardised sum of all groups in each random assignment, the same ones each time."""
    generator = np.random.Generator(np.random.Philox(key=[0, len(values)]))
    draws = int(np.clip(_NUMBERS // len(values), *_DRAWS))
    order = np.argsort(strata, kind="stable")
    ends = np.flatnonzero(np.diff(strata[order], append=strata.max() + 1)) + 1
    groups = members[order].T.tocsr()
    least = []
    chunk = max(1, _AT_ONCE // len(values))
    for start in range(0, draws, chunk):
        rows = np.tile(values[order], (min(chunk, draws - start), 1))
        for first, last in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            if last - first > 1:
                rows[:, first:last] = generator.permuted(rows[:, first:last], axis=1)
        least.append((((groups @ rows.T).T - expected) / spread).min(1))
    return np.concatenate(least)


def class_units(rows: pd.DataFrame, table: pd.DataFrame) -> Units | None:
    """Return what a model is right or wrong on, by class; None if the rows do not say it.

    Args:
        rows: one per sample of an evaluation.
        table: its table of classes, key points or values, whose first column names them in their order.
    """
    if table.empty:
        return None
    names = table.iloc[:, 0].astype(str).tolist()
    found = next((name for name in map(str, rows) if name.endswith("found")), None)
    if "label" in rows:
        groups = rows["label"].to_numpy(np.int64)
        return units(names, rows["score"].to_numpy(np.float64), groups, np.arange(len(rows)))
    if "anomalous" in rows:
        right = np.equal(rows["flagged"].to_numpy(bool), rows["anomalous"].to_numpy(bool)).astype(np.float64)
        return units(names, right, rows["class_id"].to_numpy(np.int64), np.arange(len(rows)))
    if "predicted_labels" in rows:
        return _of_labels(rows, names)
    if "predicted_values" in rows:
        return _of_values(rows, names)
    if "hits" in rows:
        return _of_pixels(rows, names)
    if found is not None and "threshold" in table:
        return _of_objects(rows, names, found.removesuffix("found"), table["threshold"].to_numpy(np.float64))
    for share, count in (("localization_accuracy", "samples"), ("pck", "points")):
        if share in table and count in table:
            return _of_counts(names, table[share].to_numpy(np.float64), table[count].to_numpy(np.int64))
    return None


def _of_labels(rows: pd.DataFrame, names: list[str]) -> Units:
    """A unit for each true label of an image: whether it is predicted."""
    pairs = [
        (place, label, float(label in set(told)))
        for place, (actual, told) in enumerate(zip(rows["labels"], rows["predicted_labels"], strict=True))
        for label in actual
    ]
    samples, groups, right = np.array(pairs, np.float64).reshape(-1, 3).T
    return units(names, right, groups.astype(np.int64), samples.astype(np.int64))


def _of_values(rows: pd.DataFrame, names: list[str]) -> Units:
    """A unit for each value of an image: its part in the share of variance explained, exchanged within the image."""
    actual, told = (np.stack(rows[name].to_list()).astype(np.float64) for name in ("values", "predicted_values"))
    variance = actual.var(0)
    shares = 1 - (told - actual) ** 2 / np.where(variance > 0, variance, 1.0)
    samples = np.repeat(np.arange(len(rows)), len(names))
    made = units(names, shares.ravel(), np.tile(np.arange(len(names)), len(rows)), samples)
    return Units(made.names, made.values, made.sizes, made.members, samples, samples)


def _of_pixels(rows: pd.DataFrame, names: list[str]) -> Units:
    """A unit for each class in an image, less the background: its IoU there."""
    overlap = Overlap(*(np.stack(rows[name].to_list()) for name in ("hits", "actual", "claimed")))
    there = (overlap.actual > 0) & (np.array(names) != "background")
    samples, groups = np.nonzero(there)
    return units(names, overlap.iou[there], groups.astype(np.int64), samples.astype(np.int64))


def _of_objects(rows: pd.DataFrame, names: list[str], prefix: str, thresholds: FLOAT64) -> Units:
    """A unit for each class with objects in an image: how many of them are found.

    One score is asked of all classes, the median of theirs: those are chosen on the same images, class by class.
    """
    least = float(np.median(np.where(np.isnan(thresholds), UNKNOWN, thresholds)))
    found = []
    columns = ("object_labels", "object_scores", "found", "truths")
    for place, (labels, scores, hits, truths) in enumerate(zip(*(rows[prefix + one] for one in columns), strict=True)):
        good = (np.asarray(hits, np.int64) & _AT_50 > 0) & (np.asarray(scores) >= np.float32(least))
        counts = np.bincount(np.asarray(labels, np.int64)[good], minlength=len(names))
        found += [(place, own, counts[own], truths[own]) for own in np.flatnonzero(np.asarray(truths) > 0)]
    samples, groups, right, total = np.array(found, np.float64).reshape(-1, 4).T
    return units(names, np.minimum(right, total), groups.astype(np.int64), samples.astype(np.int64), total)


def _of_counts(names: list[str], shares: FLOAT64, counts: INT64) -> Units:
    """Units that are known by their number alone."""
    groups = np.repeat(np.arange(len(names)), counts)
    right = np.rint(np.nan_to_num(shares) * counts).astype(np.int64)
    values = [(np.arange(count) < hits).astype(np.float64) for count, hits in zip(counts, right, strict=True)]
    return units(names, np.concatenate(values), groups.astype(np.int64), np.full(len(groups), -1))


def slice_units(values: FLOAT64, columns: Sequence[tuple[str, pd.Categorical]]) -> Units | None:
    """Return a unit for each sample, in the parts of every column that it is in; None without any part.

    Args:
        values: N, how good each sample is; NaN where there was nothing to find.
        columns: name of each column and its parts, N.
    """
    known = np.flatnonzero(~np.isnan(values)).astype(np.int64)
    names, masks = [], []
    for name, parts in columns:
        for code, value in enumerate(parts.categories):
            names.append(f"{name}\n{value}")
            masks.append(parts.codes[known] == code)
    if not names or not len(known):
        return None
    members = sparse.csr_array(np.stack(masks, 1).astype(np.float64))
    ones = np.ones(len(known))
    return Units(names, values[known], ones, members, np.zeros(len(known), np.int64), known)
