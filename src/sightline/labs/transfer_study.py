"""The table of DeCAF (Donahue et al. 2014, section 4.1): layers by classifiers, with and without dropout of features.

It is a study: it fits and measures classifiers on separate splits, and touches no registered model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.table import Table

from sightline.config.heads import Head
from sightline.data.cache import counted
from sightline.data.structures import FLOAT32, SPLITS, SplitName
from sightline.evaluation.report.embedding import draw_embedding
from sightline.evaluation.report.figures import save_figure
from sightline.system.errors import UserError, nearest
from sightline.system.files import new_folder
from sightline.training.features.store import read_feature_card, read_table
from sightline.training.heads.classifiers import build_pipeline
from sightline.training.heads.fitting import cross_validated, drawn_by_class, require_classes, require_folds

# The candidates of each on standardised features; they suit any number of features.
_TRIED: dict[str, dict[str, list[Any]]] = {
    "linear_svm": {"C": [0.0001, 0.001, 0.01]},
    "logistic": {"C": [0.001, 0.01, 0.1]},
    "perceptron": {},
    "nearest_centroid": {},
    "knn": {"neighbours": [1, 3, 5, 9]},
}
# Vectors of length 1 stay as they are: each feature is small, so the weights must be able to grow.
_TRIED_ON_UNIT: dict[str, dict[str, list[Any]]] = {
    **_TRIED,
    "linear_svm": {"C": [0.1, 1.0, 10.0]},
    "logistic": {"C": [1.0, 10.0, 100.0]},
}
_WITH_DROPOUT = ("linear_svm", "logistic", "perceptron")
_FOLDS = 3
_KEYS = ["layer", "classifier", "dropout"]
_PICTURED = 2000  # samples of a map


def study_features(
    folder: Path,
    layers: Sequence[str],
    report: Path,
    per_class: int | None,
    splits: int,
    kinds: Sequence[str],
    dropout: float,
    learned: bool,
    seed: int,
) -> tuple[pd.DataFrame, str]:
    """Compare classifiers on the features of a folder; write `table.csv`, `table.md` and `tsne.png`.

    Args:
        folder: `data/features/NAME`.
        layers: to compare.
        report: folder to write.
        per_class: train images of every class, out of all splits of the data; None: the train split is divided.
        splits: how many.
        kinds: of classifiers.
        dropout: share of features left out.
        learned: whether the network has learned from images of this data set, which the title then says.
        seed: of everything.

    Returns:
        The rows of `compare`, and a title.

    Raises:
        UserError: missing features, an unknown classifier, too few images.
    """
    for kind in kinds:
        if kind not in _TRIED:
            raise UserError(f"--kinds: {kind}: no such classifier{nearest(kind, _TRIED)}; use {', '.join(_TRIED)}")
    names = read_feature_card(folder).labels.classes
    parts: tuple[SplitName, ...] = ("train",) if per_class is None else SPLITS
    tables = {layer: [read_table(folder, part, [layer]) for part in parts] for layer in layers}
    vectors = {layer: np.concatenate([own.vectors for own in found]) for layer, found in tables.items()}
    labels = np.concatenate([own.labels for own in tables[layers[0]]])
    require_classes(labels, names)
    if per_class is None:
        divided, what = splits_by_share(labels, splits, seed), "4/5 of the train split, measured on the rest"
    else:
        divided = splits_per_class(labels, names, per_class, splits, seed)
        what = f"{per_class} images per class of all {len(labels)}, measured on the others"
    rows = compare(vectors, labels, names, divided, [kind for kind in _TRIED if kind in kinds], dropout, seed)
    title = f"{folder.name}: mean per-class accuracy, %, over {splits} random splits: {what}"
    if learned:
        title += "; absolute values are too good, because the network was trained on these images"
    layer = str(chosen_rows(rows)["layer"].mode()[0])
    val = read_table(folder, "val", [layer])
    points, shown = neighbourhood(val.vectors, val.labels, seed)
    with new_folder(report) as work:
        rows.to_csv(work / "table.csv", index=False, float_format="%.6g")
        (work / "table.md").write_text(markdown(rows, title), encoding="utf-8")
        save_figure(draw_embedding(points, shown, names, f"{folder.name}, {layer}: t-SNE of val"), work / "tsne.png")
    return rows, title


@dataclass(frozen=True)
class Split:
    """Rows that classifiers learn from, and rows on which they are measured."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def splits_per_class(
    labels: NDArray[np.int64], classes: Sequence[str], per_class: int, count: int, seed: int
) -> list[Split]:
    """Return random splits with `per_class` samples of every class to learn from and all others to measure.

    Raises:
        UserError: a class with no sample left to measure.
    """
    found = []
    for turn in range(count):
        random = np.random.Generator(np.random.Philox(key=[seed, turn]))
        chosen = []
        for label in np.unique(labels):
            own = random.permutation(np.flatnonzero(labels == label))
            if len(own) <= per_class:
                raise UserError(
                    f"--per-class: {per_class}: class {classes[label]} has {len(own)} images, and one must be left to "
                    f"measure; at most {len(own) - 1}"
                )
            chosen.append(own[:per_class])
        train = np.sort(np.concatenate(chosen))
        found.append(Split(train, np.setdiff1d(np.arange(len(labels)), train)))
    return found


