"""Stage `train@NAME`: prepared data -> models/NAME, and the curves of its training."""

from functools import partial
from pathlib import Path

from sightline.config import Params, check_policy
from sightline.pipeline.notes import PROGRESS
from sightline.pipeline.process import run_stage
from sightline.system.files import new_file, new_folder, write_json


def stage(params: Params, name: str) -> None:
    """Train one model."""
    import pandas as pd

    from sightline.registry.tracking import mark_trained, training_logger
    from sightline.training.ladder.climb import train_model
    from sightline.training.progress import ProgressFile
    from sightline.training.summary import flat_settings

    model = params.model(name)
    check_policy(params, model.augment)
    seed = params.seed_of(name)
    settings = {"seed": seed, **model.model_dump(exclude={"seed"})}
    follow = partial(training_logger, name, settings)
    prepared, augmentation = Path("data/prepared", model.dataset), params.augmentations.get(model.augment)
    progress = [ProgressFile(PROGRESS / f"train@{name}.json")]
    fitted = train_model(
        model, seed, prepared, Path("models", name), augmentation=augmentation, logger=follow, callbacks=progress
    )
    if not fitted.main:
        return
    mark_trained(fitted.logger, fitted.card.weights_sha256)
    curves = pd.DataFrame(fitted.curves).astype({"epoch": int})
    with new_folder(Path("reports", name, "training")) as folder:
        write_json(folder / "training.json", flat_settings(model, seed, fitted))
        curves.to_csv(folder / "curves.csv", index=False, float_format="%.6g")
        if fitted.ladder is not None:
            write_json(folder / "ladder.json", fitted.ladder)
    with new_file(Path("reports", name, "plots", "curves.csv")) as work:
        curves.to_csv(work, index=False, float_format="%.6g")


if __name__ == "__main__":
    run_stage(stage)
