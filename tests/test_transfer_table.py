"""The study of layers by classifiers: splits, choice, files."""

from pathlib import Path

import numpy as np
import pytest

from sightline.config.features import Features
from sightline.labs.transfer_study import (
    chosen_rows,
    compare,
    markdown,
    splits_by_share,
    splits_per_class,
    study_features,
    summarised,
)
from sightline.system.errors import UserError
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed

LABELS = np.repeat([0, 1, 2], [40, 30, 20])
NAMES = ("a", "b", "c")


def vectors(noise: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (np.eye(3)[LABELS] + random.normal(0, noise, (90, 3))).astype(np.float32)


def test_splits_have_so_many_of_each_class_and_share_nothing() -> None:
    splits = splits_per_class(LABELS, NAMES, 15, 4, 1)
    for split in splits:
        assert np.bincount(LABELS[split.train]).tolist() == [15, 15, 15]
        assert sorted([*split.train, *split.test]) == list(range(90))
    assert len({tuple(split.train) for split in splits}) == 4
    again = splits_per_class(LABELS, NAMES, 15, 4, 1)
    assert all(np.array_equal(one.train, other.train) for one, other in zip(splits, again, strict=True))
    with pytest.raises(UserError, match=r"--per-class: 20: class c has 20 images, .* at most 19"):
        splits_per_class(LABELS, NAMES, 20, 1, 1)


def test_without_a_number_four_fifths_of_each_class_are_learned() -> None:
    for split in splits_by_share(LABELS, 3, 0):
        assert np.bincount(LABELS[split.train]).tolist() == [32, 24, 16]
        assert len(split.test) == 18


def test_the_choice_sees_no_test_row() -> None:
    """A layer whose train rows are noise, and whose test rows tell everything, is not chosen."""
    splits = splits_per_class(LABELS, NAMES, 15, 3, 0)
    good = vectors(0.15)
    late = {
        number: np.where(np.isin(np.arange(90), split.test)[:, None], np.eye(3)[LABELS] * 9, vectors(9.0))
        for number, split in enumerate(splits)
    }
    for number, split in enumerate(splits):
        layers = {"late": late[number].astype(np.float32), "good": good}
        rows = compare(layers, LABELS, NAMES, [split], ["linear_svm", "nearest_centroid"], 0.0, 0)
        assert chosen_rows(rows)["layer"].tolist() == ["good"]
    altered = good.copy()
    altered[splits[0].test] = 0
    both = [compare({"x": own}, LABELS, NAMES, splits[:1], ["logistic"], 0.0, 0) for own in (good, altered)]
    assert both[0]["cross_validation"].equals(both[1]["cross_validation"])
    assert not both[0]["accuracy"].equals(both[1]["accuracy"])


def test_vectors_of_length_one_get_larger_weights() -> None:
    """A margin of 0.1 on vectors that all point nearly the same way: small C would see no difference."""
    near = np.concatenate([np.full((90, 1), 9.0), vectors(0.02)], axis=1)
    unit = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    splits = splits_per_class(LABELS, NAMES, 15, 1, 0)
    [(own, score)] = compare({"x": unit}, LABELS, NAMES, splits, ["logistic"], 0.0, 0)[
        ["chosen", "accuracy"]
    ].to_numpy()
    [(other, _)] = compare({"x": near.astype(np.float32)}, LABELS, NAMES, splits, ["logistic"], 0.0, 0)[
        ["chosen", "accuracy"]
    ].to_numpy()
    assert float(own.split()[1]) >= 1
    assert float(other.split()[1]) <= 0.1
    assert score > 0.9


def test_accuracy_is_the_mean_over_classes() -> None:
    """All samples of class c look like a: accuracy is 2/3, though 70 of 90 are right."""
    same = np.eye(3)[np.where(LABELS == 2, 0, LABELS)].astype(np.float32)
    rows = compare({"x": same}, LABELS, NAMES, splits_by_share(LABELS, 1, 0), ["nearest_centroid"], 0.0, 0)
    assert rows["accuracy"][0] in (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_rows_and_their_summary() -> None:
    splits = splits_per_class(LABELS, NAMES, 15, 2, 0)
    rows = compare({"x": vectors(0.4), "y": vectors(0.2)}, LABELS, NAMES, splits, ["linear_svm", "knn"], 0.5, 0)
    assert len(rows) == 2 * 2 * 3  # splits, layers; knn has no dropout
    assert set(rows["dropout"]) == {0.0, 0.5}
    summary = summarised(rows)
    assert len(summary) == 6
    own = rows[(rows.layer == "x") & (rows.classifier == "knn")]["accuracy"]
    line = summary[(summary.layer == "x") & (summary.classifier == "knn")].iloc[0]
    assert line["accuracy"] == pytest.approx(own.mean())
    assert line["deviation"] == pytest.approx(own.std(ddof=0))
    text = markdown(rows, "Title").splitlines()
    assert text[2] == "| classifier | `x` | `y` |"
    assert len(text) == 2 + 2 + 3 + 2
    assert text[-1].startswith("chosen by cross-validation on train: ")


@pytest.fixture(scope="module")
def features(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = {
        "dataset": "digits",
        "input": {"size": 8, "channels": 1},
        "extractor": {"kind": "pixels"},
    }
    folder = tmp_path_factory.mktemp("features") / "pixels"
    embed(build_features(Features.model_validate(values), 0), digits, folder)
    return folder


@pytest.mark.parametrize("per_class", [None, 30])
def test_the_study_writes_its_files(per_class: int | None, features: Path, tmp_path: Path) -> None:
    rows, title = study_features(
        features,
        ["pixels"],
        tmp_path / "study",
        per_class,
        2,
        ["nearest_centroid", "logistic"],
        0.0,
        bool(per_class),
        1,
    )
    assert {path.name for path in (tmp_path / "study").iterdir()} == {"table.csv", "table.md", "tsne.png"}
    assert (tmp_path / "study/tsne.png").stat().st_size > 10_000
    assert rows[rows.classifier == "logistic"]["accuracy"].mean() > 0.88
    assert ("30 images per class" in title) is (per_class is not None)
    assert ("absolute values are too good" in (tmp_path / "study/table.md").read_text()) is bool(per_class)


def test_an_unknown_classifier_is_told(features: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--kinds: logistc: no such classifier \(did you mean logistic\?\)"):
        study_features(features, ["pixels"], tmp_path / "study", None, 2, ["logistc"], 0.0, False, 1)
