"""A small real project: git, DVC with its cache, SQLite MLflow, and model and report folders of the agreed form."""

import csv
import hashlib
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sightline.config import load_params
from sightline.data.schema import SCHEMA
from sightline.data.structures import LabelMap
from sightline.pipeline.store import DvcStore
from sightline.registry.outcomes import Outcome
from sightline.registry.registration import register
from sightline.registry.release import release

CLASSES = [str(digit) for digit in range(4)]
PARAMS = """\
seed: 0
trainer: {}
evaluation: {}
datasets:
  digits: {format: digits, root: data/embedded}
models:
  digit:
    dataset: digits
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    input: {size: 28, channels: 1}
    augment: none
    optimizer: {name: adam, lr: LR}
gate: {max_class_drop: 0.05, min_class_samples: 20}
"""
PIPELINES = Path(__file__).parents[2] / "pipelines"
# The pipeline with stand-ins for the stages before `release`: `stub.py` fails at rate 0.5 and hangs at 0.7.
STAGES = f"""\
stages:
  register: {{cmd: 'python {PIPELINES}/register.py', deps: [release], always_changed: true}}
  release:
    foreach: ${{models}}
    do:
      cmd: python {PIPELINES}/release.py ${{key}}
      deps: ["models/${{key}}", "reports/${{key}}/training", "reports/${{key}}/evaluation"]
      outs: ["release/${{key}}.json"]
  evaluate:
    foreach: ${{models}}
    do:
      cmd: python stub.py evaluate ${{key}}
      deps: ["models/${{key}}", "data/prepared/${{item.dataset}}"]
      outs: ["reports/${{key}}/evaluation"]
  train:
    foreach: ${{models}}
    do:
      cmd: python stub.py train ${{key}} ${{item.optimizer.lr}}
      deps: ["data/prepared/${{item.dataset}}"]
      outs: ["models/${{key}}", "reports/${{key}}/training"]
  prepare:
    foreach: ${{datasets}}
    do: {{cmd: 'python stub.py prepare ${{key}}', outs: ["data/prepared/${{key}}"]}}
"""
STUB = f"""\
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
kind, name, *rest = sys.argv[1:]
if kind == "prepare":
    folder = Path("data/prepared", name)
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{{"batches": []}}')
    sys.exit()
if rest == ["0.5"]:
    sys.exit("the loss is not finite at step 17")
if rest == ["0.7"]:
    Path("pid").write_text(str(__import__("os").getpid()))
    time.sleep(60)
from registry_project import write_evaluation, write_model, write_training
model, reports = Path("models", name), Path("reports", name)
if kind == "train":
    write_model(model, rest[0])
    write_training(reports / "training", rest[0])
if kind == "evaluate":
    weights = (model / "weights.safetensors").read_text()
    wrong = range(0, 80 if weights == "0.002" else 240, 4)
    write_evaluation(reports / "evaluation", wrong, [f"s{{number:05d}}" for number in range(400)])
"""


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x80" * 8 for _ in range(8)))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_evaluation(
    folder: Path, wrong: Sequence[int], ids: Sequence[str], metric: str = "accuracy", corrected: Sequence[int] = ()
) -> None:
    """Sample i has label i % 4; those in `wrong` are taken for the next class, which is the truth of `corrected`."""
    folder.mkdir(parents=True, exist_ok=True)
    label = np.arange(len(ids)) % 4
    missed, moved = (np.isin(np.arange(len(ids)), list(own)) for own in (wrong, corrected))
    predicted = np.where(missed, (label + 1) % 4, label)
    label = np.where(moved, (label + 1) % 4, label)
    score = (label == predicted).astype(np.float64)
    columns = {"id": list(ids), "source": list(ids), "label": label, "predicted": predicted, "score": score}
    truth = [hashlib.sha256(str(own).encode()).hexdigest() for own in label]
    pq.write_table(pa.table(columns | {"rank": 1 - score.astype(int), "truth": truth}), folder / "predictions.parquet")
    value = float(score.mean())
    headline = {"name": metric, "value": value, "low": value - 0.02, "high": value + 0.02}
    metrics = {"task": "classification", "headline": headline, "samples": len(ids), "calibration": {"ece": 0.01}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "per_class.csv").write_text("class,recall\n0,1\n")
    (folder / "confusion.csv").write_text("1,0\n0,1\n")
    (folder / "confusion.png").write_bytes(png())


