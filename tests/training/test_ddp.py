"""Two CPU processes started by torchrun train one model: the same steps as one process with their joint batch."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.models.classify.classifiers import build_classifier
from sightline.training.artifact.folder import read_model

BATCH = 64  # of all processes together
SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn", "activation": "tanh"},
    "weights": "random",
    "augment": "none",
    "input": {"size": 16, "channels": 1},
    "optimizer": {"name": "momentum", "lr": 0.02},
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "precision": "32", "threads": 1},
}

SCRIPT = """
import hashlib, json, os, sys
from pathlib import Path
import torch
from pytorch_lightning import Callback
from sightline.config.models import Model
from sightline.training.fit import train

settings, prepared = sys.argv[1:]
rank = os.environ.get("RANK", "0")

class Watch(Callback):
    seen = []

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.current_epoch == 0:
            self.seen += [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in batch.images]

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if trainer.global_step == 0:
            torch.save([p.grad for p in module.parameters()], f"gradients{rank}.pt")

fitted = train(Model.model_validate(json.loads(settings)), 3, Path(prepared), Path("model"), callbacks=[Watch()])
Path(f"seen{rank}.json").write_text(json.dumps(Watch.seen))
Path(f"main{rank}.json").write_text(json.dumps([fitted.main, fitted.curves]))
"""


def run(folder: Path, prepared: Path, settings: dict[str, Any], processes: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), "script.py", json.dumps(settings), str(prepared)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr[-3000:]


def with_trainer(**changes: Any) -> dict[str, Any]:
    return {**SETTINGS, "trainer": {**SETTINGS["trainer"], **changes}}


@pytest.fixture(scope="module")
def together(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ddp") / "two"
    run(folder, digits, with_trainer(batch_size=BATCH, devices=2, strategy="ddp"), 2)
    return folder


@pytest.fixture(scope="module")
def alone(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ddp") / "one"
    run(folder, digits, with_trainer(batch_size=BATCH), 1)
    return folder


def test_gradients_are_those_of_the_joint_batch(together: Path, alone: Path) -> None:
    ours, *others = (torch.load(path, weights_only=True) for path in sorted(together.glob("gradients*.pt")))
    assert len(others) == 1
    wanted = torch.load(alone / "gradients0.pt", weights_only=True)
    assert max(float(own.abs().max()) for own in wanted) > 1e-3
    for own, other, gradient in zip(ours, others[0], wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)
        torch.testing.assert_close(own, gradient, rtol=0, atol=1e-6)


def test_each_sample_is_visited_once_an_epoch(together: Path, alone: Path) -> None:
    first, second = (json.loads((together / f"seen{rank}.json").read_text()) for rank in (0, 1))
    everything = json.loads((alone / "seen0.json").read_text())
    assert sorted(first + second) == sorted(everything)
    assert abs(len(first) - len(second)) <= 1
    assert hashlib.sha256(b"").hexdigest() not in everything


def test_one_model_and_curves_over_all_samples(together: Path, alone: Path) -> None:
    told = [json.loads((together / f"main{rank}.json").read_text()) for rank in (0, 1)]
    assert [main for main, _ in told] == [True, False]
    task, card = read_model(together / "model")
    assert card.precision == "32"
    assert not task.training
    joint = json.loads((alone / "main0.json").read_text())[1]
    for ours, theirs in zip(told[0][1], joint, strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], abs=1e-3)
        assert ours["val_accuracy"] == pytest.approx(theirs["val_accuracy"], abs=0.006)


@pytest.mark.slow
def test_a_detector_learns_from_the_objects_of_all_processes(scenes: Path, tmp_path: Path) -> None:
    detector = {"kind": "detection", "backbone": "timm:test_resnet", "strides": [4, 8], "width": 32, "head_convs": 1}
    settings = {
        **with_trainer(batch_size=8, max_epochs=1, batch_statistics="keep"),
        "dataset": "scenes",
        "task": detector,
        "weights": "w.pth",  # whose batch statistics stay: those of each process's own part would differ
        "input": {"size": 64, "channels": 3},
    }
    body = build_classifier("timm:test_resnet", 3, 64, 10).network.state_dict()
    for name in ("one", "two"):
        (tmp_path / name / "data" / "weights").mkdir(parents=True)
        torch.save(body, tmp_path / name / "data" / "weights" / "w.pth")
    run(tmp_path / "one", scenes, settings, 1)
    settings["trainer"] |= {"devices": 2, "strategy": "auto"}
    run(tmp_path / "two", scenes, settings, 2)
    ours, wanted = (torch.load(tmp_path / name / "gradients0.pt", weights_only=True) for name in ("two", "one"))
    assert max(float(own.abs().max()) for own in wanted) > 1e-2
    for own, gradient in zip(ours, wanted, strict=True):
        torch.testing.assert_close(own, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_frozen_layers_may_thaw_under_ddp(digits: Path, tmp_path: Path) -> None:
    weights = tmp_path / "two" / "data" / "weights"
    weights.mkdir(parents=True)
    torch.save(build_classifier("mnist_cnn", 1, 16, 10).network.state_dict(), weights / "w.pth")
    settings = with_trainer(batch_size=BATCH, devices=2, strategy="auto", freeze_epochs=1)
    run(tmp_path / "two", digits, {**settings, "weights": "w.pth"}, 2)
    before = torch.load(weights / "w.pth", weights_only=True)
    after = read_model(tmp_path / "two" / "model")[0].network.state_dict()
    assert not torch.equal(before["conv1.weight"], after["conv1.weight"])
