"""What the recipes are worth: test scores of no recipe, `fast`, `good` and `best`, over several seeds.

`python -m bench.recipes flowers --data FOLDER --weights FOLDER` fine-tunes EfficientNet-Lite0 on few photographs at
96 px; `digits` trains a small network from random weights on the embedded digits, `mnist` on 2,000 of MNIST's. Rows go
to bench/results/recipes.json, a line each; docs/recipes.md has the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.images import few_digits
from sightline.config.dataset_section import Split
from sightline.config.datasets import Digits, Idx, ImageFolder
from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.raw.preparation import prepare
from sightline.evaluation.evaluate import evaluate_model
from sightline.pipeline.process import set_up_process
from sightline.training.ladder.climb import train_model

RESULTS = Path(__file__).parent / "results" / "recipes.json"
PER_CLASS = 25  # photographs of each kind of flower, for train and validation
RECIPES: dict[str, dict[str, Any]] = {  # what is added to a model's section
    "none": {},
    "few epochs": {  # of given weights; in place of a linear probe
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "input_lr": 0.1},
        "schedule": {"name": "one_cycle", "warmup": 0.2},
        "trainer": {"max_epochs": 4, "freeze_epochs": 1, "batch_statistics": "keep"},
    },
    "fast": {"recipe": "fast"},
    "good": {"recipe": "good"},
    "good, mirror": {"recipe": {"name": "good", "mirror": True}},
    "best": {"recipe": "best"},
}


def main() -> None:
    set_up_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=["flowers", "digits", "mnist"])
    parser.add_argument("--data", type=Path, help="folder of the real data set")
    parser.add_argument("--weights", type=Path, help="folder with tf_efficientnet_lite0.safetensors")
    parser.add_argument("--recipes", nargs="+", default=["none", "fast", "good"], choices=RECIPES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.weights:
        os.environ["SIGHTLINE_WEIGHTS"] = str(options.weights.resolve())
    options.results.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        prepared = _prepared(options.subject, options.data, Path(folder))
        for row in _rows(options.subject, prepared, options.recipes, options.seeds, Path(folder)):
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def _rows(
    subject: str, prepared: Path, recipes: Iterable[str], seeds: Iterable[int], folder: Path
) -> Iterable[dict[str, Any]]:
    for seed in seeds:
        for recipe in recipes:
            started = time.process_time()
            section, own = _section(subject), RECIPES[recipe]
            section |= {**own, "trainer": section["trainer"] | own.get("trainer", {})}
            fitted = train_model(
                Model.model_validate(section), seed, prepared, folder / "model", resume_root=folder / "resume"
            )
            seconds = time.process_time() - started
            report = folder / "report"
            shutil.rmtree(report, ignore_errors=True)
            report.mkdir()
            found = evaluate_model(folder / "model", prepared, Evaluation(resamples=200), report)
            kept = [rung["rung"] for rung in fitted.ladder["rungs"] if rung["kept"]] if fitted.ladder else []
            row = {"subject": subject, "recipe": recipe, "seed": seed, "accuracy": found["accuracy"]}
            yield row | {"log_loss": found["log_loss"], "cpu_s": round(seconds), "kept": kept}


def _section(subject: str) -> dict[str, Any]:
    trainer = {"threads": 1, "precision": "32", "layout": "contiguous"}
    if subject == "flowers":
        image = {"size": 96, "resize": "crop"}
        return {"dataset": subject, "task": "classification", "input": image, "trainer": trainer}
    task = {"kind": "classification", "architecture": "mnist_cnn"}
    image = {"size": 16 if subject == "digits" else 28, "channels": 1}
    return {"dataset": subject, "task": task, "input": image, "trainer": trainer}


def _prepared(subject: str, data: Path | None, folder: Path) -> Path:
    """Return the folder of the prepared data set, with few training images."""
    prepared = folder / "prepared"
    if subject == "digits":
        prepare(subject, Digits(format="digits", root="data/embedded"), prepared)
        return prepared
    assert data is not None, "--data is missing"
    if subject == "flowers":
        few = folder / "flowers"
        shutil.copytree(data / "test", few / "test")
        for kind in sorted((data / "train").iterdir()):
            (few / "train" / kind.name).mkdir(parents=True)
            for image in sorted(kind.iterdir())[:PER_CLASS]:
                shutil.copy(image, few / "train" / kind.name)
        split = Split(train=0.7, val=0.3, test=0.0)
        prepare(subject, ImageFolder(format="image_folder", root=str(few), split=split), prepared)
        return prepared
    few = few_digits(data, folder / "mnist", range(2000), range(2000))
    split = Split(train=0.8, val=0.2, test=0.0)
    prepare(subject, Idx(format="idx", root=str(few), split=split), prepared)
    return prepared


if __name__ == "__main__":
    main()