def write_prepared(folder: Path, ids: Sequence[str], batch: str) -> None:
    """Write a test split of samples without images, those after the first 400 of a batch."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "test").mkdir(parents=True)
    (folder / "labels.json").write_text(json.dumps(LabelMap(tuple(CLASSES), tuple(CLASSES)).to_json()))
    rows = [{"id": one, "label": place % 4, "batch": batch if place >= 400 else ""} for place, one in enumerate(ids)]
    records = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    with pa.OSFile(str(folder / "test/00.arrow"), "wb") as file, pa.ipc.new_file(file, SCHEMA) as out:
        out.write_batch(records)


def write_model(folder: Path, weights: str, classes: Sequence[str] = CLASSES, task: str = "classification") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(weights.encode())
    model = {
        "format_version": 1,
        "task": {"kind": task, "architecture": "mnist_cnn"},
        "labels": LabelMap(tuple(classes), tuple(classes)).to_json(),
        "data_sha256": "d" * 64,
        "weights_sha256": hashlib.sha256(weights.encode()).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(model))


def write_training(folder: Path, weights: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "curves.csv").open("w", newline="") as file:
        rows = [["epoch", "train_loss", "val_loss", "val_accuracy", "lr"]]
        csv.writer(file).writerows([*rows, [0, 1.0, 1.1, 0.5, 0.01], [1, 0.5, 0.6, 0.9, 0.01]])
    params = {"optimizer.name": "adam", "weights": weights, "long": "x" * 9000, "epochs_run": 2, "best_epoch": 1}
    (folder / "training.json").write_text(json.dumps(params))
    (folder / "curves.png").write_bytes(png())


class Project:
    def __init__(self, root: Path, database: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        from dvc.repo import Repo

        Repo.init(str(root)).close()
        self.write_params()
        (root / "dvc.lock").write_text("schema: '2.0'\n")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "start"], check=True)
        shutil.copy(database, root / "mlflow.db")
        self.store = DvcStore(root)
        self.told: list[str] = []

    def write_params(self, lr: float = 0.001) -> None:
        (self.root / "params.yaml").write_text(PARAMS.replace("LR", str(lr)))

    def make(
        self,
        weights: str,
        wrong: Sequence[int],
        count: int = 400,
        name: str = "digit",
        classes: Sequence[str] = CLASSES,
        task: str = "classification",
        metric: str = "accuracy",
        batches: Sequence[str] = (),
        prefix: str = "s",
        corrected: Sequence[int] = (),
    ) -> None:
        """Put a model in the workspace, its folders in DVC's cache, and write its release; sample 400 on is new."""
        ids = [f"{prefix}{number:05d}" for number in range(count)]
        folders = [self.root / "models" / name]
        folders += [self.root / "reports" / name / part for part in ("training", "evaluation")]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        write_model(folders[0], weights, classes, task)
        write_training(folders[1], weights)
        write_evaluation(folders[2], wrong, ids, metric, corrected)
        for folder in folders:
            self.cache(folder)
        path = self.root / "release" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(release(name, self.root, batches)))
        write_prepared(self.root / "data/prepared/digits", ids, batches[-1] if batches else "")

    def cache(self, folder: Path) -> None:
        from dvc_data.hashfile.build import build
        from dvc_data.hashfile.transfer import transfer

        cache = self.store._repo.cache.local
        staging, _, tree = build(cache, str(folder), cache.fs, "md5")
        transfer(staging, cache, {tree.hash_info}, shallow=False)

    def register(self, evaluate: Callable[..., Any] | None = None) -> list[Outcome]:
        def unexpected(*_: Any) -> None:
            raise AssertionError("nothing needs to be predicted again")

        params = load_params(self.root / "params.yaml")
        return register(params, self.root, evaluate or unexpected, self.told.append)

    def client(self) -> Any:
        import mlflow

        return mlflow.MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")

    def versions(self, name: str = "digit") -> list[str]:
        return sorted(str(version.version) for version in self.client().search_model_versions(f"name='{name}'"))

    def runs(self) -> int:
        client = self.client()
        experiment = client.get_experiment_by_name("sightline")
        return len(client.search_runs([experiment.experiment_id])) if experiment else 0

    def aliases(self, name: str = "digit") -> dict[str, str]:
        found = self.client().get_registered_model(name).aliases
        return {alias: str(number) for alias, number in found.items()}

    def ledger(self) -> list[dict[str, Any]]:
        path = self.root / "registry" / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
