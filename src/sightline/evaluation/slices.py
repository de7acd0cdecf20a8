"""Scores of parts of the test split: rows of an evaluation and what is known of each image in, a table out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from sightline.config.evaluation import Evaluation
from sightline.config.metrics import smaller_is_better
from sightline.data.store import SplitStore
from sightline.system.errors import UserError, nearest
from sightline.tasks.metrics.by_kind import metrics_of
from sightline.tasks.metrics.resampling import resampled_counts

if TYPE_CHECKING:
    from sightline.tasks.base import Task

MOST_VALUES = 20  # slices of one column
PARTS = 4  # into which numbers with more values are cut
FEW = 20  # samples below which a slice is not judged
REST = "other values"
FIRST = "first data"  # samples of no batch
_KEYS = ("id", "source")
COLUMNS = ["column", "value", "samples", "score", "low", "high", "verdict"]

Verdict = Literal["worse", "better", "alike", "few", "unmeasured"]


def read_columns(prepared: Path, file: Path | None) -> pd.DataFrame:
    """Return what is known of each test sample: its attributes, its batch, and the columns of a CSV file.

    Args:
        prepared: folder of the prepared data set.
        file: a CSV file with a column `id` or `source`, and further ones, which go before attributes of the same name.

    Returns:
        One row per test sample, its id as index; what is not known is NaN.

    Raises:
        UserError: the file is missing, is no such table, names a sample twice, or contains none of the samples.
    """
    store = SplitStore(prepared / "test")
    index = pd.Index(store.ids, name="id")
    known = pd.DataFrame([json.loads(text) for text in store.column("attributes")], index=index)
    batches = store.column("batch")
    if any(batches) and "batch" not in known:
        known["batch"] = [name or FIRST for name in batches]
    if file is None:
        return known
    table = _read_file(file)
    key = next(name for name in _KEYS if name in table)
    samples = pd.Index(store.column(key))
    further = table.set_index(key).reindex(samples).set_axis(index).drop(columns=[*_KEYS], errors="ignore")
    if not samples.isin(table[key]).any():
        return known  # a file of another data set: `evaluation` is common to all
    return pd.concat([known.drop(columns=further.columns, errors="ignore"), further], axis=1)


def _read_file(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(_KEYS, str))
    except FileNotFoundError:
        raise UserError(
            f"evaluation.slices_file: {file}: no such file; put it there, or set slices_file: null"
        ) from None
    except (ValueError, OSError) as error:  # pandas' parsing errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"evaluation.slices_file: {file}: not a CSV table in UTF-8: {reason}; save it as one") from None
    key = next((name for name in _KEYS if name in table), None)
    if key is None:
        found = ", ".join(map(str, table.columns))
        raise UserError(f"evaluation.slices_file: {file}: has the columns {found}; one of them must be id or source")
    repeated = table[key][table[key].duplicated()]
    if len(repeated):
        raise UserError(
            f"evaluation.slices_file: {file}: {key} {repeated.iloc[0]!r} is there twice; remove one of the lines"
        )
    return table


def chosen_columns(known: pd.DataFrame, wanted: Sequence[str] | Literal["auto"]) -> tuple[list[str], list[str]]:
    """Return the columns to slice by, and a line for each wanted one that this data set does not have.

    `auto` takes all that divide the samples into 2 to `MOST_VALUES` parts, and all numbers.
    """
    if wanted == "auto":
        return [name for name in map(str, known.columns) if _divides(known[name])], []
    told = []
    for name in wanted:
        if name not in known:
            columns = list(map(str, known.columns))
            hint = nearest(name, columns, f" (there are {', '.join(columns) or 'none'})")
            told.append(f"no column {name!r} to slice by{hint}")
    return [name for name in wanted if name in known], told


def _divides(values: pd.Series[Any]) -> bool:
    count = values.map(str).where(values.notna()).nunique()
    return count > 1 and (count <= MOST_VALUES or _is_numeric(values))


def _is_numeric(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def cut(values: pd.Series[Any]) -> pd.Categorical:
    """Divide samples by the values of a column, at most `MOST_VALUES` of them and the rest, in their order.

    Numbers with more values are cut at their quartiles; of other values the most frequent ones stay.
    """
    known = values.dropna()
    if _is_numeric(values):
        distinct = np.unique(known.to_numpy(np.float64))
        if len(distinct) > MOST_VALUES:
            edges = np.unique(np.quantile(known.to_numpy(np.float64), np.linspace(0, 1, PARTS + 1)))
            names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges.tolist())]
            places = np.searchsorted(edges, values.to_numpy(np.float64), side="left").clip(1, len(names)) - 1
            codes = np.where(values.notna(), places, -1).tolist()
            return pd.Categorical.from_codes(codes, pd.Index(_unique(names)))
        named = values.map("{:g}".format, na_action="ignore")
        return pd.Categorical(named, categories=list(dict.fromkeys(f"{value:g}" for value in distinct)))
    named = values.map(str, na_action="ignore")
    counts = named.value_counts()
    if len(counts) <= MOST_VALUES:
        return pd.Categorical(named, categories=sorted(counts.index))
    kept = sorted(sorted(counts.index, key=lambda value: (-counts[value], value))[:MOST_VALUES])
    return pd.Categorical(named.where(named.isin(kept) | named.isna(), REST), categories=_unique([*kept, REST]))


def _unique(names: Sequence[str]) -> list[str]:
    return [name if names.index(name) == place else f"{name} ({place + 1})" for place, name in enumerate(names)]


def measure_slices(
    task: Task, rows: pd.DataFrame, headline: dict[str, Any], columns: pd.DataFrame, settings: Evaluation
) -> pd.DataFrame:
    """Measure the headline metric on each slice, with its bootstrap interval.

    Many intervals are looked at together, so some exclude the value of all samples by chance: with 95 % one in twenty.

    Args:
        task: of the model.
        rows: one row per sample of an evaluation.
        headline: name and value of the metric on all samples.
        columns: by which to slice, sample ids as index.
        settings: number of resamples and confidence.

    Returns:
        The columns `COLUMNS`, one row per slice; `verdict` says whether its interval excludes the value of all samples.
    """
    found = []
    for name in columns:
        parts = cut(columns[name].reindex(rows["id"]))
        for place, value in enumerate(parts.categories):
            own = rows[parts.codes == place].reset_index(drop=True)
            if len(own):
                score, low, high = _interval(task, own, headline["name"], settings)
                sign = -1 if smaller_is_better(headline["name"]) else 1
                verdict = _verdict(len(own), sign * low, sign * high, sign * headline["value"])
                found.append((name, value, len(own), score, low, high, verdict))
    return pd.DataFrame(found, columns=COLUMNS)


def _interval(task: Task, rows: pd.DataFrame, metric: str, settings: Evaluation) -> tuple[float, float, float]:
    measure = metrics_of(task.kind, rows, task.labels)[metric]
    score = float(measure(np.ones((1, len(rows)), np.float32))[0])
    joined = np.concatenate([measure(counts) for counts in resampled_counts(len(rows), settings.resamples)])
    joined = joined[np.isfinite(joined)]
    if not np.isfinite(score) or not len(joined):
        return (float("nan"),) * 3
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(joined, [tail, 1 - tail])
    return score, float(low), float(high)


def _verdict(samples: int, one: float, other: float, value: float) -> Verdict:
    """Judge a slice by the ends of its interval and the value of all samples, of which more is better."""
    low, high = min(one, other), max(one, other)
    if np.isnan(low):
        return "unmeasured"
    if samples < FEW:
        return "few"
    if high < value:
        return "worse"
    return "better" if low > value else "alike"
