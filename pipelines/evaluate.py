"""Stage `evaluate@NAME`: model and test split -> metrics, intervals, per-sample predictions, pictures."""

from pathlib import Path
from shutil import copyfile

import pandas as pd

from sightline.config import Params
from sightline.files import new_folder, write_json
from sightline.stage import run_stage


def stage(params: Params, name: str) -> None:
    """Evaluate one model."""
    from sightline.evaluate import comparable_numbers, evaluate_model
    from sightline.report import draw_evaluation

    model = params.model(name)
    prepared, report = Path("data/prepared", model.dataset), Path("reports", name)
    with new_folder(report / "evaluation") as folder:
        metrics = evaluate_model(Path("models", name), prepared, params.evaluation, folder)
        draw_evaluation(folder, prepared, pd.read_csv(report / "training" / "curves.csv"))
    write_json(report / "metrics.json", comparable_numbers(metrics))
    for table in ("confusion", "reliability"):
        copyfile(report / "evaluation" / f"{table}.csv", report / "plots" / f"{table}.csv")
    headline = metrics["headline"]
    print(
        f"{name}: {headline['name']} {headline['value']:.4f} "
        f"({metrics['confidence']:.0%} interval {headline['low']:.4f} to {headline['high']:.4f}) "
        f"on {metrics['samples']} test samples"
    )


if __name__ == "__main__":
    run_stage(stage)
