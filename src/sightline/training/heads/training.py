"""Fits one head: its features of the train split in, its directory out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.config.heads import Head
from sightline.data.store import load_labels
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError
from sightline.training.features.settings import read_settings
from sightline.training.features.store import EXTRACTOR, FeatureCard, read_feature_card, read_table, rows_sha256
from sightline.training.heads.artifact import HeadCard, write_head
from sightline.training.heads.fitting import FittedHead, fit
from sightline.training.heads.skops_file import dump

_APART = {"dataset", "features", "layers", "seed", "kind"}  # of a section: what the card says elsewhere


def fit_head(
    head: Head, layers: Sequence[str], seed: int, features: Path, prepared: Path, output: Path
) -> tuple[HeadCard, FittedHead]:
    """Fit a head on the train split of its features and write its directory; no other split is read.

    Args:
        head: the section.
        layers: whose features are joined.
        seed: of folds, solvers and dropout.
        features: folder of the features.
        prepared: folder of the data set, for its label map.
        output: the model directory to write.

    Raises:
        UserError: features of other classes or samples, unknown layers, classes with too few samples.
    """
    known, labels = card_of(features, prepared)
    table = read_table(features, "train", layers)
    if rows_sha256(table.ids, table.labels) != known.train_sha256:
        raise UserError(
            f"{features}/train.arrow: does not contain the samples that features.json lists; run dvc repro "
            f"embed@{features.name}"
        )
    fitted = fit(head, table.vectors, table.labels, labels.classes, seed)
    image = read_settings(features / EXTRACTOR).input
    settings = {**head.model_dump(exclude=_APART), "seed": seed, "chosen": fitted.chosen}
    card = HeadCard(head.kind, list(layers), settings, image, labels, known.data_sha256)
    return write_head(output, dump(fitted.classifier), features / EXTRACTOR, card), fitted


def card_of(features: Path, prepared: Path) -> tuple[FeatureCard, LabelMap]:
    """Return the card of features, and the label map of their data set.

    Raises:
        UserError: they have other classes.
    """
    known, labels = read_feature_card(features), load_labels(prepared)
    if known.labels.sha256 != labels.sha256:
        raise UserError(
            f"{features}: its classes are {list(known.labels.classes)}, those of {prepared} are "
            f"{list(labels.classes)}; run dvc repro embed@{features.name}"
        )
    return known, labels


def flat_settings(head: Head, card: HeadCard, fitted: FittedHead) -> dict[str, Any]:
    """Return the settings of a head and what came of them, as one level of dotted names."""
    values = {**head.model_dump(), "layers": card.layers, "seed": card.settings["seed"]}
    chosen = {f"chosen.{name}": value for name, value in fitted.chosen.items()}
    best = {} if fitted.table.empty else {"cross_validation.accuracy": float(fitted.table["mean"].max())}
    return {**values, **chosen, **best, "unconverged_fits": fitted.unconverged}
