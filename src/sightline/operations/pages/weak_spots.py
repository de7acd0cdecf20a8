"""What a model is worse on than chance explains, in words and with a few of its errors; reads an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightline.config.metrics import smaller_is_better
from sightline.evaluation.report import read_table
from sightline.evaluation.report.weakest import ALPHA, Units, class_units, find_weak, slice_units
from sightline.evaluation.slices import FEW, cut, read_columns
from sightline.operations.pages.drawings import judged_samples
from sightline.operations.pages.errors_shown import error_pictures, worst_samples
from sightline.operations.pages.pictures import Picture
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.words import metric_title, number
from sightline.system.errors import UserError

_TABLES = ("per_class", "per_joint", "per_value")

_GROUPS = {"regression": "value", "keypoints": "key point"}  # what is compared in place of classes


@dataclass(frozen=True)
class WeakSpots:
    """What a model is worse on.

    Attributes:
        words: a sentence or two.
        classes: those that are worse, the worst first.
        slices: column and value of the slices that are worse, the worst first.
        judged: whether there was anything to compare.
        pictures: errors on the worst class or slice.
    """

    words: str
    classes: list[str] = field(default_factory=list)
    slices: list[tuple[str, str]] = field(default_factory=list)
    judged: bool = True
    pictures: list[Picture] = field(default_factory=list)


def weak_spots(sources: Sources, metrics: Mapping[str, Any], slices_file: Path | None) -> WeakSpots:
    """Return the classes and slices on which a model is worse than chance explains.

    Among equal classes and slices it names one in at most 5 % of cases: half of that for each of the two.

    Args:
        sources: of an evaluated model.
        metrics: of its evaluation.
        slices_file: of `params.yaml`.
    """
    judged = judged_samples(sources.evaluation)
    if judged is None:
        return WeakSpots("There are no rows of single images to compare classes by.", judged=False)
    rows, quality, worst = judged
    table = _table(sources)
    by_class = class_units(rows, table)
    listed = _listed(sources)
    by_slice = _slice_units(sources, rows, quality.values, listed, slices_file)
    alpha = ALPHA / 2 if by_class is not None and by_slice is not None else ALPHA
    classes = [] if by_class is None else [group for group, _ in find_weak(by_class, alpha)]
    slices = [] if by_slice is None else [group for group, _ in find_weak(by_slice, alpha, FEW)]
    marked = {(column, value): row for column, value, row in listed if row["verdict"] == "worse"}
    named = [_parted(by_slice.names[group]) for group in slices] if by_slice is not None else []
    confirmed = [(group, name) for group, name in zip(slices, named, strict=True) if name in marked]
    told = []
    shown: tuple[Units, int] | None = None
    if by_class is not None and classes:
        told.append(_class_words(by_class, classes, rows, table, sources))
        shown = by_class, classes[0]
    if by_slice is not None and confirmed:
        told.append(_slice_words(metrics, marked[confirmed[0][1]], confirmed))
        shown = shown or (by_slice, confirmed[0][0])
    if not told:
        told.append(_nothing(by_class, by_slice, str(metrics["task"])))
    return WeakSpots(
        " ".join(told),
        [by_class.names[group] for group in classes] if by_class is not None else [],
        [name for _, name in confirmed],
        by_class is not None or by_slice is not None,
        error_pictures(sources, rows, worst_samples(*shown, worst.order)) if shown else [],
    )


def _table(sources: Sources) -> pd.DataFrame:
    for name in _TABLES:
        path = sources.evaluation / f"{name}.csv"
        if path.is_file():
            return read_table(path, (name.removeprefix("per_"),))
    return pd.DataFrame()


def _listed(sources: Sources) -> list[tuple[str, str, dict[str, Any]]]:
    """Return column, value and row of each slice that `evaluate` measured."""
    path = sources.evaluation / "slices.csv"
    if not path.is_file():
        return []
    rows = read_table(path, ("column", "value", "verdict")).to_dict("records")
    return [(str(row["column"]), str(row["value"]), {str(name): value for name, value in row.items()}) for row in rows]


def _slice_units(
    sources: Sources, rows: pd.DataFrame, quality: Any, listed: Sequence[tuple[str, str, Any]], file: Path | None
) -> Units | None:
    """Return the samples in the slices of `slices.csv`; None where their attributes cannot be read any more."""
    wanted = list(dict.fromkeys(column for column, _, _ in listed))
    if not wanted:
        return None
    try:
        known = read_columns(sources.prepared, file)
    except UserError:
        return None
    columns = [(name, cut(known[name].reindex(rows["id"]))) for name in wanted if name in known]
    return slice_units(np.asarray(quality, np.float64), columns)


def _parted(name: str) -> tuple[str, str]:
    column, _, value = name.partition("\n")
    return column, value


def of_100(share: float) -> str:
    """Return a share as a number out of 100, with a decimal near the ends, which are said of nothing else."""
    value = 100 * share
    text = f"{value:.0f}"
    return f"{value:.1f}" if (text == "100" and share < 1) or (text == "0" and share > 0) else text


def _class_words(units: Units, weak: Sequence[int], rows: pd.DataFrame, table: pd.DataFrame, sources: Sources) -> str:
    """Say which class is worst, how much, and what it is taken for."""
    group = weak[0]
    own = units.of(group)
    name, of_all = f"“{units.names[group]}”", units.score()
    right, total = round(units.values[own].sum()), round(units.sizes[own].sum())
    against = f"of all classes {of_100(of_all)} of 100"
    if "label" in rows:
        words = f"{name} is right in only {right} of {total} images, {against}{_confusion(rows, table, group)}."
    elif "anomalous" in rows:
        words = f"{name} is judged right in only {right} of {total} images, {against}."
    elif "predicted_labels" in rows:
        words = f"Of {total} images with {name} it names it in only {right}, {against} labels."
    elif "predicted_values" in rows:
        words = f"{name} is predicted worst: R2 {units.score(group):.2f}, of all values {of_all:.2f}."
    elif "hits" in rows:
        words = (
            f"{name} is outlined worst: mean IoU {units.score(group):.2f} in the {len(own)} images with it, "
            f"of all classes {of_all:.2f}{_pixels(sources, units.names[group])}."
        )
    elif "points" in rows:
        words = f"{name} is found in only {right} of {total} images, of all key points {of_100(of_all)} of 100."
    elif "located" in rows:
        words = f"{name} is classified and located in only {right} of {total} images, {against}."
    else:
        words = f"It misses {name}: only {right} of {total} are found, {against} (at one score for all)."
    more = [f"“{units.names[one]}”" for one in weak[1:4]]
    others = f" {', '.join(more)} {'are' if len(more) > 1 else 'is'} worse than the others too." if more else ""
    return f"{words}{others}"


def _confusion(rows: pd.DataFrame, table: pd.DataFrame, label: int) -> str:
    """Say which class is most often predicted in place of this one, if it is more than once."""
    wrong = rows[(rows["label"] == label) & (rows["predicted"] != label)]["predicted"].value_counts(sort=False)
    if wrong.empty or wrong.max() < 2:
        return ""
    other = int(wrong[wrong == wrong.max()].index.min())
    return f"; it is confused with “{table.iloc[other, 0]}” in {wrong.max()} of {int((rows['label'] == label).sum())}"


def _pixels(sources: Sources, name: str) -> str:
    """Say what the pixels of a class are most often taken for, if it is a tenth of them or more."""
    path = sources.evaluation / "pixels.csv"
    if not path.is_file():
        return ""
    table = read_table(path, ("actual",)).set_index("actual")
    if name not in table.index:
        return ""
    counts = table.loc[name].astype(float)
    others = counts.drop(name, errors="ignore")
    share = float(others.max() / max(counts.sum(), 1.0)) if len(others) else 0.0
    return f"; {of_100(share)} of 100 of its pixels are taken for “{others.idxmax()}”" if share >= 0.1 else ""


def _slice_words(
    metrics: Mapping[str, Any], row: Mapping[str, Any], confirmed: Sequence[tuple[int, tuple[str, str]]]
) -> str:
    headline = metrics["headline"]
    column, value = confirmed[0][1]
    much = "higher" if smaller_is_better(headline["name"]) else "lower"
    words = (
        f"On the {int(row['samples']):,} images with {column}: {value} its {metric_title(headline['name'])} is {much}: "
        f"{number(float(row['score']))}, on all {number(float(headline['value']))}."
    )
    more = [f"{column}: {value}" for _, (column, value) in confirmed[1:3]]
    return f"{words} The same holds for {', '.join(more)}." if more else words


def _nothing(by_class: Units | None, by_slice: Units | None, task: str) -> str:
    if by_class is not None and len(by_class.names) < 2:  # nothing to compare it with
        by_class = None
    if by_class is None and by_slice is None:
        return "There are no classes or slices to compare."
    parts = [name for name, own in ((_GROUPS.get(task, "class"), by_class), ("slice", by_slice)) if own is not None]
    words = f"No {' and no '.join(parts)} is worse than the others beyond chance."
    if by_class is None:
        return words
    counted = zip(by_class.members.sum(0).tolist(), by_class.names, strict=True)
    least, name = min((int(count), name) for count, name in counted if name != "background")
    if least >= FEW:
        return words
    return f"{words[:-1]}; with so few test images (“{name}” has {least}) only large differences would show."
