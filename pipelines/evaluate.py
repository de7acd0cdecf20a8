"""Stage `evaluate@NAME`: model and test split -> metrics, intervals, per-sample predictions, pictures."""

from pathlib import Path
from shutil import copyfile

import pandas as pd

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.system.files import new_folder, write_json


def stage(params: Params, name: str) -> None:
    """Evaluate one model."""
    from sightline.evaluation.evaluate import comparable_numbers, evaluate_model
    from sightline.evaluation.predictor import load_predictor
    from sightline.evaluation.report import draw_evaluation
    from sightline.evaluation.slices import chosen_columns, measure_slices, read_columns
    from sightline.system.device import chosen_device

    prepared, report = Path("data/prepared", params.dataset_of(name)), Path("reports", name)
    settings = params.evaluation.of(name)
    headline = settings.headline.get(name)
    with new_folder(report / "evaluation") as folder:
        metrics = evaluate_model(Path("models", name), prepared, settings, folder, headline)
        file = report / "training" / "curves.csv"
        curves = pd.read_csv(file) if file.exists() else None  # a head has none
        predictor = load_predictor(Path("models", name), chosen_device(), engine="torch")
        draw_evaluation(folder, prepared, curves, predictor.predictions, predictor.task.styles)
        known = read_columns(prepared, Path("data/slices", settings.slices_file) if settings.slices_file else None)
        columns, missing = chosen_columns(known, settings.slices)
        rows = pd.read_parquet(folder / "predictions.parquet")
        slices = measure_slices(predictor.task, rows, metrics["headline"], known[columns], settings)
        slices.to_csv(folder / "slices.csv", index=False, float_format="%.6g")
    write_json(report / "metrics.json", comparable_numbers(metrics))
    with new_folder(report / "plots" / "pictures") as folder:  # `dvc plots diff` shows them side by side
        for picture in sorted((report / "evaluation").glob("*.png")):
            copyfile(picture, folder / picture.name)
    headline = metrics["headline"]
    for line in missing:
        print(f"{name}: {line}")
    print(
        f"{name}: {headline['name']} {headline['value']:.4f} "
        f"({metrics['confidence']:.0%} interval {headline['low']:.4f} to {headline['high']:.4f}) "
        f"on {metrics['samples']} test samples"
    )


if __name__ == "__main__":
    run_stage(stage)
