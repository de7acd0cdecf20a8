"""Stage `fit_head@NAME`: features of the train split -> models/NAME, what was tried, and the learning curve."""

import time
from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.system.files import new_folder, write_json


def stage(params: Params, name: str) -> None:
    """Fit one head."""
    from sightline.training.heads import LEARNING_CURVE
    from sightline.training.heads.curve_report import learning_curve
    from sightline.training.heads.training import fit_head, flat_settings

    head = params.head(name)
    layers = head.layers or params.features_of(head.features).layers()
    seed = params.seed if head.seed is None else head.seed
    features, prepared = Path("data/features", head.features), Path("data/prepared", head.dataset)
    card, fitted = fit_head(head, layers, seed, features, prepared, Path("models", name))
    started = time.perf_counter()
    network = params.features_of(head.features).model()
    seen = network is not None and params.dataset_of(network) == head.dataset
    curve = learning_curve(head, layers, seed, features, card.labels.classes, fitted, seen)
    seconds = time.perf_counter() - started
    with new_folder(Path("reports", name, "training")) as folder:
        write_json(folder / LEARNING_CURVE, curve)
        write_json(folder / "training.json", flat_settings(head, card, fitted))
        if not fitted.table.empty:
            fitted.table.to_csv(folder / "cross_validation.csv", index=False, float_format="%.6g")
    chosen = ", ".join(f"{parameter} {value}" for parameter, value in fitted.chosen.items()) or "nothing to choose"
    best = "" if fitted.table.empty else f", accuracy {fitted.table['mean'].max():.4f} in {head.folds} folds of train"
    late = f"; {fitted.unconverged} fits did not converge" if fitted.unconverged else ""
    print(f"{name}: {head.kind}: {chosen}{best}{late}; learning curve in {seconds:.0f} s")


if __name__ == "__main__":
    run_stage(stage, policies=False)
