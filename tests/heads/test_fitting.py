"""Heads on small data: choice, calibration, dropout, errors."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from sightline.config.heads import Head
from sightline.data.structures import FLOAT32
from sightline.system.errors import UserError
from sightline.training.heads.classifiers import build_pipeline, probabilities_of
from sightline.training.heads.dropout import FeatureDropout
from sightline.training.heads.fitting import drawn_by_class, fit
from sightline.training.heads.skops_file import dump, load

CLASSES = [str(digit) for digit in range(10)]
KINDS: dict[str, dict[str, Any]] = {
    "linear_svm": {"C": [0.01]},
    "rbf_svm": {"C": [10.0]},
    "logistic": {"C": [0.1]},
    "perceptron": {},
    "nearest_centroid": {},
    "knn": {"neighbours": [3]},
}
LEAST = {"nearest_centroid": 0.86, "perceptron": 0.86, "linear_svm": 0.88}


def head(kind: str, **options: Any) -> Head:
    values = {"dataset": "d", "features": "f", "kind": kind, "folds": 3, **options}
    own: Head = TypeAdapter(Head).validate_python(values)
    return own


def digits() -> tuple[FLOAT32, Any]:
    vectors, labels = load_digits(return_X_y=True)
    return vectors.astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("calibrate", ["none", "temperature", "sigmoid", "isotonic"])
def test_every_kind_learns_and_comes_back_from_its_file(kind: str, calibrate: str) -> None:
    scoring = kind not in ("nearest_centroid", "knn")
    if not scoring and calibrate != "none":
        pytest.skip("has its own probabilities")
    options = {"calibrate": calibrate} if scoring else {}
    vectors, labels = digits()
    fitted = fit(head(kind, **KINDS[kind], **options), vectors[:1200], labels[:1200], CLASSES, 0)
    probabilities = probabilities_of(fitted.classifier, vectors[1200:], 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (probabilities.argmax(1) == labels[1200:]).mean() >= LEAST.get(kind, 0.9)
    if calibrate == "none" and kind != "knn":
        assert (probabilities.argmax(1) == fitted.classifier.predict(vectors[1200:])).all()
    again = load(dump(fitted.classifier), "head.skops")
    np.testing.assert_array_equal(probabilities_of(again, vectors[1200:], 10), probabilities)


def test_calibration_makes_probabilities_honest() -> None:
    vectors, labels = digits()
    noisy = vectors + np.random.default_rng(0).normal(0, 8, vectors.shape).astype(np.float32)
    gaps = {}
    for calibrate in ("none", "temperature"):
        own = fit(head("linear_svm", C=[0.01], calibrate=calibrate), noisy[:1000], labels[:1000], CLASSES, 0)
        probabilities = probabilities_of(own.classifier, noisy[1000:], 10)
        right = probabilities.argmax(1) == labels[1000:]
        gaps[calibrate] = abs(probabilities.max(1).mean() - right.mean())
    assert gaps["temperature"] < 0.25 * gaps["none"]


def test_the_best_of_the_folds_is_chosen_and_scaling_sees_no_fold_left_out() -> None:
    vectors, labels = digits()
    vectors = vectors[:400] * np.float32(50)
    own = head("linear_svm", C=[1e-6, 0.01], calibrate="none")
    fitted = fit(own, vectors, labels[:400], CLASSES, 5)
    assert fitted.chosen == {"C": 0.01}
    by_hand = []
    for c in (1e-6, 0.01):
        scores = []
        for train, left in StratifiedKFold(3, shuffle=True, random_state=5).split(vectors, labels[:400]):
            mean, deviation = vectors[train].mean(0), vectors[train].std(0)
            deviation[deviation == 0] = 1
            model = LinearSVC(C=c, dual="auto", random_state=5, max_iter=10_000)
            model.fit((vectors[train] - mean) / deviation, labels[:400][train])
            scores.append((model.predict((vectors[left] - mean) / deviation) == labels[:400][left]).mean())
        by_hand.append(np.mean(scores))
    np.testing.assert_allclose(fitted.table["mean"], by_hand, atol=0.003)
    assert list(fitted.table.columns) == ["C", "mean", "deviation", "rank"]


def test_of_equal_candidates_the_first_is_chosen() -> None:
    vectors = np.concatenate([np.full((10, 1), -1), np.full((10, 1), 1)]).astype(np.float32)
    labels = np.repeat([0, 1], 10)
    fitted = fit(head("linear_svm", C=[0.1, 1.0, 0.01], calibrate="none"), vectors, labels, CLASSES, 0)
    assert fitted.chosen == {"C": 0.1}


def test_nothing_to_choose_costs_no_folds() -> None:
    vectors, labels = digits()
    fitted = fit(head("rbf_svm", C=[10.0], calibrate="none", folds=20), vectors[:100], labels[:100], CLASSES, 0)
    assert fitted.chosen == {"C": 10.0, "gamma": "scale"}
    assert fitted.table.empty


def test_dropout_learns_from_thinned_copies_of_the_same_mean() -> None:
    seen: list[Any] = []

    class Spy(LinearSVC):  # type: ignore[misc]
        def fit(self, x: Any, y: Any) -> Any:
            seen.append((x, y))
            return super().fit(x, y)

    vectors, labels = digits()
    FeatureDropout(Spy(), 0.25, 8, 3).fit(vectors[:200], labels[:200])
    rows, classes = seen[0]
    assert rows.shape == (1600, 64)
    np.testing.assert_array_equal(classes, np.tile(labels[:200], 8))
    copies, whole = rows.reshape(8, 200, 64), vectors[:200]
    zero = (copies == 0) & (whole != 0)
    assert zero.sum() / (8 * (whole != 0).sum()) == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(copies[~zero], np.broadcast_to(whole / 0.75, copies.shape)[~zero], rtol=1e-5)
    assert copies.mean() == pytest.approx(whole.mean(), rel=0.01)
    assert not np.array_equal(copies[0] == 0, copies[1] == 0)


@pytest.mark.parametrize("kind", ["linear_svm", "logistic", "perceptron", "rbf_svm"])
def test_dropout_goes_with_every_learner_and_its_file(kind: str) -> None:
    vectors, labels = digits()
    own = head(kind, **KINDS[kind], dropout=0.3, copies=2)
    fitted = fit(own, vectors[:600], labels[:600], CLASSES, 0)
    probabilities = probabilities_of(fitted.classifier, vectors[600:], 10)
    assert (probabilities.argmax(1) == labels[600:]).mean() > 0.87
    again = load(dump(fitted.classifier), "head.skops")
    np.testing.assert_array_equal(probabilities_of(again, vectors[600:], 10), probabilities)


def test_two_classes_have_one_score_and_two_probabilities() -> None:
    vectors, labels = digits()
    two = labels < 2
    for kind, own in KINDS.items():
        options = {"calibrate": "none"} if kind not in ("nearest_centroid", "knn") else {}
        fitted = fit(head(kind, **own, **options), vectors[two], labels[two], ["0", "1"], 0)
        probabilities = probabilities_of(fitted.classifier, vectors[two], 2)
        assert (probabilities.argmax(1) == labels[two]).mean() > 0.98


def test_a_class_without_samples_has_probability_zero() -> None:
    vectors, labels = digits()
    some = labels != 4
    fitted = fit(head("logistic"), vectors[some], labels[some], CLASSES, 0)
    probabilities = probabilities_of(fitted.classifier, vectors, 10)
    assert (probabilities[:, 4] == 0).all()
    assert (probabilities.argmax(1) == labels)[some].mean() > 0.9


def test_weighted_classes_count_the_same() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(np.repeat([[0.0], [1.0]], [900, 100], 0), 1).astype(np.float32)
    labels = np.repeat([0, 1], [900, 100])
    recalls = {}
    for weights in ("none", "balanced"):
        fitted = fit(head("linear_svm", C=[1.0], calibrate="none", class_weights=weights), vectors, labels, CLASSES, 0)
        recalls[weights] = (fitted.classifier.predict(vectors[900:]) == 1).mean()
    assert recalls["balanced"] > recalls["none"] + 0.3


def test_samples_are_drawn_with_the_shares_of_their_classes() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = drawn_by_class(labels, 100, 0)
    assert np.bincount(labels[rows]).tolist() == [60, 30, 10]
    assert (np.diff(rows) > 0).all()
    assert not np.array_equal(rows, drawn_by_class(labels, 100, 1))
    assert np.array_equal(drawn_by_class(labels, None, 0), np.arange(1000))


def test_the_choice_may_look_at_fewer_samples() -> None:
    vectors, labels = digits()
    fitted = fit(head("knn", neighbours=[1, 3], choose_on=200), vectors, labels, CLASSES, 0)
    assert len(fitted.table) == 2
    assert len(fitted.classifier[-1]._fit_X) == len(vectors)


def test_what_is_wrong_with_the_samples_is_told() -> None:
    vectors, labels = digits()
    scarce = np.concatenate([np.flatnonzero(labels != 7), np.flatnonzero(labels == 7)[:2]])
    with pytest.raises(UserError, match="folds: 3: class 7 has 2 train samples; set folds to 2 or add images"):
        fit(head("linear_svm"), vectors[scarce], labels[scarce], CLASSES, 0)
    none = labels.copy()
    none[:5] = -1
    with pytest.raises(UserError, match=r"5 of 1797 train samples have no class"):
        fit(head("linear_svm"), vectors, none, CLASSES, 0)
    with pytest.raises(UserError, match="has only 3; a head needs at least two"):
        fit(head("linear_svm"), vectors[labels == 3], labels[labels == 3], CLASSES, 0)


def test_a_solver_that_stops_early_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.training.heads import classifiers

    monkeypatch.setattr(classifiers, "_MOST_STEPS", 1)
    vectors, labels = digits()
    assert fit(head("logistic", C=[1.0]), vectors, labels, CLASSES, 0).unconverged == 1


def test_tables_hold_every_candidate() -> None:
    vectors, labels = digits()
    own = head("rbf_svm", C=[1.0, 10.0], gamma=["scale", 0.01], calibrate="none")
    table = fit(own, vectors[:300], labels[:300], CLASSES, 0).table
    assert len(table) == 4
    assert isinstance(table, pd.DataFrame)
    assert set(table["gamma"]) == {"scale", 0.01}
    pipeline, tried = build_pipeline(own, 0)
    assert set(tried) == {"classifier__C", "classifier__gamma"}
    assert pipeline.steps[0][0] == "scaler"