def splits_by_share(labels: NDArray[np.int64], count: int, seed: int) -> list[Split]:
    """Return random splits into four fifths and one fifth of every class."""
    parts = []
    for turn in range(count):
        train = drawn_by_class(labels, round(0.8 * len(labels)), seed + turn)
        parts.append(Split(train, np.setdiff1d(np.arange(len(labels)), train)))
    return parts


def compare(
    vectors: Mapping[str, FLOAT32],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    splits: Sequence[Split],
    kinds: Sequence[str],
    dropout: float,
    seed: int,
) -> pd.DataFrame:
    """Fit every classifier on every layer; each chooses its settings by cross-validation on the train rows.

    Args:
        vectors: N x D by layer.
        labels: N class ids.
        classes: names of the classes, for errors.
        splits: what is learned from and measured on.
        kinds: of classifiers.
        dropout: share of features dropped, compared with a classifier without; 0: only without.
        seed: of folds, solvers and dropout.

    Returns:
        One row per split, layer, classifier and dropout: `cross_validation` and `accuracy`, both the mean over classes
        of the share of their samples that are right, of the train rows left out of folds and of the test rows.
    """
    tried = [
        (kind, rate) for kind in kinds for rate in ((0.0, dropout) if dropout and kind in _WITH_DROPOUT else (0.0,))
    ]
    rows = []
    with counted(len(splits) * len(vectors) * len(tried), "classifiers") as advance:
        for number, split in enumerate(splits, 1):
            require_folds(labels[split.train], classes, _FOLDS)
            for layer, own in vectors.items():
                unit = bool(np.allclose(np.linalg.norm(own, axis=1), 1, atol=1e-3))
                for kind, rate in tried:
                    measured = _measured(_head(kind, rate, unit), own, labels, split, seed)
                    rows.append({"split": number, "layer": layer, "classifier": kind, "dropout": rate, **measured})
                    advance()
    return pd.DataFrame(rows)


def _measured(head: Head, vectors: FLOAT32, labels: NDArray[np.int64], split: Split, seed: int) -> dict[str, Any]:
    """Choose a classifier's settings on the train rows, fit it on all of them, measure it on the test rows."""
    from sklearn.metrics import balanced_accuracy_score

    table = cross_validated(head, vectors[split.train], labels[split.train], seed, "balanced_accuracy")
    best = table.sort_values("rank", kind="stable").iloc[0]
    pipeline, settings = build_pipeline(head, seed)
    fitted = pipeline.set_params(**{name: best[name] for name in settings})
    fitted.fit(vectors[split.train], labels[split.train])
    score = balanced_accuracy_score(labels[split.test], fitted.predict(vectors[split.test]))
    chosen = ", ".join(f"{name.rpartition('__')[2]} {best[name]:g}" for name in settings)
    return {"chosen": chosen, "cross_validation": best["mean"], "accuracy": score}


