"""Fits a head: features and classes of the train split in, a fitted classifier and the table of its choice out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sightline.config.heads import Head
from sightline.data.structures import FLOAT32
from sightline.system.errors import UserError
from sightline.training.heads.classifiers import build_pipeline

# One thread gives the same bytes on any number of cores; on products this small, several mostly wait for each other,
# and next to other processes they are many times slower.
_BLAS_THREADS = 1


@dataclass(frozen=True)
class FittedHead:
    """What a fit leaves.

    Attributes:
        classifier: a pipeline, or one with calibrated probabilities; classes are ids.
        chosen: the value of each parameter that was chosen.
        table: one row per candidate: its parameters, mean, deviation and rank of the accuracy over folds; empty where
            there was nothing to choose.
        unconverged: fits whose solver stopped before its end.
    """

    classifier: Any
    chosen: dict[str, Any]
    table: pd.DataFrame
    unconverged: int


def fit(head: Head, vectors: FLOAT32, labels: NDArray[np.int64], classes: Sequence[str], seed: int) -> FittedHead:
    """Choose settings by cross-validation, fit on all samples, calibrate by cross-validation.

    Args:
        head: the section.
        vectors: N x D features of the train split.
        labels: N class ids.
        classes: names of the classes, for errors.
        seed: of folds, solvers and dropout.

    Raises:
        UserError: samples without class, a class with fewer samples than folds, too few classes.
    """
    require_classes(labels, classes)
    calibrate = getattr(head, "calibrate", "none")
    with warnings.catch_warnings(record=True) as told, threadpool_limits(_BLAS_THREADS):
        warnings.simplefilter("always")
        chosen, table = _choose(head, vectors, labels, classes, seed)
        pipeline, _ = build_pipeline(head, seed)
        pipeline.set_params(**chosen)
        if calibrate == "none":
            classifier = pipeline.fit(vectors, labels)
        else:
            from sklearn.calibration import CalibratedClassifierCV

            require_folds(labels, classes, head.folds)
            folds = _folds(head.folds, seed)
            # One classifier of all samples, calibrated by what the folds' classifiers say of samples left out.
            calibrated = CalibratedClassifierCV(pipeline, method=calibrate, cv=folds, ensemble=False)
            classifier = calibrated.fit(vectors, labels)
    return FittedHead(classifier, {_short(name): value for name, value in chosen.items()}, table, _unconverged(told))


def cross_validated(head: Head, vectors: FLOAT32, labels: NDArray[np.int64], seed: int, scoring: str) -> pd.DataFrame:
    """Return one row per candidate: its parameters by full name, `mean`, `deviation` and `rank` of the score.

    Args:
        head: the section.
        vectors: N x D.
        labels: N class ids.
        seed: of folds, solvers and dropout.
        scoring: scikit-learn's name of the score.
    """
    from sklearn.model_selection import GridSearchCV

    pipeline, tried = build_pipeline(head, seed)
    search = GridSearchCV(
        pipeline, tried, scoring=scoring, cv=_folds(head.folds, seed), refit=False, error_score="raise"
    )
    with threadpool_limits(_BLAS_THREADS):
        search.fit(vectors, labels)
    results = search.cv_results_
    rows = pd.DataFrame(results["params"], dtype=object)
    return rows.assign(
        mean=results["mean_test_score"], deviation=results["std_test_score"], rank=results["rank_test_score"]
    )


def _choose(
    head: Head, vectors: FLOAT32, labels: NDArray[np.int64], classes: Sequence[str], seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the best candidate, of equal ones the first, and the table."""
    _, tried = build_pipeline(head, seed)
    if all(len(values) == 1 for values in tried.values()):
        return {name: values[0] for name, values in tried.items()}, pd.DataFrame()
    rows = drawn_by_class(labels, head.choose_on, seed)
    require_folds(labels[rows], classes, head.folds)
    table = cross_validated(head, vectors[rows], labels[rows], seed, "accuracy")
    best = table.sort_values("rank", kind="stable").iloc[0]
    return {name: best[name] for name in tried}, table.rename(columns=_short)


def drawn_by_class(labels: NDArray[np.int64], most: int | None, seed: int) -> NDArray[np.int64]:
    """Return the rows of at most `most` samples, every class with its share of them, in their order."""
    everything = np.arange(len(labels))
    if most is None or most >= len(labels):
        return everything
    random = np.random.Generator(np.random.Philox(key=[seed, 1]))
    shuffled = random.permutation(len(labels))
    # The k-th of a class's n samples gets the place (k + 1/2) / n: the first places have all classes in proportion.
    place = np.zeros(len(labels))
    for label in np.unique(labels):
        own = shuffled[labels[shuffled] == label]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    taken = shuffled[np.argsort(place[shuffled], kind="stable")[:most]]
    rows: NDArray[np.int64] = np.sort(taken)
    return rows


def require_classes(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Refuse samples without a class, and less than two classes.

    Raises:
        UserError: saying how many.
    """
    missing = int((labels < 0).sum())
    if missing:
        raise UserError(
            f"{missing} of {len(labels)} train samples have no class (`label`); use a data set with classes"
        )
    there = np.unique(labels)
    if len(there) < 2:
        told = f"only {classes[int(there[0])]}" if len(there) else "no sample"
        raise UserError(f"the train split has {told}; a head needs at least two classes")


def require_folds(labels: NDArray[np.int64], classes: Sequence[str], folds: int) -> None:
    """Refuse folds that a class is too small for.

    Raises:
        UserError: naming the smallest class.
    """
    there, counts = np.unique(labels, return_counts=True)
    least = int(counts.argmin())
    if counts[least] < folds:
        name, count = classes[int(there[least])], int(counts[least])
        raise UserError(
            f"folds: {folds}: class {name} has {count} train samples; set folds to {max(2, count)} or add images"
        )


def _folds(folds: int, seed: int) -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(folds, shuffle=True, random_state=seed)


def _short(name: str) -> str:
    return str(name).rpartition("__")[2]


def _unconverged(told: Sequence[warnings.WarningMessage]) -> int:
    from sklearn.exceptions import ConvergenceWarning

    return sum(issubclass(warning.category, ConvergenceWarning) for warning in told)
