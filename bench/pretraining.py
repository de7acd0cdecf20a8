"""What unlabelled images are worth to a small network: `python -m bench.pretraining --data FOLDER --seeds 5`.

A multi-layer perceptron learns 600 of MNIST's training digits, other ones with each seed. It begins with random
weights, or with those of an autoencoder of 10,000 digits without their labels, which has learned layer by layer
(Vincent et al. 2010), layer by layer and then as a whole, or as a whole from the beginning. Network, labelled digits,
their order, steps and optimizer are the same. Rows go to bench/results/pretraining.json; docs/networks.md has the
table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.images import few_digits
from sightline.config.dataset_section import Split
from sightline.config.datasets import Idx
from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.raw.preparation import prepare
from sightline.evaluation.evaluate import evaluate_model
from sightline.pipeline.process import set_up_process
from sightline.training.fit import train

RESULTS = Path(__file__).parent / "results" / "pretraining.json"
LABELLED, UNLABELLED, CURVE = 600, 10_000, 100  # the last ones of each data set are for its curves alone
HIDDEN = [400, 200, 100]
BEGINNINGS = {
    "random": None,
    "layer by layer": "layers",
    "layer by layer, then together": "layers_then_together",
    "together": "together",
}
IMAGE = {"size": 28, "channels": 1, "mean": [0.1307], "std": [0.3081]}
TRAINER = {"threads": 1, "precision": "32", "keep": "last"}


def main() -> None:
    set_up_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four files of MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--unlabelled-epochs", type=int, default=24, help="of an autoencoder, over all of its layers")
    parser.add_argument("--epochs", type=int, default=100, help="of the labelled digits, 12 steps each")
    parser.add_argument("--beginnings", nargs="+", default=list(BEGINNINGS), choices=BEGINNINGS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        _prepare(options.data, project, "unlabelled", range(UNLABELLED + CURVE))
        for seed in range(1, options.seeds + 1):
            # The digits with labels are not among those without.
            drawn = np.random.default_rng(seed).permutation(np.arange(UNLABELLED + CURVE, 60_000))
            _prepare(options.data, project, "labelled", drawn[: LABELLED + CURVE].tolist())
            for name in options.beginnings:
                rows.append({"seed": seed, "beginning": name, **_measured(project, name, seed, options)})
                print(json.dumps(rows[-1]), flush=True)
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _prepare(data: Path, project: Path, name: str, rows: Any) -> None:
    raw, prepared = project / "raw" / name, project / "prepared" / name
    for old in (raw, prepared):
        shutil.rmtree(old, ignore_errors=True)
    few_digits(data, raw, rows, range(10_000 if name == "labelled" else 10))
    split = Split(train=1 - CURVE / len(rows), val=CURVE / len(rows), test=0.0, by="order")
    prepare(name, Idx(format="idx", root=str(raw), split=split), prepared)


def _measured(project: Path, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    order, started = BEGINNINGS[name], time.process_time()
    if order is not None:
        _train(project, "stack", "unlabelled", _autoencoder(order, options.unlabelled_epochs), seed)
    learned = time.process_time()
    _train(project, "classifier", "labelled", _classifier(order is not None, options.epochs), seed)
    ended = time.process_time()
    report = project / "report"
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir()
    found = evaluate_model(
        project / "models/classifier", project / "prepared/labelled", Evaluation(resamples=200), report
    )
    seconds = {"unlabelled_s": round(learned - started, 1), "labelled_s": round(ended - learned, 1)}
    return {"accuracy": found["accuracy"], "log_loss": found["log_loss"], **seconds}


def _train(project: Path, name: str, dataset: str, section: dict[str, Any], seed: int) -> None:
    train(
        Model.model_validate({**section, "dataset": dataset, "input": IMAGE, "augment": "none"}),
        seed,
        project / "prepared" / dataset,
        project / "models" / name,
        weights_folder=project / "data/weights",
        resume_root=project / "resume",
    )


def _autoencoder(order: str, epochs: int) -> dict[str, Any]:
    return {
        "task": {
            "kind": "autoencoder",
            "architecture": "dense_autoencoder",
            "hidden": HIDDEN[:-1],
            "code": HIDDEN[-1],
            "masking": 0.25,
            "order": order,
            "loss": "bce",
        },
        "weights": "random",
        "optimizer": {"name": "adam", "lr": 1e-3},
        "trainer": {**TRAINER, "max_epochs": epochs, "batch_size": 100},
    }


def _classifier(pretrained: bool, epochs: int) -> dict[str, Any]:
    return {
        "task": {"kind": "classification", "architecture": "mlp", "hidden": HIDDEN},
        "weights": {"model": "stack"} if pretrained else "random",
        "optimizer": {"name": "adam", "lr": 1e-3},
        "schedule": {"name": "one_cycle"},
        "trainer": {**TRAINER, "max_epochs": epochs, "batch_size": 50},
    }


if __name__ == "__main__":
    main()
