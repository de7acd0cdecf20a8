"""How a head errs when it learns from less: features and classes of the train split in, errors out of fold by size.

Every image of some folds is classified by heads that were fitted without its fold, on all of the other folds and on
halves, quarters and eighths of them, every class with its share. The same images are judged at every size, so
that sizes can be compared image by image.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sightline.config.heads import Head
from sightline.data.structures import FLOAT32
from sightline.training.heads.classifiers import build_pipeline

FOLDS = 5
# Share of the images outside the fold -> number of draws of so many. More draws hardly help (bench/advice.py).
DRAWS = {0.125: 2, 0.25: 2, 0.5: 1, 1.0: 1}
MOST_LEARNED = 10_000  # images that a fit of the curve learns from
ENOUGH_JUDGED = 4_000  # images after which no further fold is judged
LEAST_PER_CLASS = 2  # mean number of images per class in the smallest part
_NEIGHBOURS = "classifier__n_neighbors"  # of knn, not more than there are images
_BLAS_THREADS = 1  # the same bytes on any number of cores


@dataclass(frozen=True)
class MeasuredCurve:
    """Errors of S sizes on the same N images.

    Attributes:
        sizes: S numbers of images learned from, rising.
        wrong: S arrays, draws x N, 1 where the class is wrong.
        labels: N class ids of the images.
        rows: N places of the images in the train split.
    """

    sizes: NDArray[np.float64]
    wrong: tuple[NDArray[np.uint8], ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def errors(self) -> NDArray[np.float64]:
        """Return S shares of wrong classes."""
        return np.array([part.mean() for part in self.wrong])


def measure_curve(
    head: Head, chosen: Mapping[str, Any], vectors: FLOAT32, labels: NDArray[np.int64], seed: int
) -> MeasuredCurve | None:
    """Fit the head on parts of the train split, with the settings that were chosen on all of it.

    Args:
        head: the section.
        chosen: the value of each parameter that was chosen.
        vectors: N x D features of the train split.
        labels: N class ids.
        seed: of folds, parts, solvers and dropout.

    Returns:
        None where there are too few images: fewer than two sizes of two images per class, or a class with one image.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, 2]))
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        return None
    folds = _in_turn(labels, random) % FOLDS
    outside = len(labels) * (FOLDS - 1) // FOLDS
    most = min(outside, MOST_LEARNED)
    shares = [share for share in DRAWS if share * most >= LEAST_PER_CLASS * len(classes)]
    if len(shares) < 3:
        return None
    judged = _judged(folds)
    wrong = {share: np.zeros((DRAWS[share], len(labels)), np.uint8) for share in shares}
    pipeline = _pipeline(head, chosen, seed)
    with warnings.catch_warnings(), threadpool_limits(_BLAS_THREADS):
        warnings.simplefilter("ignore")  # a solver's early stop is reported by the fit of the head
        for rows, part, share, draw in _parts(folds, judged, labels, most, shares, random):
            said = _said(pipeline, vectors[part], labels[part], vectors[rows])
            wrong[share][draw, rows] = said != labels[rows]
    rows = np.flatnonzero(np.isin(folds, judged))
    parts = tuple(wrong[share][:, rows] for share in shares)
    return MeasuredCurve(np.array(shares) * most, parts, labels[rows], rows)


def _judged(folds: NDArray[np.int64]) -> list[int]:
    """Return the folds whose images are classified: as many as give enough images."""
    sizes = np.cumsum(np.bincount(folds, minlength=FOLDS))
    return list(range(min(FOLDS, int(np.searchsorted(sizes, ENOUGH_JUDGED)) + 1)))


def _parts(
    folds: NDArray[np.int64],
    judged: list[int],
    labels: NDArray[np.int64],
    most: int,
    shares: list[float],
    random: np.random.Generator,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], float, int]]:
    """Yield (rows to classify, rows to learn from, share, draw); the parts of one draw contain each other."""
    for fold in judged:
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        for draw in range(max(DRAWS[share] for share in shares)):
            turn = np.argsort(_spread(labels[others], random), kind="stable")
            for share in shares:
                if draw < DRAWS[share]:
                    yield rows, np.sort(others[turn[: max(2, round(share * min(most, len(others))))]]), share, draw


def _in_turn(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return N places in an order in which the images of a class, shuffled, are next to each other."""
    shuffled = random.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    return place


def _spread(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return N places in 0..1 by which the first ones have every class with its share of them."""
    shuffled = random.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        own = shuffled[labels[shuffled] == label]
        place[own] = (np.arange(len(own)) + random.random()) / len(own)
    return place


def _pipeline(head: Head, chosen: Mapping[str, Any], seed: int) -> Any:
    pipeline, tried = build_pipeline(head, seed)
    return pipeline.set_params(**{name: chosen[name.rpartition("__")[2]] for name in tried})


def _said(pipeline: Any, vectors: FLOAT32, labels: NDArray[np.int64], tested: FLOAT32) -> NDArray[np.int64]:
    """Return the classes of N x D vectors by a head fitted on others; of few images there may be one class alone."""
    from sklearn.base import clone

    if (labels == labels[0]).all():
        return np.full(len(tested), labels[0])
    fresh = clone(pipeline)
    neighbours = fresh.get_params().get(_NEIGHBOURS)
    if neighbours is not None:
        fresh.set_params(**{_NEIGHBOURS: min(neighbours, len(labels))})
    said: NDArray[np.int64] = fresh.fit(vectors, labels).predict(tested)
    return said
