"""The same inputs give the same bytes: again, with loader processes, after a kill, and while it tells how far it is."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sightline.config.models import Model
from sightline.training.fit import train

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn", "dropout": 0.3, "label_smoothing": 0.05},
    "weights": "random",
    "input": {"size": 16, "channels": 1},
    "augment": "light",
    "optimizer": {"name": "adamw", "lr": 2e-3},
    "schedule": {"name": "one_cycle"},
    "trainer": {"max_epochs": 5, "batch_size": 64, "ema_decay": 0.9, "early_stopping": {"patience": 4}, "threads": 2},
}

SCRIPT = """
import json, sys
from pathlib import Path
from sightline.config.augmentations import Augmentation
from sightline.config.models import Model
from sightline.training.fit import train
from sightline.training.progress import ProgressFile

settings, policy, prepared, output, resume = sys.argv[1:]
augmentation = Augmentation(dataset="digits", policy=json.loads(policy)) if policy != "null" else None
model = Model.model_validate(json.loads(settings))
progress = [] if "undisturbed" in output else [ProgressFile(Path(resume).with_name("progress.json"))]
train(model, 3, Path(prepared), Path(output), augmentation=augmentation, resume_root=Path(resume), callbacks=progress)
"""
MIXED = [
    {"OneOf": {"transforms": [{"GaussNoise": {}}, {"GridDistortion": {"border_mode": 1}}], "p": 0.8}},
    {"RandomScale": {"scale_limit": 0.2, "p": 0.5}},
    {"MixUp": {"alpha": 0.4, "p": 0.5}},
    {"CutMix": {"p": 0.5}},
]


def model(**trainer: Any) -> Model:
    return Model.model_validate({**SETTINGS, "trainer": {**SETTINGS["trainer"], **trainer}})


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained without loader processes and without a break, by a process of its own."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start(SETTINGS, digits, folder).communicate()
    return folder / "model"


def start(settings: dict[str, Any], prepared: Path, folder: Path, policy: Any = None) -> subprocess.Popen[str]:
    arguments = [json.dumps(settings), json.dumps(policy), str(prepared), str(folder / "model"), str(folder / "resume")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
    )


@pytest.mark.parametrize("workers", [0, 3])
def test_loader_processes_do_not_matter(digits: Path, undisturbed: Path, tmp_path: Path, workers: int) -> None:
    settings = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "num_workers": workers}}
    told, _ = start(settings, digits, tmp_path).communicate()
    assert "epoch   5/5" in told
    assert weights(tmp_path / "model") == weights(undisturbed)
    assert (tmp_path / "model/model.json").read_bytes() == (undisturbed / "model.json").read_bytes()
    assert not list((tmp_path / "resume").iterdir()), "a finished training leaves no checkpoints"


def test_what_the_parent_does_at_its_exit_fails_no_loader_process(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's services, once a flow has run, end a forked process with an AssertionError."""
    parent = os.getpid()

    def drain() -> None:
        assert os.getpid() == parent, "the event loop did not come along"

    monkeypatch.setattr(threading, "_threading_atexits", [*threading._threading_atexits, drain])  # type: ignore[attr-defined]
    train(model(max_epochs=1, num_workers=2), 3, digits, tmp_path / "model", resume_root=tmp_path / "resume")
    assert weights(tmp_path / "model")


def kill_in_epoch(process: subprocess.Popen[str], epoch: int) -> None:
    """Kill a training shortly after it has begun an epoch (counted from 1)."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch   {epoch - 1}/"):
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_killed_training_goes_on_to_the_same_bytes(digits: Path, undisturbed: Path, tmp_path: Path) -> None:
    kill_in_epoch(start(SETTINGS, digits, tmp_path), 3)
    assert not (tmp_path / "model").exists()
    told, _ = start(SETTINGS, digits, tmp_path).communicate()
    assert "resuming an interrupted training" in told
    assert "epoch   1/" not in told
    assert "epoch   5/" in told
    assert weights(tmp_path / "model") == weights(undisturbed)
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert [progress[name] for name in ("epochs_done", "epochs")] == [5, 5]
    assert 0 < progress["resumed_from"] < 5
    assert progress["seconds"] > 0


@pytest.mark.slow
def test_mixed_batches_are_the_same_again(digits: Path, tmp_path: Path) -> None:
    """With loader processes, and killed and resumed, against one process without a break."""
    folders = [tmp_path / name for name in ("plain", "broken")]
    for folder in folders:
        folder.mkdir()
    trainer = {**SETTINGS["trainer"], "max_epochs": 4}
    settings = {**SETTINGS, "augment": "own", "trainer": trainer}
    start(settings, digits, folders[0], MIXED).communicate()
    settings["trainer"] = {**trainer, "num_workers": 2}
    kill_in_epoch(start(settings, digits, folders[1], MIXED), 3)
    told, _ = start(settings, digits, folders[1], MIXED).communicate()
    assert "resuming an interrupted training" in told
    plain, broken = (weights(folder / "model") for folder in folders)
    assert plain == broken


@pytest.mark.slow
def test_a_killed_training_with_another_rate_starts_anew(digits: Path, tmp_path: Path) -> None:
    kill_in_epoch(start(SETTINGS, digits, tmp_path), 3)
    other = {**SETTINGS, "optimizer": {"name": "adamw", "lr": 1e-3}}
    told, _ = start(other, digits, tmp_path).communicate()
    assert "resuming" not in told
    assert "epoch   1/" in told
    assert (tmp_path / "model/model.json").is_file()


def test_seeds_give_other_weights(
    digits: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(model(max_epochs=1), 4, digits, tmp_path / "model")
    assert weights(tmp_path / "model") != weights(undisturbed)
