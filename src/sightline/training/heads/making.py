"""What the stage `fit_head` makes of any head: its model directory, the report of its fit, and a line on both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from sightline.config.anomaly import AnomalyHead, Padim, PatchCore
from sightline.config.heads import AnyHead, Head, Knn, LinearSvm, Logistic, NearestCentroid, Perceptron, RbfSvm
from sightline.system.files import new_folder, write_json
from sightline.training.heads import LEARNING_CURVE


def make_head(
    head: AnyHead,
    layers: Sequence[str],
    seed: int,
    features: Path,
    prepared: Path,
    model: Path,
    report: Path,
    seen: bool,
) -> str:
    """Fit a head, write its directory and the report; return a line on it.

    Args:
        head: the section.
        layers: whose features are joined.
        seed: of whatever is drawn.
        features: folder of the features.
        prepared: folder of the data set, for its label map.
        model: the directory to write.
        report: the folder of the report to write.
        seen: whether the extractor was trained on these images.

    Raises:
        UserError: features or samples that do not fit.
    """
    match head:
        case PatchCore() | Padim():
            return _detector(head, layers, seed, features, prepared, model, report)
        case LinearSvm() | RbfSvm() | Logistic() | Perceptron() | NearestCentroid() | Knn():
            return _classifier(head, layers, seed, features, prepared, model, report, seen)
        case _:
            assert_never(head)


def _detector(
    head: AnomalyHead, layers: Sequence[str], seed: int, features: Path, prepared: Path, model: Path, report: Path
) -> str:
    from sightline.training.heads.anomaly.fitting import fit_detector, flat_settings, told

    card, fitted = fit_detector(head, layers, seed, features, prepared, model)
    with new_folder(report) as folder:
        write_json(folder / "training.json", flat_settings(head, card, fitted))
    return f"{head.kind}: {told(fitted, head.false_alarms)}"


def _classifier(
    head: Head, layers: Sequence[str], seed: int, features: Path, prepared: Path, model: Path, report: Path, seen: bool
) -> str:
    from sightline.training.heads.curve_report import learning_curve
    from sightline.training.heads.training import fit_head, flat_settings

    card, fitted = fit_head(head, layers, seed, features, prepared, model)
    started = time.perf_counter()
    curve = learning_curve(head, layers, seed, features, card.labels.classes, fitted, seen)
    seconds = time.perf_counter() - started
    with new_folder(report) as folder:
        write_json(folder / LEARNING_CURVE, curve)
        write_json(folder / "training.json", flat_settings(head, card, fitted))
        if not fitted.table.empty:
            fitted.table.to_csv(folder / "cross_validation.csv", index=False, float_format="%.6g")
    chosen = ", ".join(f"{parameter} {value}" for parameter, value in fitted.chosen.items()) or "nothing to choose"
    best = "" if fitted.table.empty else f", accuracy {fitted.table['mean'].max():.4f} in {head.folds} folds of train"
    late = f"; {fitted.unconverged} fits did not converge" if fitted.unconverged else ""
    return f"{head.kind}: {chosen}{best}{late}; learning curve in {seconds:.0f} s"
