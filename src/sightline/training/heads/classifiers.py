"""scikit-learn's classifiers as a head's section says, and probabilities from any of them."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from sightline.config.heads import Head, Knn, LinearSvm, Logistic, NearestCentroid, Perceptron, RbfSvm
from sightline.data.structures import FLOAT32
from sightline.training.heads.dropout import FeatureDropout

_STEP = "classifier"
_MOST_STEPS = 10_000  # of solvers; what has not converged by then is reported


def build_pipeline(head: Head, seed: int) -> tuple[Any, dict[str, list[Any]]]:
    """Return an unfitted pipeline, and the values to choose among by the names of its parameters.

    Standardisation is a step of the pipeline, so that a fold never sees the mean of samples left out of it.

    Args:
        head: the section.
        seed: of solvers and dropout.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    classifier, tried = _classifier(head, seed)
    prefix = f"{_STEP}__"
    rate = getattr(head, "dropout", 0.0)
    if rate:
        classifier = FeatureDropout(classifier, rate, getattr(head, "copies", 1), seed)
        prefix += "classifier__"
    steps = [("scaler", StandardScaler())] if head.standardize else []
    return Pipeline([*steps, (_STEP, classifier)]), {prefix + name: values for name, values in tried.items()}


def _classifier(head: Head, seed: int) -> tuple[Any, dict[str, list[Any]]]:
    from sklearn import linear_model, neighbors, svm

    weights = "balanced" if getattr(head, "class_weights", "none") == "balanced" else None
    match head:
        case LinearSvm():
            # `auto` solves the dual where features are more than samples, else the primal.
            # The tolerance is liblinear's; scikit-learn's 1e-4 takes four times as long for the same accuracy.
            own = svm.LinearSVC(dual="auto", tol=1e-2, class_weight=weights, random_state=seed, max_iter=_MOST_STEPS)
            return own, {"C": head.C}
        case RbfSvm():
            # Ties of votes are broken by the scores, so that the class is always that of the largest score.
            own = svm.SVC(kernel="rbf", class_weight=weights, break_ties=True, cache_size=1000)
            return own, {"C": head.C, "gamma": head.gamma}
        case Logistic():
            return linear_model.LogisticRegression(class_weight=weights, max_iter=_MOST_STEPS), {"C": head.C}
        case Perceptron():
            return linear_model.Perceptron(class_weight=weights, random_state=seed), {}
        case NearestCentroid():
            return neighbors.NearestCentroid(), {}
        case Knn():
            return neighbors.KNeighborsClassifier(algorithm="brute"), {"n_neighbors": head.neighbours}
        case _:
            assert_never(head)


def probabilities_of(fitted: Any, vectors: FLOAT32, classes: int) -> FLOAT32:
    """Return N x K probabilities of a fitted pipeline or calibrated classifier, 0 for classes that it never saw.

    Those of scores are their softmax, as a network's; of the nearest centroid that of -d^2 / 2, the posterior under
    Gaussians of deviation 1 around the centroids.
    """
    from sklearn.neighbors import NearestCentroid as Centroids

    probabilities: NDArray[Any]
    if isinstance(getattr(fitted, "steps", [("", None)])[-1][1], Centroids):
        moved = fitted[:-1].transform(vectors) if len(fitted.steps) > 1 else vectors
        centres = fitted[-1].centroids_
        # |x|^2 is the same for every class
        probabilities = _softmax(moved @ centres.T - 0.5 * (centres**2).sum(1))
    elif hasattr(fitted, "predict_proba"):
        probabilities = fitted.predict_proba(vectors)
    else:
        scores = fitted.decision_function(vectors)
        probabilities = _softmax(np.stack([-scores, scores], 1) if scores.ndim == 1 else scores)
    whole = np.zeros((len(vectors), classes), np.float32)
    whole[:, np.asarray(fitted.classes_, int)] = probabilities
    return whole


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shifted = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    shares: NDArray[Any] = shifted / shifted.sum(1, keepdims=True)
    return shares
