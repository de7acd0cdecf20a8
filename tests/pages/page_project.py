"""A project's folders as evaluations of untrained networks leave them, without DVC and MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from sightline.config import Params, load_params
from sightline.config.evaluation import Evaluation
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import load_labels
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.predictor import load_predictor
from sightline.evaluation.slices import chosen_columns, measure_slices, read_columns
from sightline.registry.ledger import Entry
from sightline.registry.outcomes import Outcome
from sightline.system.files import write_json
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model

SETTINGS = Evaluation(resamples=100)
CURVES = "epoch,lr,train_loss,val_accuracy,val_loss\n0,0.01,2,0.5,1.5\n1,0.001,1,0.75,1.25\n"
MODEL_MD5, OLD_MD5 = "a" * 32 + ".dir", "b" * 32 + ".dir"


def make_project(root: Path, models: dict[str, tuple[dict[str, Any], Path, int, int]]) -> Params:
    """Evaluate an untrained network for each name: (task, prepared data, size, channels)."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "data" / "prepared").mkdir(parents=True)
    sections = {}
    for name, (task, prepared, size, channels) in models.items():
        place = root / "data" / "prepared" / prepared.name
        if not place.exists():
            place.symlink_to(prepared)
        _evaluate(root, name, task, prepared, size, channels)
        sections[name] = {
            "dataset": prepared.name,
            "task": task,
            "weights": "random",
            "augment": "none",
            "input": {"size": size, "channels": channels},
            "optimizer": {"name": "adam", "lr": 0.01},
        }
    datasets = {
        path.name: {"format": path.name, "root": "data/embedded"} for path in (root / "data" / "prepared").iterdir()
    }
    plain = json.loads(
        json.dumps({"seed": 0, "trainer": {}, "evaluation": {}, "datasets": datasets, "models": sections})
    )
    YAML(typ="safe").dump(plain, root / "params.yaml")
    return load_params(root / "params.yaml")


def _evaluate(root: Path, name: str, task: dict[str, Any], prepared: Path, size: int, channels: int) -> None:
    torch.manual_seed(0)
    settings = TypeAdapter(TaskConfig).validate_python(task)
    image, labels = Input(size=size, channels=channels), load_labels(prepared)
    card = ModelCard(settings, image, labels, "32", channels_last=False, threads=1, data_sha256="d" * 64)
    write_model(root / "models" / name, build(settings, image, labels), card)
    folder = root / "reports" / name / "evaluation"
    folder.mkdir(parents=True)
    metrics = evaluate_model(root / "models" / name, prepared, SETTINGS, folder)
    predictor = load_predictor(root / "models" / name)
    Image.new("RGB", (64, 32), "orange").save(folder / "worst.png")
    rows, known = pd.read_parquet(folder / "predictions.parquet"), read_columns(prepared, None)
    columns = known[chosen_columns(known, "auto")[0]]
    slices = measure_slices(predictor.task, rows, metrics["headline"], columns, SETTINGS)
    slices.to_csv(folder / "slices.csv", index=False)
    training = root / "reports" / name / "training"
    training.mkdir()
    (training / "curves.csv").write_text(CURVES)
    write_json(training / "training.json", {"epochs_run": 2, "best_epoch": 1, "optimizer.lr": 0.01})
    release(root, name, metrics)


def release(root: Path, name: str, metrics: dict[str, Any]) -> None:
    """Write what the stage release would, with made-up hashes."""
    values = {"name": name, "task": metrics["task"], "headline": metrics["headline"], "samples": metrics["samples"]}
    md5s = dict.fromkeys(("model_md5", "training_md5", "evaluation_md5"), MODEL_MD5)
    write_json(
        root / "release" / f"{name}.json",
        {**values, **md5s, "test_ids_sha256": "e" * 64, "weights_sha256": "f" * 64},
    )


def entry(name: str, decision: str, reason: str, **changes: Any) -> Entry:
    values = {
        "time": "2026-01-02T03:04:05+00:00",
        "name": name,
        "decision": decision,
        **dict.fromkeys(("model_md5", "training_md5", "evaluation_md5"), MODEL_MD5),
        "champion_md5": None,
        "reason": reason,
        "test_ids": "e" * 64,
        "headline": {"name": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6},
        "promotions_on_test_set": 0,
        "git_sha": "c" * 40,
        "lock_md5": "1" * 32,
        "git_dirty": False,
    }
    return Entry.model_validate({**values, **changes})


def write_ledger(root: Path, *entries: Entry) -> None:
    path = root / "registry" / "ledger.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(one.model_dump_json() + "\n" for one in entries))


def outcome(root: Path, name: str) -> Outcome:
    values = json.loads((root / "release" / f"{name}.json").read_text())
    return Outcome(
        name, values["task"], values["headline"], MODEL_MD5, "3", "champion", "kept", "first version", "first version"
    )
