"""CPU processes started by torchrun train one model: the same steps as one process with their joint batch."""

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
import hashlib, json, os, signal, sys
from pathlib import Path
import torch
from pytorch_lightning import Callback
from sightline.config.models import Model
from sightline.training import mid_epoch
from sightline.training.fit import train

settings, prepared = sys.argv[1:]
rank = os.environ.get("RANK", "0")

class Watch(Callback):
    seen, epochs = [], []

    def on_train_batch_start(self, trainer, module, batch, index):
        if "KILL" in os.environ and [trainer.current_epoch, index, rank] == [1, 3, "1"]:
            if not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            Path("went on").write_text(json.dumps(len(self.epochs)))
        self.epochs.append(trainer.current_epoch)
        if trainer.current_epoch == 0:
            self.seen += [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in batch.images]

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if trainer.global_step == 0:
            torch.save([p.grad for p in module.parameters()], f"gradients{rank}.pt")

mid_epoch._SECONDS, mid_epoch._SHARE, mid_epoch._LOOK = 0, 1e9, 1
fitted = train(Model.model_validate(json.loads(settings)), 3, Path(prepared), Path("model"), callbacks=[Watch()])
Path(f"seen{rank}.json").write_text(json.dumps(Watch.seen))
Path(f"main{rank}.json").write_text(json.dumps([fitted.main, fitted.curves]))
"""


def run(folder: Path, prepared: Path, settings: dict[str, Any], processes: int, **environment: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--max-restarts=1"]
    command = [sys.executable, *(launcher if processes > 1 else []), "script.py", json.dumps(settings), str(prepared)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=variables, check=False)
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


BODY: dict[str, Any] = {"backbone": "timm:test_resnet", "strides": [4, 8], "width": 32}
DETECTOR: dict[str, Any] = {"kind": "detection", **BODY}
SEGMENTER: dict[str, Any] = {"kind": "semantic_segmentation", "architecture": "semantic_fpn", **BODY}


@pytest.mark.slow
@pytest.mark.parametrize("task", [DETECTOR, SEGMENTER], ids=["detector", "segmenter"])
def test_losses_are_means_over_all_processes(task: dict[str, Any], scenes: Path, tmp_path: Path) -> None:
    """Images have different numbers of objects and pixels, so a mean of the processes' means would be another one."""
    settings = {
        **with_trainer(batch_size=8, max_epochs=1, batch_statistics="keep"),
        "dataset": "scenes",
        "task": task,
        "weights": "w.pth",  # whose batch statistics stay: those of each process's own part would differ
        "input": {"size": 64, "channels": 3},
    }
    body = build_classifier("timm:test_resnet", 3, 64, 10).network.state_dict()
    gradients = {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        (folder / "data" / "weights").mkdir(parents=True)
        torch.save(body, folder / "data" / "weights" / "w.pth")
        many = {"devices": processes, "strategy": "auto"} if processes > 1 else {}
        run(folder, scenes, {**settings, "trainer": settings["trainer"] | many}, processes)
        gradients[processes] = torch.load(folder / "gradients0.pt", weights_only=True)
    assert max(float(own.abs().max()) for own in gradients[1]) > 1e-2
    for processes in (2, 4):
        for own, wanted in zip(gradients[processes], gradients[1], strict=True):
            torch.testing.assert_close(own, wanted, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_four_processes_do_the_steps_of_one(digits: Path, alone: Path, tmp_path: Path) -> None:
    run(tmp_path / "four", digits, with_trainer(batch_size=BATCH, devices=4, strategy="ddp"), 4)
    wanted = torch.load(alone / "gradients0.pt", weights_only=True)
    for path in sorted((tmp_path / "four").glob("gradients*.pt")):
        for own, gradient in zip(torch.load(path, weights_only=True), wanted, strict=True):
            torch.testing.assert_close(own, gradient, rtol=0, atol=1e-6)
    seen = [json.loads(path.read_text()) for path in (tmp_path / "four").glob("seen*.json")]
    assert len(seen) == 4
    assert sorted(image for own in seen for image in own) == sorted(json.loads((alone / "seen0.json").read_text()))


# With its store shared, torchrun 2.13 gives processes that it starts again the addresses of those that have gone.
KILLED = {"KILL": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@pytest.mark.slow
def test_a_killed_worker_is_started_again_within_the_epoch(digits: Path, together: Path, tmp_path: Path) -> None:
    run(tmp_path / "two", digits, with_trainer(batch_size=BATCH, devices=2, strategy="ddp"), 2, **KILLED)
    assert json.loads((tmp_path / "two" / "went on").read_text()) == 0, "its first batch is the one it was killed at"
    ours, wanted = ((folder / "model" / "weights.safetensors").read_bytes() for folder in (tmp_path / "two", together))
    assert ours == wanted
    curves = [json.loads((folder / "main0.json").read_text())[1] for folder in (tmp_path / "two", together)]
    assert curves[0] == curves[1]


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
