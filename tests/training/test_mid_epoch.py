"""A training that was killed within an epoch goes on there, to the same bytes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback

from sightline.config.models import Model
from sightline.models.classify.classifiers import build_classifier
from sightline.training import mid_epoch
from sightline.training.fit import Fitted, train
from sightline.training.fused import FusedFit
from sightline.training.resume import usable_checkpoint

CLASSIFIER: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn", "dropout": 0.3},
    "weights": "random",
    "input": {"size": 16, "channels": 1},
    "augment": "light",
    "optimizer": {"name": "adamw", "lr": 2e-3},
    "schedule": {"name": "one_cycle"},
    "trainer": {"max_epochs": 3, "batch_size": 64, "threads": 1, "precision": "32"},
}
DETECTOR: dict[str, Any] = {
    "dataset": "scenes",
    "task": {"kind": "detection", "backbone": "timm:test_resnet", "strides": [4, 8], "width": 32, "head_convs": 1},
    "weights": "random",
    "input": {"size": 64, "channels": 3},
    "trainer": {"max_epochs": 2, "batch_size": 4, "threads": 1},
}


class Killed(BaseException):
    """In place of a kill: nothing catches it."""


class Kill(Callback):
    """Ends the training in the epoch (from 0) before a batch (from 0) is learned from."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = epoch, batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == self.at:
            raise Killed


class Seen(Callback):
    """Notes which batches are learned from."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append((trainer.current_epoch, batch_idx))


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mid_epoch, "_SECONDS", 0.0)
    monkeypatch.setattr(mid_epoch, "_SHARE", 1e9)
    monkeypatch.setattr(mid_epoch, "_LOOK", 1)


def model(base: dict[str, Any], **more: Any) -> Model:
    return Model.model_validate({**base, **more, "trainer": {**base["trainer"], **more.get("trainer", {})}})


def trained(config: Model, prepared: Path, folder: Path, *callbacks: Callback) -> Fitted:
    weights = folder.parent / "given"
    return train(
        config,
        3,
        prepared,
        folder / "model",
        resume_root=folder / "resume",
        weights_folder=weights,
        callbacks=callbacks,
    )


def weights(folder: Path) -> bytes:
    return (folder / "model" / "weights.safetensors").read_bytes()


def same_after_kills(config: Model, prepared: Path, folder: Path, *places: tuple[int, int]) -> None:
    (folder / "given").mkdir(exist_ok=True)
    whole = trained(config, prepared, folder / "whole", Seen())
    for place in places:
        with pytest.raises(Killed):
            trained(config, prepared, folder / "broken", Kill(*place))
    seen = Seen()
    broken = trained(config, prepared, folder / "broken", seen)
    assert seen.batches[0] == places[-1], "it did not go on where it was"
    assert broken.curves == whole.curves
    assert weights(folder / "broken") == weights(folder / "whole")


@pytest.mark.parametrize(
    "trainer",
    [
        {"ema_decay": 0.9, "clip_norm": 0.5},
        {"accumulate": 2, "batch_size": 32, "keep": "last"},
        {"num_workers": 2, "sampling": "balanced"},
    ],
    ids=["averaged", "accumulated", "workers"],
)
def test_killed_twice(digits: Path, tmp_path: Path, trainer: dict[str, Any]) -> None:
    same_after_kills(model(CLASSIFIER, trainer=trainer), digits, tmp_path, (1, 4), (2, 2))


def test_frozen_layers_rest_after_a_kill(digits: Path, tmp_path: Path) -> None:
    config = model(CLASSIFIER, weights="w.pth", trainer={"freeze_epochs": 2, "batch_statistics": "keep"})
    (tmp_path / "given").mkdir()
    torch.save(build_classifier("mnist_cnn", 1, 16, 10).network.state_dict(), tmp_path / "given" / "w.pth")
    same_after_kills(config, digits, tmp_path, (0, 5), (1, 3))


def test_a_detector(scenes: Path, tmp_path: Path) -> None:
    same_after_kills(model(DETECTOR), scenes, tmp_path, (0, 3), (1, 2))


def test_turns_of_several_steps(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = model(CLASSIFIER, trainer={"batch_size": 16})
    step = FusedFit.training_step
    turns: list[int] = []
    ends: set[int] = set()

    def counted(self: FusedFit, batch: Any, number: int) -> None:
        if len(turns) + 1 in ends:
            ends.clear()
            raise Killed
        turns.append(number)
        step(self, batch, number)

    monkeypatch.setattr(FusedFit, "training_step", counted)
    whole = trained(config, digits, tmp_path / "whole")
    per_epoch = len(turns) // 3
    assert per_epoch > 2
    turns.clear()
    ends.add(per_epoch + 2)
    with pytest.raises(Killed):
        trained(config, digits, tmp_path / "broken")
    turns.clear()
    broken = trained(config, digits, tmp_path / "broken")
    assert turns[0] == 1
    assert broken.curves == whole.curves
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_the_checkpoint_that_is_farthest_on_is_used(tmp_path: Path) -> None:
    def write(name: str, steps: int) -> None:
        torch.save({"global_step": steps}, tmp_path / name)

    assert usable_checkpoint(tmp_path) is None
    write("mid_epoch.ckpt", 7)
    assert usable_checkpoint(tmp_path) == tmp_path / "mid_epoch.ckpt"
    write("last.ckpt", 5)
    assert usable_checkpoint(tmp_path) == tmp_path / "mid_epoch.ckpt"
    write("last.ckpt", 7)
    assert usable_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    (tmp_path / "last.ckpt").write_bytes(b"half")
    assert usable_checkpoint(tmp_path) == tmp_path / "mid_epoch.ckpt"
