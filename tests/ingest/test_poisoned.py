"""With real DVC and MLflow: a good batch leads to a better champion, a poisoned one is thrown out again."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from sklearn.datasets import load_digits

from sightline.config import load_params
from sightline.data.encoding import encode_png
from sightline.evaluation.predictor import load_predictor
from sightline.operations.ingest import Batch, ingest, withdraw_refused
from sightline.registry.resolving import resolve_model

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {
        "photos": {
            "format": "image_folder",
            "root": "data/photos",
            "split": {"train": 0.12, "val": 0.08, "test": 0.8},
            "checks": {"near_duplicate_bits": -1},
        }
    },
    "trainer": {"max_epochs": 30, "batch_size": 16},
    "models": {
        "net": {
            "dataset": "photos",
            "weights": "random",
            "augment": "none",
            "input": {"size": 8, "channels": 1},
            "optimizer": {"name": "adam", "lr": 3e-3},
            "task": {"kind": "classification", "architecture": "mlp"},
        }
    },
    "evaluation": {"resamples": 500},
    "gate": {"min_class_samples": 10, "max_class_drop": 0.25},  # few images per class among the first
}
FIRST, GOOD, POISONED = range(120), range(120, 1000), range(1000, 1797)


def write(folder: Path, numbers: range, shuffled: bool = False) -> None:
    """Write digits into a folder per class; `shuffled` gives each the label of another one."""
    digits = load_digits()
    labels = [int(digits.target[number]) for number in numbers]
    if shuffled:
        random.Random(0).shuffle(labels)
    for number, label in zip(numbers, labels, strict=True):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        image = (digits.images[number] * 15.9).astype("uint8")
        (folder / str(label) / f"{number:04}.png").write_bytes(encode_png(image))


class Plant:
    """A project whose champion is looked at after every step."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root, PARAMS)
        self.root = root
        write(root / "data/photos", FIRST)
        assert self.project.dvc("add", "data/photos").returncode == 0
        self.project.commit()

    def params(self) -> Any:
        return load_params(self.root / "params.yaml")

    def deliver(self, numbers: range, shuffled: bool = False) -> Batch:
        write(self.root / "data/inbox/photos", numbers, shuffled)
        (batch,) = ingest(self.params(), self.root, print)
        assert (batch.samples, batch.quarantined) == (len(numbers), 0)
        assert self.clean()
        return batch

    def clean(self) -> bool:
        """Tell whether the pointer names the files that are there."""
        return bool(
            self.project.dvc("status", "data/photos.dvc").stdout.strip() == "Data and pipelines are up to date."
        )

    def run(self) -> dict[str, Any]:
        """Run the pipeline and return the last decision."""
        self.project.repro()
        lines = (self.root / "registry/ledger.jsonl").read_text().splitlines()
        return dict(json.loads(lines[-1]))

    def champion(self) -> bytes:
        """Load the champion and return its weights."""
        folder = resolve_model("net@champion", self.root).folder
        assert len(load_predictor(folder, engine="torch").card.labels) == 10
        return (folder / "weights.safetensors").read_bytes()


def test_a_good_batch_is_promoted_and_a_poisoned_one_is_thrown_out(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    assert plant.run()["reason"] == "first version"
    first = plant.champion()

    good = plant.deliver(GOOD)
    assert plant.champion() == first
    decision = plant.run()
    assert (decision["decision"], decision["batches"]) == ("promote", [good.name]), decision["reason"]
    assert decision["reason"].startswith("better: gain +")
    assert "those that the champion was tested on" in decision["reason"]
    assert withdraw_refused(plant.params(), tmp_path, print) == []
    champion = plant.champion()
    assert champion != first

    poisoned = plant.deliver(POISONED, shuffled=True)
    decision = plant.run()
    assert (decision["decision"], decision["blamed_batches"]) == ("refuse", [poisoned.name]), decision["reason"]
    assert decision["reason"].startswith("worse: gain -")
    assert "recall of class " in decision["reason"]
    assert plant.champion() == champion
    assert withdraw_refused(plant.params(), tmp_path, print) == [f"photos/{poisoned.name}"]
    assert plant.champion() == champion
    assert plant.clean()
    quarantine = tmp_path / "data/inbox/quarantine/photos" / poisoned.name
    assert decision["reason"] in (quarantine / "reason.txt").read_text()
    assert len(list((quarantine / "withdrawn").rglob("*.png"))) == len(POISONED)

    ledger = (tmp_path / "registry/ledger.jsonl").read_bytes()
    plant.run()
    assert (tmp_path / "registry/ledger.jsonl").read_bytes() == ledger  # the clean data make the champion again
    assert plant.champion() == champion
    assert (tmp_path / "models/net/weights.safetensors").read_bytes() == champion
    assert withdraw_refused(plant.params(), tmp_path, print) == []
    lines = (tmp_path / "registry/batches.jsonl").read_text().splitlines()
    told = [(line["batch"], line["decision"]) for line in map(json.loads, lines)]
    assert told == [(good.name, "accept"), (poisoned.name, "accept"), (poisoned.name, "refuse")]