def _head(kind: str, rate: float, unit: bool) -> Head:
    tried = _TRIED_ON_UNIT if unit else _TRIED
    values: dict[str, Any] = {"dataset": "-", "features": "-", "kind": kind, "folds": _FOLDS, **tried[kind]}
    values["standardize"] = not unit
    if rate:
        values |= {"dropout": rate, "copies": 3}
    if kind in _WITH_DROPOUT:
        values["calibrate"] = "none"
    own: Head = TypeAdapter(Head).validate_python(values)
    return own


def summarised(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation over splits of each combination, in the order of the rows."""
    grouped = rows.groupby(_KEYS, sort=False)
    return pd.DataFrame(
        {
            "accuracy": grouped["accuracy"].mean(),
            "deviation": grouped["accuracy"].std(ddof=0),
            "cross_validation": grouped["cross_validation"].mean(),
        }
    ).reset_index()


def chosen_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each split with the best cross-validation: what one would take without the test rows."""
    return rows.loc[rows.groupby("split")["cross_validation"].idxmax()]


def chosen_text(rows: pd.DataFrame) -> str:
    """Tell what cross-validation chooses in each split, and its accuracy over them."""
    best = chosen_rows(rows)
    names = best.apply(lambda row: f"{row['layer']} {row['classifier']}{_dropped(row['dropout'])}", axis=1)
    return (
        f"chosen by cross-validation on train: {', '.join(dict.fromkeys(names))}: mean per-class accuracy "
        f"{best['accuracy'].mean():.3f} ± {best['accuracy'].std(ddof=0):.3f} over {len(best)} splits"
    )


def transfer_table(rows: pd.DataFrame, title: str) -> Table:
    """Return a row per classifier and a column per layer: mean and deviation of the accuracy, in percent."""
    table = Table(title=title, box=None, padding=(0, 2, 0, 0), header_style="bold")
    layers, lines = _cells(rows)
    table.add_column("classifier")
    for layer in layers:
        table.add_column(layer, justify="right")
    for line in lines:
        table.add_row(*line)
    return table


def markdown(rows: pd.DataFrame, title: str) -> str:
    """Return the same table and what is chosen, as Markdown."""
    layers, lines = _cells(rows)
    head = [f"| classifier | {' | '.join(f'`{layer}`' for layer in layers)} |", "|---|" + "--:|" * len(layers)]
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([title, "", *head, *body, "", chosen_text(rows), ""])


def _cells(rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    summary = summarised(rows)
    layers = list(dict.fromkeys(summary["layer"]))
    lines = []
    for (classifier, rate), own in summary.groupby(["classifier", "dropout"], sort=False):
        told = own.set_index("layer")
        scores = (f"{100 * told['accuracy'][layer]:.1f} ± {100 * told['deviation'][layer]:.1f}" for layer in layers)
        lines.append([f"{str(classifier).replace('_', ' ')}{_dropped(rate)}", *scores])
    return layers, lines


def _dropped(rate: Any) -> str:
    return f" with dropout {rate:g}" if rate else ""


def neighbourhood(vectors: FLOAT32, labels: NDArray[np.int64], seed: int) -> tuple[FLOAT32, NDArray[np.int64]]:
    """Lay samples out in a plane by t-SNE (van der Maaten and Hinton 2008), at most `_PICTURED`, drawn by class.

    Returns:
        Points, M x 2, and the M class ids of the samples drawn.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    rows = drawn_by_class(labels, _PICTURED, seed)
    scaled = StandardScaler().fit_transform(vectors[rows])
    reduced = PCA(min(50, *scaled.shape), random_state=seed).fit_transform(scaled)  # as in the paper, section 4
    perplexity = min(30.0, (len(rows) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    return points.astype(np.float32), labels[rows]
