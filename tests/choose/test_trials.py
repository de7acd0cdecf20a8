"""Trials: what follows a training changes nothing of it, and nothing of a search opens the test split."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from test_settings import BASE, outcome

from sightline.config.models import Model
from sightline.data.store import SplitStore
from sightline.labs.choose.cost import measured_cost
from sightline.labs.choose.halves import parts_of
from sightline.labs.choose.journal import Record
from sightline.labs.choose.measuring import write_part
from sightline.labs.choose.page import choose_page
from sightline.labs.choose.space import Candidate
from sightline.labs.choose.times import training_seconds
from sightline.labs.start.timing import StepTimes, time_steps
from sightline.training.fit import train
from sightline.training.followed import CURVE, FOLLOWED, IDS
from sightline.training.progress import ProgressFile

SECTION = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp", "dropout": 0.2},
    "weights": "random",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 2e-3},
    "trainer": {"max_epochs": 2, "batch_size": 64, "threads": 1, "ema_decay": 0.9},
}


@pytest.fixture
def untested(digits: Path, tmp_path: Path) -> Path:
    """The digits without their test split."""
    shutil.copytree(digits, tmp_path / "digits", ignore=shutil.ignore_patterns("test"))
    return tmp_path / "digits"


def trained(prepared: Path, folder: Path, callbacks: list[Callback]) -> dict[str, bytes]:
    train(Model.model_validate(SECTION), 3, prepared, folder / "m", callbacks=callbacks, resume_root=folder / "resume")
    return {path.name: path.read_bytes() for path in (folder / "m").iterdir()}


def test_a_followed_training_gives_the_same_bytes_and_a_curve_of_the_part(
    untested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = trained(untested, tmp_path / "alone", [])
    chosen, _ = parts_of(untested)
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / IDS).write_text(json.dumps(chosen))
    monkeypatch.setenv(FOLLOWED, str(tmp_path / "trial"))
    followed = trained(untested, tmp_path / "followed", [ProgressFile(tmp_path / "progress.json")])
    assert followed == alone
    note = json.loads((tmp_path / "trial" / CURVE).read_text())
    assert (note["epochs"], [row["epoch"] for row in note["rows"]]) == (2, [0.0, 1.0])
    # The last row is what the model that was written says of these images, counted one by one.
    from sightline.evaluation.predictor import load_predictor

    store = SplitStore(untested / "val")
    predictor = load_predictor(tmp_path / "followed" / "m", engine="torch")
    places = [store.ids.index(one) for one in chosen]
    said = predictor.outputs(np.stack([predictor.seen_alone(store.image(place))[0] for place in places]))
    share = float((torch.as_tensor(said).argmax(1).numpy() == store.labels[places]).mean())
    best = min(note["rows"], key=lambda row: row["val_loss"])  # the epoch that is kept, or nearly
    assert share == pytest.approx(best["val_accuracy"], abs=0.02)


def test_timing_and_parts_need_no_test_split(untested: Path, tmp_path: Path) -> None:
    times = time_steps(Model.model_validate(SECTION), 1, untested, tmp_path / "weights", tested=False)
    assert (times.test, times.val) == (0, len(SplitStore(untested / "val")))
    chosen, reported = parts_of(untested)
    for name, ids in (("choose", chosen), ("report", reported)):
        part = write_part(untested, ids, tmp_path / name)
        assert sorted(SplitStore(part.folder / "test").ids) == sorted(ids)


def test_cost_is_of_the_exported_network(untested: Path, tmp_path: Path) -> None:
    trained(untested, tmp_path, [])
    file = tmp_path / "m" / "model.onnx"
    cost = measured_cost(file, 8, 1)
    assert cost.size_bytes == file.stat().st_size
    assert 0 < cost.latency_ms < 1000


def test_a_ladder_takes_as_long_as_its_trainings() -> None:
    times = StepTimes(0.1, 0.001, 2.0, 10, 100, 50, 0.0)
    assert times.epoch == pytest.approx(1.05)
    fast = BASE.of(Candidate("fast", "mnist_cnn", 32, 1.0)).model
    best = BASE.of(Candidate("best", "mnist_cnn", 32, 1.0)).model
    assert training_seconds(fast, times) == pytest.approx(2 + 8 * 1.05)
    assert best.ladder is not None
    trainings = best.ladder.seeds + 1  # and the distillation
    expected = 2 + trainings * 30 * 1.05 + (100 + len(best.ladder.rungs) * 50) * 0.001
    assert training_seconds(best, times) == pytest.approx(expected)


def test_the_page_tells_both_scores_and_every_trial() -> None:
    found = {
        "score": 0.9,
        "latency_ms": 3.0,
        "size_bytes": 10**6,
        "curve": [0.5, 0.9],
        "epochs": 2,
        "curve_of": "accuracy",
    }
    other = Record(5, "o", Candidate("best", "timm:a<b", 16, 1.0), "stopped", 1, 9.0, 8.0, {**found, "rung": 1 / 3})
    made = outcome({"input.size": 24, "optimizer.lr": 0.004})
    winner = Record(4, "k", made.records[0].candidate, "finished", 1, 9.0, 8.0, found)
    page = choose_page(type(made)(**{**made.__dict__, "records": (winner, other), "winner": winner}))
    for words in (
        "0.960",
        "0.990",
        "input.size",
        "0.004",
        "stopped at 33% of its epochs",
        "a&lt;b",
        "not opened",
        "Pareto front",
    ):
        assert words in page
    assert "a<b" not in page
    assert json.loads(json.dumps(made.to_json()))["winner"]["reported"]["samples"] == 140


def test_a_copy_leaves_the_workspace_alone_and_hands_over_experiments(tmp_path: Path) -> None:
    from dvc_project import Project

    from sightline.labs.choose.project_copy import ProjectCopy
    from sightline.pipeline.store import DvcStore

    params = {"datasets": {"digits": {"format": "digits", "root": "data/embedded"}}, "models": {"net": SECTION}}
    project = Project(tmp_path / "p", params, warm=False)
    (project.root / "new.txt").write_text("not committed")
    (project.root / "README").write_text("x")
    text = (project.root / "params.yaml").read_text()

    def state() -> str:
        return subprocess.run(
            ["git", "-C", str(project.root), "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout

    DvcStore(project.root).cache_folder()  # DVC writes its .gitignore when it is first opened
    before = state()
    with ProjectCopy(project.root, tmp_path / "p/.sightline/copy", tmp_path / "resume", []) as copy:
        assert (copy.root / "new.txt").read_text() == "not committed"
        copy.write_params(text + "seed: 3\n")
        subprocess.run(["git", "-C", str(copy.root), "update-ref", "refs/exps/ab/cd/mine", "HEAD"], check=True)
        subprocess.run(["git", "-C", str(copy.root), "update-ref", "refs/exps/ab/cd/other", "HEAD"], check=True)
        copy.hand_over("mine")
    refs = subprocess.run(
        ["git", "-C", str(project.root), "for-each-ref", "refs/exps"], capture_output=True, text=True, check=True
    ).stdout
    assert "refs/exps/ab/cd/mine" in refs
    assert "other" not in refs
    assert (state(), (project.root / "params.yaml").read_text()) == (before, text)
