"""Dropout for classifiers that have none: they learn from copies of the samples with features left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


def _has(method: str) -> Any:
    return lambda self: hasattr(self.classifier, method)


class FeatureDropout(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fits a classifier on copies of the samples in which each feature is 0 with probability `rate`.

    Features that stay are divided by 1 - rate, so that their mean stays (Hinton et al. 2012; over fixed features:
    DeCAF, Donahue et al. 2014, section 4.1). Prediction sees all features.

    Args:
        classifier: any of scikit-learn's.
        rate: in 0..1, 1 excluded.
        copies: of each sample.
        seed: of what is left out.
    """

    def __init__(self, classifier: Any, rate: float = 0.5, copies: int = 5, seed: int = 0) -> None:
        self.classifier = classifier
        self.rate = rate
        self.copies = copies
        self.seed = seed

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> FeatureDropout:
        """Fit on N x D features and N class ids."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, 0]))
        scale = x.dtype.type(1 / (1 - self.rate))
        rows = np.concatenate(
            [x * (random.random(x.shape, np.float32) >= self.rate) * scale for _ in range(self.copies)]
        )
        self.classifier_ = clone(self.classifier).fit(rows, np.tile(y, self.copies))
        self.classes_ = self.classifier_.classes_
        return self

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return N class ids."""
        check_is_fitted(self)
        said: NDArray[Any] = self.classifier_.predict(x)
        return said

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the scores of the classifier."""
        scores: NDArray[Any] = self.classifier_.decision_function(x)
        return scores

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return N x K probabilities."""
        probabilities: NDArray[Any] = self.classifier_.predict_proba(x)
        return probabilities
